"""The U-Net: its sizes, its size, what its switches change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.models.unet import UNet

CIFAR10 = {
  "channels": 128,
  "channel_multipliers": (1, 2, 2, 2),
  "num_blocks": 2,
  "attention_resolutions": (16,),
  "dropout": 0.1,
}
TINY = {"channels": 8, "channel_multipliers": (1, 2), "num_blocks": 0}


def shapes(model, shape, label=None):
  x, t = jnp.zeros(shape), jnp.zeros(shape[0])
  return jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), x, t, label))


def count(variables):
  return sum(a.size for a in jax.tree.leaves(variables))


def tiny(**fields):
  """A small U-Net and parameters all drawn, as zero ones would hide the network."""
  model = UNet(**{**TINY, **fields})
  label = None if model.num_classes is None else jnp.zeros(2, jnp.int32)
  _, variables = shapes(model, (2, 4, 4, 1), label)
  rng = np.random.default_rng(1)
  draw = lambda a: jnp.asarray(0.3 * rng.normal(size=a.shape), a.dtype)
  return model, jax.tree.map(draw, variables["params"])


@pytest.fixture
def images():
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.normal(size=(2, 4, 4, 1)), jnp.float32), jnp.array([3, 500])


def test_parameters_of_the_papers_cifar10_network():
  """35.7M (Ho et al. 2020, appendix B); the paper's code has 35,746,307.

  The difference is biases that change nothing: of each first convolution (4,992), whose
  sum with the bias of the projected time is what counts, and of the queries, keys and
  values of six attention blocks (4,608).
  """
  _, variables = shapes(UNet(**CIFAR10), (1, 32, 32, 3))
  assert count(variables) == 35_746_307 - 4_992 - 4_608
  assert round(count(variables) / 1e6, 1) == 35.7


def test_parameters_of_the_default():
  _, variables = shapes(UNet(), (1, 8, 8, 1))
  assert count(variables) == 700_161
  _, labelled = shapes(UNet(num_classes=10), (1, 8, 8, 1))
  assert count(labelled) - count(variables) == 11 * 4 * 32
  dtypes = {
    a.dtype for a in jax.tree.leaves(shapes(UNet(dtype=jnp.bfloat16), (1, 8, 8, 1)))
  }
  assert dtypes == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(
  "shape", [(3, 12, 20, 3), (1, 4, 28, 1), (2, 8, 8, 5)], ids=str
)
def test_any_size_that_divides(shape):
  model = UNet(channel_multipliers=(1, 2, 3), attention_resolutions=(6, 2))
  assert shapes(model, shape)[0].shape == shape
  out = shapes(model.copy(out_channels=7), shape)[0]
  assert out.shape == (*shape[:3], 7) and out.dtype == jnp.float32


@pytest.mark.parametrize("size", [(6, 8), (8, 30), (7, 7)], ids=str)
def test_a_size_that_does_not_divide_is_named(size):
  model = UNet(channel_multipliers=(1, 2, 2))
  with pytest.raises(ValueError, match=f"multiples of 4; got {size[0]} x {size[1]}"):
    shapes(model, (1, *size, 1))


def test_a_label_without_classes_is_refused():
  with pytest.raises(ValueError, match="num_classes"):
    shapes(UNet(), (1, 8, 8, 1), label=jnp.zeros(1, jnp.int32))


def test_one_time_or_label_is_not_for_all_images():
  x, one, both = jnp.zeros((2, 8, 8, 1)), jnp.zeros(1, jnp.int32), jnp.zeros(2)
  model, key = UNet(num_classes=3), jax.random.key(0)
  init = lambda *args: jax.eval_shape(model.init, key, *args)
  for arguments in ((x, one), (x, both, one)):
    with pytest.raises(AssertionError, match="shape"):
      init(*arguments)


def test_output_is_zero_at_first(images):
  model = UNet(channels=4, channel_multipliers=(1,), num_blocks=0)
  out, variables = jax.jit(model.init_with_output)(jax.random.key(0), *images)
  np.testing.assert_array_equal(out, 0)
  assert set(variables) == {"params"}


def test_depends_on_time_and_class(images):
  """Each example on its own class only; the extra class is the same as no label."""
  x, t = images
  model, params = tiny(num_classes=3)
  apply = jax.jit(lambda t, label: model.apply({"params": params}, x, t, label))
  first, second = apply(t, jnp.array([0, 0])), apply(t, jnp.array([1, 0]))
  assert jnp.abs(first[0] - second[0]).max() > 1e-3
  np.testing.assert_array_equal(first[1], second[1])
  assert jnp.abs(first - apply(t + 1, jnp.array([0, 0]))).max() > 1e-3
  none = apply(t.astype(jnp.float32), None)
  np.testing.assert_allclose(none, apply(t, jnp.array([3, 3])), rtol=1e-4, atol=1e-4)


def test_dropout_only_while_training(images):
  model, params = tiny(dropout=0.5, channel_multipliers=(1,))
  apply = jax.jit(
    lambda key, train: model.apply(
      {"params": params}, *images, train=train, rngs={"dropout": key}
    ),
    static_argnums=1,
  )
  a, b = jax.random.split(jax.random.key(0))
  np.testing.assert_array_equal(apply(a, False), apply(b, False))
  assert jnp.abs(apply(a, True) - apply(b, True)).max() > 1e-3


def test_remat_gives_the_same_gradients_and_all_are_used(images):
  """With dropout. No gradient is zero or pure rounding either."""

  def gradients(**fields):
    fields.update(channel_multipliers=(1,), dropout=0.1, num_classes=3)
    model, params = tiny(**fields)
    label, rngs = jnp.array([0, 3]), {"dropout": jax.random.key(5)}

    def loss(params):
      y = model.apply({"params": params}, *images, label, train=True, rngs=rngs)
      return jnp.mean(y**2)

    return jax.jit(jax.grad(loss))(params)

  plain, remat = gradients(), gradients(remat=True)
  assert jax.tree.structure(plain) == jax.tree.structure(remat)
  largest = max(jnp.abs(g).max() for g in jax.tree.leaves(plain))
  for path, grad in jax.tree_util.tree_leaves_with_path(plain):
    assert jnp.abs(grad).max() > 1e-4 * largest, jax.tree_util.keystr(path)
  for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(remat), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * largest)


def test_bfloat16_is_finite_and_near(images):
  model, params = tiny(channel_multipliers=(1,))
  half = model.copy(dtype=jnp.bfloat16)
  apply = lambda m: jax.jit(lambda x, t: m.apply({"params": params}, x, t))(*images)
  expected, y = apply(model), apply(half)
  assert y.dtype == jnp.float32
  np.testing.assert_allclose(y, expected, atol=0.1 * float(jnp.abs(expected).max()))
