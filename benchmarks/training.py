"""Training steps of an experiment as anyone runs them, without the loop around them."""

from collections.abc import Callable
from typing import Any

from jgm.core import Experiment
from jgm.core.parallel import make_program


def make_training(
  experiment: Experiment, *, steps_per_call: int, num_seeds: int = 1
) -> tuple[Callable[[int], None], Any]:
  """What trains for n steps, from where it was, and the parameters' shapes.

  Args:
    experiment: in memory: the same arrays serve all steps.
    steps_per_call: see `make_program`.
    num_seeds: see `make_program`.

  Returns:
    (run, params).
  """
  program = make_program(experiment, num_seeds=num_seeds, steps_per_call=steps_per_call)
  arrays = program.place(experiment.data.arrays(0, steps_per_call))
  state = program.init(0)

  def run(num_steps: int) -> None:
    nonlocal state
    for done in range(0, num_steps, steps_per_call):
      state, _, ok = program.run(state, arrays, min(steps_per_call, num_steps - done))
      assert ok.all(), "a step was not finite"

  return run, program.abstract.params
