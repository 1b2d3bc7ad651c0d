"""Colour transfer: plans along falling epsilons, and what they make of the colours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import color_transfer
from jgm import ot
from jgm.cli.config import load_config
from jgm.core.program import base_key
from jgm.data.photos import read_photos
from jgm.eval.color_transfer import linear_transfer, pixels
from jgm.eval.palettes import palette_plot, principal_plane


def config_of(**changes):
  config = load_config("configs/color_transfer.py:smoke")
  config.update_from_flattened_dict(changes)
  return config


@pytest.fixture(scope="module")
def solved():
  """The experiment after all of its steps, and the metrics of each."""
  config = config_of()
  experiment = color_transfer.make(config)
  step = jax.jit(experiment.step)
  state, rows = jax.jit(experiment.init)(base_key(0), {}), []
  for _ in config.epsilons:
    state, metrics = step(state, {}, base_key(1))
    state = state.replace(step=state.step + 1)
    rows.append(jax.device_get(metrics))
  return config, experiment, state, rows


def test_each_row_solves_its_own_epsilon(solved):
  """Against the solver from nothing, by the plans: potentials have a free constant."""
  config, _, state, rows = solved
  x, y = state.extra
  for index in (0, 3, 7):
    direct = ot.sinkhorn(
      x, y, epsilon=config.epsilons[index], relative=True, tolerance=1e-5
    )
    f, g = state.params["f"][index], state.params["g"][index]
    plan = ot.plan(direct._replace(f=f, g=g))
    # Both are within their tolerances, 1e-3 and 1e-5, in the sum over a row and column.
    assert float(jnp.abs(plan - ot.plan(direct)).sum()) < 0.02
    assert rows[index]["transport/converged"] == 1.0
    assert rows[index]["epsilon"] == pytest.approx(float(direct.problem.epsilon))


def test_the_palette_is_that_of_the_photographs(solved):
  _, _, state, _ = solved
  photos = read_photos()["photos"].reshape(2, -1, 3)
  for palette, photo in zip(state.extra, photos, strict=True):
    levels = np.round(255 * np.asarray(palette)).astype(np.uint8)
    there = {tuple(colour) for colour in photo.tolist()}
    assert all(tuple(colour) in there for colour in levels.tolist())
  assert not np.array_equal(state.extra.x, state.extra.y)


def test_samples_are_in_the_hull_of_the_others_palette(solved):
  _, experiment, state, _ = solved
  samples = np.asarray(experiment.sample(state, base_key(2), 100))
  palette = np.asarray(state.extra.y)
  low, high = palette.min(axis=0), palette.max(axis=0)
  assert (samples >= low - 1e-5).all() and (samples <= high + 1e-5).all()


def test_the_distances_fall_to_near_their_floor(solved):
  _, experiment, state, _ = solved
  scalars = experiment.evaluate(state, base_key(3)).scalars
  for name in ("temple_to_flower_palette", "flower_to_temple_palette"):
    scalar = scalars[name]
    # 32 colours stand for a palette, and 200 pixels are compared.
    assert scalar.floor < scalar.value < 0.5 * scalar.ceiling


def test_the_linear_map_carries_the_mean_and_the_covariance():
  rng = np.random.default_rng(0)
  colours = rng.uniform(size=(2, 500, 3)).astype("f")
  colours[1] = colours[1] @ rng.normal(size=(3, 3)).astype("f") + 2
  moved = linear_transfer(colours)
  for found, wanted in zip(moved, colours[::-1], strict=True):
    np.testing.assert_allclose(found.mean(0), wanted.mean(0), atol=1e-3)
    np.testing.assert_allclose(np.cov(found.T), np.cov(wanted.T), rtol=0.01, atol=1e-3)


def test_two_sets_of_pixels_are_disjoint():
  one, other = pixels(base_key(0), 11, 100)
  assert len(one) == len(other) == 5 and not set(one) & set(other)


def test_the_plane_of_a_palette_holds_its_greatest_spread():
  rng = np.random.default_rng(0)
  colours = rng.normal(size=(500, 3)) * [0.01, 1.0, 0.1] + 0.5
  plane = principal_plane(colours)
  np.testing.assert_allclose(np.abs(plane), [[0, 0], [1, 0], [0, 1]], atol=0.05)
  assert (plane.sum(axis=0) > 0).all()
  with pytest.raises(ValueError, match="no palette"):
    palette_plot({})
  with pytest.raises(ValueError, match="finite"):
    palette_plot({"broken": np.full((4, 3), np.nan)})


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"epsilons": (0.1, 0.2)}, "falls"),
    ({"epsilons": (0.1, 0.0)}, "above 0"),
    ({"epsilons": ()}, "falls"),
    ({"total_steps": 9}, "there are 8"),
    ({"num_shown": 0}, "too few"),
    ({"num_pixels": 0}, "num_pixels"),
  ],
)
def test_what_cannot_be_is_said_by_make(change, message):
  with pytest.raises(ValueError, match=message):
    color_transfer.make(config_of(**change))


def test_a_step_begins_where_the_one_before_ended(solved):
  """Told the solution at its own epsilon, in the row before, it has nothing to do."""
  _, experiment, state, rows = solved
  told = {
    name: leaf.at[6].set(leaf[7]).at[7].set(0.0) for name, leaf in state.params.items()
  }
  last = state.replace(step=jnp.int32(7), params=told)
  _, metrics = jax.jit(experiment.step)(last, {}, base_key(1))
  assert metrics["transport/iterations"] < rows[7]["transport/iterations"]
