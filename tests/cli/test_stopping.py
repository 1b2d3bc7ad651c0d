import pytest

from jgm.cli.errors import UserError
from jgm.cli.stopping import standing


def rows(*values):
  return [{"step": i, "eval/x": value} for i, value in enumerate(values)] + [
    {"step": 9}
  ]


def test_it_is_over_after_the_patience():
  options = {"metric": "eval/x", "mode": "min", "patience": 2}
  assert standing(rows(3.0, 2.0, 2.5), **options) == (1, 2.0, False)
  assert standing(rows(3.0, 2.0, 2.5, 2.1), **options) == (1, 2.0, True)
  assert standing(rows(3.0, 2.0, 2.5, 1.0), **options) == (3, 1.0, False)
  assert standing(rows(), **options) is None


def test_greater_may_be_better_and_seeds_are_averaged():
  options = {"metric": "eval/x", "mode": "max", "patience": 1}
  assert standing(rows([1.0, 3.0], [1.0, 2.0]), **options) == (0, 2.0, True)
  with pytest.raises(UserError, match="min"):
    standing(rows(1.0), metric="eval/x", mode="least", patience=1)
