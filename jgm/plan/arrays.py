"""What a call takes of a dataset, by its shapes alone."""

from jgm.core.experiment import Dataset
from jgm.core.state import PyTree
from jgm.data.shapes import shapes_of


def abstract_arrays(data: Dataset | None, num_steps: int) -> PyTree:
  """The shapes of `data.arrays(0, num_steps)`, `{}` without data; see `shapes_of`."""
  return {} if data is None else shapes_of(data, num_steps)
