import pytest

from jgm.cli.config import load_config
from jgm.cli.errors import UserError
from jgm.cli.stopping import check_stop, standing


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


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    (("stop.metric=eval/x", "stop.mode=least"), 'is "min" or "max", not \'least\''),
    (("stop.metric=eval/x",), "at the end only: set config.eval.every_steps"),
    (("stop.metric=loss", "log.every_steps=0"), "set config.log.every_steps"),
  ],
)
def test_what_could_never_act_is_refused(overrides, message):
  with pytest.raises(UserError, match=message):
    check_stop(load_config("configs/ddpm.py:smoke", overrides))


def test_what_can_act_is_not_refused():
  for overrides in (
    (),
    ("stop.mode=least",),  # of no metric
    ("stop.metric=loss",),
    ("stop.metric=eval/x", "eval.every_steps=4", "stop.mode=max"),
  ):
    check_stop(load_config("configs/ddpm.py:smoke", overrides))
