"""Rotary positions and ALiBi, against the papers and transformers.

The arrays are remade by tests/references/transformers_gpt2.py.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.models.positions import alibi_bias, alibi_slopes, rotary_angles, rotate

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "transformers_gpt2.npz"


def arrays(part):
  with np.load(REFERENCE) as file:
    return {k.removeprefix(part): file[k] for k in file if k.startswith(part)}


def test_rotation_is_that_of_llama():
  wanted = arrays("rotary/")
  angles = rotary_angles(jnp.asarray(wanted["positions"], jnp.int32), 8)
  for name in ("query", "key"):
    actual = rotate(jnp.asarray(wanted[name]), angles)
    np.testing.assert_allclose(actual, wanted[f"rotated_{name}"], atol=2e-6)


def test_rotation_multiplies_complex_numbers(key):
  """Feature i and feature i + Dh / 2 are one number, turned at its own frequency."""
  x = np.asarray(jax.random.normal(key, (1, 5, 2, 6)))
  positions = np.array([[0, 1, 2, 7, 100]])
  frequencies = 10_000.0 ** (-np.arange(3) / 3)
  turn = np.exp(1j * positions[0][:, None, None] * frequencies)
  wanted = (x[..., :3] + 1j * x[..., 3:]) * turn[None]
  actual = np.asarray(rotate(jnp.asarray(x), rotary_angles(jnp.asarray(positions), 6)))
  np.testing.assert_allclose(actual[..., :3], wanted.real, atol=1e-5)
  np.testing.assert_allclose(actual[..., 3:], wanted.imag, atol=1e-5)


def test_rotary_scores_depend_on_differences_only(key):
  query, other = jax.random.normal(key, (2, 1, 1, 1, 8))

  def score(query_position, key_position):
    at = lambda x, p: rotate(x, rotary_angles(jnp.array([[p]]), 8))
    return float(jnp.sum(at(query, query_position) * at(other, key_position)))

  for difference in (0, 1, 9):
    scores = [score(p + difference, p) for p in (0, 3, 50)]
    np.testing.assert_allclose(scores, scores[0], atol=1e-5)
  assert abs(score(9, 0) - score(1, 0)) > 1e-2
  assert score(0, 0) == pytest.approx(float(jnp.sum(query * other)), rel=1e-6)


def test_rotation_keeps_lengths_and_dtype(key):
  x = jax.random.normal(key, (2, 3, 4, 8))
  turned = rotate(x, rotary_angles(jnp.arange(3)[None], 8))
  np.testing.assert_allclose(
    jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5
  )
  half = rotate(x.astype(jnp.bfloat16), rotary_angles(jnp.arange(3)[None], 8))
  assert half.dtype == jnp.bfloat16


def test_an_odd_head_cannot_be_rotated():
  with pytest.raises(ValueError, match="7 is odd"):
    rotary_angles(jnp.arange(3), 7)


@pytest.mark.parametrize("num_heads", [4, 8, 16])
def test_slopes_are_those_of_bloom(num_heads):
  wanted = arrays("alibi/")[str(num_heads)]
  np.testing.assert_allclose(alibi_slopes(num_heads), wanted, rtol=1e-6)


def test_slopes_of_the_paper():
  """1/2, 1/4 to 1/256 for 8 heads; any number of heads ends there too."""
  np.testing.assert_array_equal(alibi_slopes(8), 0.5 ** np.arange(1, 9))
  np.testing.assert_allclose(alibi_slopes(12)[[0, -1]], [2 ** (-2 / 3), 1 / 256])


def test_bias_falls_with_distance_and_knows_differences_only():
  bias = alibi_bias(jnp.array([4, 5]), jnp.arange(6), 2)
  assert bias.shape == (1, 2, 2, 6) and bias.dtype == jnp.float32
  np.testing.assert_allclose(bias[0, 0, 1], -np.arange(5, -1, -1) / 16)
  np.testing.assert_allclose(bias[0, 1, 0, :5], -np.arange(4, -1, -1) / 256)
  moved = alibi_bias(jnp.array([7, 8]), 3 + jnp.arange(6), 2)
  np.testing.assert_array_equal(bias, moved)
