"""Training steps of an experiment as anyone runs them, without the loop around them."""

from collections.abc import Callable, Sequence
from typing import Any

from jgm.core import Experiment
from jgm.core.parallel import make_program


def make_training(
  experiment: Experiment,
  *,
  steps_per_call: int,
  num_seeds: int = 1,
  seeds: Sequence[int] = (0,),
) -> tuple[Callable[[int], None], Any]:
  """What trains for n steps, from where it was, and the parameters' shapes.

  Args:
    experiment: in memory, or without data: the same arrays serve all steps.
    steps_per_call: see `make_program`.
    num_seeds: see `make_program`.
    seeds: of runs that are trained one after the other, each for all n steps.

  Returns:
    (run, params).
  """
  program = make_program(experiment, num_seeds=num_seeds, steps_per_call=steps_per_call)
  data = experiment.data
  arrays = program.place(data.arrays(0, steps_per_call)) if data else {}
  states = [program.init(seed) for seed in seeds]

  def run(num_steps: int) -> None:
    for i in range(len(states)):
      for done in range(0, num_steps, steps_per_call):
        n = min(steps_per_call, num_steps - done)
        states[i], _, ok = program.run(states[i], arrays, n)
        assert ok.all(), "a step was not finite"

  return run, program.abstract.params
