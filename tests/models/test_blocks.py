"""Normalisation, attention and the embedding of times."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.models.attention import AttentionBlock
from jgm.models.embedding import sinusoidal_embedding
from jgm.models.norm import GroupNorm, group_count


def normal(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("shape", [(3, 4, 5, 24), (2, 7, 8)], ids=str)
def test_group_norm_equals_flax(shape):
  """The value and the gradient, with flax's own parameters."""
  x = 3 * normal(0, *shape) + 2
  groups = group_count(shape[-1])
  ours, theirs = GroupNorm(), nn.GroupNorm(groups)
  params = {"scale": normal(1, shape[-1]), "bias": normal(2, shape[-1])}
  value = lambda m: jax.jit(
    jax.value_and_grad(lambda p, x: jnp.sum(jnp.sin(m.apply({"params": p}, x))), (0, 1))
  )(params, x)
  for a, b in zip(
    jax.tree.leaves(value(ours)), jax.tree.leaves(value(theirs)), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_group_norm_of_a_constant_is_its_bias():
  """No variance at all: finite in value and gradient."""
  x = jnp.full((2, 3, 3, 8), 100.0)
  params = {"scale": jnp.ones(8), "bias": jnp.arange(8.0)}
  f = lambda x: GroupNorm().apply({"params": params}, x)
  np.testing.assert_allclose(f(x), jnp.broadcast_to(params["bias"], x.shape), atol=0.2)
  assert jnp.isfinite(jax.grad(lambda x: f(x).sum())(x)).all()


def test_groups_divide_and_have_four_channels():
  for channels in range(1, 300):
    groups = group_count(channels)
    assert channels % groups == 0 and groups <= 32
    assert groups == 1 or channels // groups >= 4
  assert [group_count(c) for c in (32, 64, 128, 256)] == [8, 16, 32, 32]


def test_groups_that_do_not_divide_are_refused(key):
  with pytest.raises(ValueError, match="3 groups do not divide 8 channels"):
    GroupNorm(groups=3).init(key, jnp.ones((1, 2, 2, 8)))


def test_attention_equals_its_formula_and_forgets_positions(key):
  """One query at a time in numpy; permuted pixels give permuted results."""
  x = normal(0, 2, 3, 2, 8)
  model = AttentionBlock(num_heads=2)
  params = jax.tree.map(jnp.copy, model.init(key, x)["params"])
  np.testing.assert_array_equal(model.apply({"params": params}, x), x)
  params["out"]["kernel"] = normal(1, 8, 8)
  y = model.apply({"params": params}, x)

  normed = GroupNorm().apply({"params": params["GroupNorm_0"]}, x).reshape(2, 6, 8)
  q, k, v = np.split(np.asarray(normed @ params["qkv"]["kernel"], np.float64), 3, -1)
  out = np.zeros((2, 6, 8))
  for b in range(2):
    for i in range(6):
      for head in (slice(0, 4), slice(4, 8)):
        weights = np.exp(k[b, :, head] @ q[b, i, head] / np.sqrt(4))
        out[b, i, head] = weights / weights.sum() @ v[b, :, head]
  expected = x + (out @ np.asarray(params["out"]["kernel"])).reshape(x.shape)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)

  flipped = model.apply({"params": params}, x[:, ::-1])
  np.testing.assert_allclose(flipped, y[:, ::-1], rtol=1e-4, atol=1e-4)


def test_heads_that_do_not_divide_are_refused(key):
  with pytest.raises(ValueError, match="3 heads do not divide 8 channels"):
    AttentionBlock(num_heads=3).init(key, jnp.ones((1, 2, 2, 8)))


def test_embedding_of_times():
  """First column sin(t), last cos(t / 10000); zero gives zeros and ones."""
  t = jnp.array([0, 1, 999])
  e = sinusoidal_embedding(t, 8)
  np.testing.assert_array_equal(e, sinusoidal_embedding(t.astype(jnp.float32), 8))
  np.testing.assert_array_equal(e[0], [0, 0, 0, 0, 1, 1, 1, 1])
  np.testing.assert_allclose(e[:, 0], np.sin([0, 1, 999]), atol=1e-4)
  np.testing.assert_allclose(e[:, 7], np.cos(np.array([0, 1, 999]) / 1e4), atol=1e-6)
  np.testing.assert_allclose(e[:, :4] ** 2 + e[:, 4:] ** 2, 1, atol=1e-5)


def test_embedding_of_an_odd_length_is_refused():
  with pytest.raises(ValueError, match="7 features"):
    sinusoidal_embedding(jnp.zeros(1), 7)
