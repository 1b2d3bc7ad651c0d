"""The likelihood of held-out data: its unit, its kind, its bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.core.experiment import LogProb
from jgm.data import make_dataset, to_levels
from jgm.eval.likelihood import held_out_likelihood


def likelihood(name, fn, kind, of, *, num_examples=30, chunk=8, **options):
  data = make_dataset(name, batch_size=1, seed=0)
  found = held_out_likelihood(
    LogProb(fn, kind, of),
    None,
    data,
    jax.random.key(0),
    num_examples=num_examples,
    chunk=chunk,
    **options,
  )
  ((quantity, scalar),) = found.items()
  return quantity, scalar, data


def test_points_are_measured_in_nats():
  fn = lambda state, batch, key: -jnp.sum(batch["x"] ** 2, axis=1)
  name, scalar, data = likelihood("moons", fn, "exact", "density")
  assert name == "nats_exact" and scalar.floor is None and scalar.better == "lower"
  x = data.split("test")["x"][:30]
  assert scalar.value == pytest.approx(np.mean(np.sum(x**2, axis=1)), rel=1e-5)
  assert scalar.ceiling == pytest.approx(2 * np.log(4))  # uniform on [-2, 2]^2
  assert "30 held-out" in scalar.note and "upper bound" not in scalar.note


def test_a_bound_says_so_and_a_known_floor_is_given():
  fn = lambda state, batch, key: -jnp.full(len(batch["x"]), 3.0)
  name, scalar, _ = likelihood("checkerboard", fn, "bound", "density", floor=2.08)
  assert name == "nats_bound" and scalar.floor == 2.08
  assert scalar.value == pytest.approx(3)
  assert "an upper bound" in scalar.note and "floor: the exact density" in scalar.note


def test_a_density_of_grey_levels_is_of_dequantised_values():
  """Uniform over all bins: log2(17) bits, and no value is a grey level's own."""
  seen = []

  def fn(state, batch, key):
    seen.append(np.asarray(batch["x"]))
    width = 2 / 16
    return jnp.full(len(batch["x"]), -64 * np.log(17 * width), jnp.float32)

  name, scalar, data = likelihood("digits", fn, "exact", "density")
  assert name == "bits_per_dim_exact_dequantised"
  assert scalar.value == pytest.approx(scalar.ceiling) == pytest.approx(np.log2(17))
  test = data.split("test")["x"][:30]
  noisy = np.concatenate(seen)[:30]
  assert np.mean(noisy == test) < 0.01
  np.testing.assert_array_equal(to_levels(noisy, data.spec), to_levels(test, data.spec))


def test_a_mass_sees_the_grey_levels_themselves():
  def fn(state, batch, key):
    assert batch["label"].shape == (8,)
    np.testing.assert_array_equal(batch["x"] * 8 % 1, 0)
    return jnp.full(8, -64 * np.log(2.0), jnp.float32)

  name, scalar, _ = likelihood("digits", fn, "bound", "mass")
  assert name == "bits_per_dim_bound" and scalar.value == pytest.approx(1)
