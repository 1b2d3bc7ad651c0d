import pytest

from jgm.core.choice import choose, did_you_mean
from jgm.losses import regression

OPTIONS = {"linear": 1, "cosine": 2}


def test_an_option_is_chosen_by_its_name():
  assert choose("cosine", OPTIONS, what="schedule") == 2
  assert choose("squared_error", regression, what="loss") is regression.squared_error


def test_what_a_module_imports_is_no_option():
  with pytest.raises(ValueError, match="loss='chex': it is one of squared_error"):
    choose("chex", regression, what="loss")


def test_the_nearest_is_named():
  with pytest.raises(ValueError) as error:
    choose("liner", OPTIONS, what="schedule")
  assert str(error.value) == (
    "schedule='liner': it is one of linear, cosine. Did you mean 'linear'?"
  )
  assert did_you_mean("xyz", OPTIONS) == ""
