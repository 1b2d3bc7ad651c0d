"""Samples in few steps: of flows whose ends are known, beside a floor that is right."""

import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data import make_dataset
from jgm.eval.distance import make_distance
from jgm.eval.few_steps import make_few_steps
from jgm.eval.path_plot import path_lines

DATA = make_dataset("gaussian_mixture", batch_size=8, seed=0)
OPTIONS = {"num_classes": None, "chunk_size": 100, "num_samples": 200, "seed": 0}


def test_a_distance_is_at_its_floor_for_real_points_alone():
  distance = make_distance(DATA, num_samples=500, seed=0, net_steps=None)
  real = DATA.split("train")["x"]
  floor = distance.floor()
  assert 0 < floor.mean < 0.05
  assert abs(distance.of(real[-500:]) - floor.mean) < 4 * floor.spread
  assert distance.of(real[:500] + 0.5) > floor.mean + 20 * floor.spread


def shrinking(params, label):
  """Straight paths from eps to params eps."""
  return lambda x_t, t: x_t * ((1 - params) / ((1 - t) * params + t))[:, None]


def test_a_straight_flow_is_the_same_in_any_number_of_steps(key):
  evaluate = make_few_steps(DATA, shrinking, steps=(1, 2, 8), **OPTIONS)
  found = evaluate({"flow": jnp.array(0.5), "wide": jnp.array(3.0)}, key)
  values = [found.scalars[f"energy_distance_in_{n}"] for n in ("1_step", "8_steps")]
  assert values[0].value == pytest.approx(values[1].value, rel=1e-4)
  assert "wide: " in values[0].note
  assert found.scalars["straightness"].value == pytest.approx(0, abs=1e-5)
  # of ||(1 - 0.5) eps||^2 in the plane, within 4 standard errors
  assert found.scalars["straightness"].ceiling == pytest.approx(0.5, abs=4 * 0.5 / 14)
  assert len(found.images) == 4
  for picture in found.images.values():
    assert picture.dtype == np.uint8 and picture.shape[2] == 3


@pytest.mark.parametrize("steps", [(), (0, 1), (2, 1), (1, 1)])
def test_steps_must_grow(steps):
  with pytest.raises(ValueError, match="euler_steps"):
    make_few_steps(DATA, shrinking, steps=steps, **OPTIONS)


def test_paths_are_drawn_where_they_lead():
  """A path along the diagonal leaves ink on it, and none in the other corners."""
  t = np.linspace(-1, 1, 20)
  picture = path_lines({"diagonal": np.stack([t, t], 1)[:, None]}).astype(int)
  ink = np.argwhere((picture[..., 2] - picture[..., 0]) > 40)  # blue
  height, width = picture.shape[:2]
  low_left = (ink[:, 0] > 0.6 * height) & (ink[:, 1] < 0.4 * width)
  low_right = (ink[:, 0] > 0.6 * height) & (ink[:, 1] > 0.6 * width)
  assert low_left.sum() > 50 and low_right.sum() == 0


@pytest.mark.parametrize("paths", [{}, {"a": np.zeros((3, 2))}])
def test_other_shapes_are_refused(paths):
  with pytest.raises(ValueError):
    path_lines(paths)
