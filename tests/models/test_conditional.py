"""Conditional batch norm, the projection head and spectral normalisation, by numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jgm.models.conditional import ConditionalBatchNorm, ProjectionHead, normalized
from jgm.models.conv import Conv

LABEL = np.array([2, 0, 1, 2])
GAIN = np.array([[1.0, -2.0], [3.0, 0.5], [0.0, 4.0]])
SHIFT = np.array([[0.0, 1.0], [-1.0, 2.0], [5.0, 0.25]])


class Normalized(nn.Module):
  """One layer under spectral normalisation, as the networks use it."""

  make: type[nn.Module]
  features: tuple[int, ...]

  @nn.compact
  def __call__(self, x, train=False):
    layer = self.make(*self.features, name="layer")
    return normalized(layer, x, spectral_norm=True, train=train)


LAYERS = {
  "dense": (Normalized(nn.Dense, (7,)), (2, 5), "kernel"),
  "conv": (Normalized(Conv, (6,)), (2, 4, 4, 3), "kernel"),
  "embedding": (Normalized(nn.Embed, (4, 3)), (2,), "embedding"),
}


@pytest.fixture
def images():
  rng = np.random.default_rng(0)
  scale, offset = np.array([1.0, 3.0]), np.array([2.0, -1.0])
  return (scale * rng.normal(size=(4, 3, 5, 2)) + offset).astype(np.float32)


def start(model, *args):
  return jax.jit(model.init)(jax.random.key(0), *args)


def train(model, variables, *args, calls=1):
  """The output and the batch_stats after calls in training."""

  @jax.jit
  def call(variables):
    y, updates = model.apply(variables, *args, train=True, mutable=["batch_stats"])
    return y, {**variables, **updates}

  for _ in range(calls):
    y, variables = call(variables)
  return y, variables["batch_stats"]


def standardised(x, mean, variance):
  return (x - mean) / np.sqrt(variance + 1e-5)


def with_tables(variables):
  tables = {"gain": {"embedding": GAIN}, "shift": {"embedding": SHIFT}}
  return {**variables, "params": jax.tree.map(jnp.float32, tables)}


def test_each_example_has_its_classs_gain_and_shift(images):
  model = ConditionalBatchNorm(num_classes=3)
  variables = with_tables(start(model, images, LABEL))
  mean, variance = images.mean(axis=(0, 1, 2)), images.var(axis=(0, 1, 2))
  affine = lambda y: GAIN[LABEL][:, None, None] * y + SHIFT[LABEL][:, None, None]

  y, stats = train(model, variables, images, LABEL)
  expected = affine(standardised(images, mean, variance))
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
  moved = 0.1 * mean, 0.9 + 0.1 * variance
  np.testing.assert_allclose(stats["norm"]["mean"], moved[0], rtol=1e-5)
  np.testing.assert_allclose(stats["norm"]["var"], moved[1], rtol=1e-5)

  stored = {**variables, "batch_stats": stats}
  expected = affine(standardised(images, *moved))
  y = model.apply(stored, images, LABEL)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
  _, updates = model.apply(stored, images, LABEL, mutable=["batch_stats"])
  jax.tree.map(np.testing.assert_array_equal, updates["batch_stats"], stats)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_it_starts_as_standardisation(images, num_classes):
  model = ConditionalBatchNorm(num_classes, dtype=jnp.bfloat16)
  label = None if num_classes is None else LABEL
  variables = start(model, images, label)
  y, _ = train(model, variables, images, label)
  expected = standardised(images, images.mean((0, 1, 2)), images.var((0, 1, 2)))
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(y.astype(jnp.float32), expected, rtol=1e-2, atol=1e-2)
  leaves = jax.tree.leaves(variables)
  assert len(leaves) == 4 and all(a.dtype == jnp.float32 for a in leaves)
  sizes = sorted(a.size for a in jax.tree.leaves(variables["params"]))
  assert sizes == [2 * (num_classes or 1)] * 2


def test_statistics_are_those_of_all_devices(images):
  """Halves of a batch over an axis give what the batch gives; without it they don't."""

  def both(axis_name):
    model = ConditionalBatchNorm(3, axis_name)
    call = lambda x, label: model.apply(
      variables, x, label, train=True, mutable=["batch_stats"]
    )
    halves = images.reshape(2, 2, *images.shape[1:]), LABEL.reshape(2, 2)
    y, updates = jax.vmap(call, axis_name="data")(*halves)
    return y.reshape(images.shape), updates["batch_stats"]

  variables = with_tables(start(ConditionalBatchNorm(3), images, LABEL))
  whole, stats = train(ConditionalBatchNorm(3), variables, images, LABEL)
  y, halves_stats = both("data")
  np.testing.assert_allclose(y, whole, rtol=1e-4, atol=1e-4)
  close = lambda a, b: np.testing.assert_allclose(a, np.stack([b, b]), rtol=1e-5)
  jax.tree.map(close, halves_stats, stats)
  assert np.abs(both(None)[0] - whole).max() > 0.1


def draw(variables):
  """Parameters all drawn, as a bias of zero would hide that it is there."""
  rng = np.random.default_rng(1)
  drawn = lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32)
  return {**variables, "params": jax.tree.map(drawn, variables["params"])}


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_the_score_is_a_dense_layer_plus_a_projection(spectral_norm):
  model = ProjectionHead(3, spectral_norm)
  features = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
  variables = draw(start(model, features, LABEL))
  kernel, bias = (
    variables["params"]["psi"]["kernel"],
    variables["params"]["psi"]["bias"],
  )
  table = np.asarray(variables["params"]["embedding"]["embedding"])
  if spectral_norm:
    kernel, table = (a / np.linalg.norm(a, 2) for a in (kernel, table))
    _, stats = train(model, variables, features, LABEL, calls=100)
    variables = {**variables, "batch_stats": stats}
  score = model.apply(variables, features, LABEL)
  expected = (features @ kernel)[:, 0] + bias + (table[LABEL] * features).sum(axis=1)
  assert score.shape == (4,) and score.dtype == jnp.float32
  np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-5)


def test_without_classes_the_score_is_a_dense_layer():
  model = ProjectionHead(dtype=jnp.bfloat16)
  features = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
  variables = draw(start(model, features))
  psi = variables["params"].pop("psi")
  assert not variables["params"]
  score = model.apply({"params": {"psi": psi}}, features)
  expected = (features @ psi["kernel"])[:, 0] + psi["bias"]
  assert score.dtype == jnp.float32
  np.testing.assert_allclose(score, expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("module", [ConditionalBatchNorm, ProjectionHead])
def test_labels_and_classes_go_together(module, key):
  x = jnp.zeros((4, 5))
  init = lambda model, label: jax.eval_shape(model.init, key, x, label)
  with pytest.raises(ValueError, match="num_classes is None"):
    init(module(), LABEL)
  with pytest.raises(ValueError, match="3 classes and needs a label"):
    init(module(3), None)
  with pytest.raises(ValueError, match=r"\(4,\), got \(1,\)"):
    init(module(3), LABEL[:1])


def spectral(name):
  """A layer under spectral normalisation, its variables, input and kernel."""
  model, shape, kernel = LAYERS[name]
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=shape), jnp.float32)
  x = jnp.arange(2) if name == "embedding" else x
  variables = draw(start(model, x))
  return model, variables, x, variables["params"]["layer"][kernel]


def norm_of(kernel):
  """The largest singular value of [..., O] as a matrix."""
  return np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]))[1][0]


@pytest.mark.parametrize("name", LAYERS)
def test_kernels_are_divided_by_numpys_largest_singular_value(name):
  model, variables, x, kernel = spectral(name)
  _, stats = train(model, variables, x, calls=150)
  (sigma,) = (a for a in jax.tree.leaves(stats) if a.ndim == 0)
  np.testing.assert_allclose(sigma, norm_of(kernel), rtol=1e-4)
  make, arguments = model.make, model.features
  params = jax.tree.map(lambda a: a / norm_of(kernel) if a.ndim > 1 else a, variables)
  expected = make(*arguments).apply({"params": params["params"]["layer"]}, x)
  y = model.apply({**variables, "batch_stats": stats}, x)
  np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "bound"), [("dense", 1.0), ("conv", 3.0)])
def test_a_layer_stretches_no_more_than_it_may(name, bound):
  """A dense layer by 1; a convolution by the root of its 9 taps, its matrix by 1.

  Miyato et al. bound the matrix [9 C, O]. Each input pixel is in nine of its products.
  """
  model, variables, x, _ = spectral(name)
  _, stats = train(model, variables, x, calls=150)
  call = lambda x: model.apply({**variables, "batch_stats": stats}, x[None])[0].ravel()
  jacobian = np.asarray(jax.jit(jax.jacobian(call))(x[0])).reshape(-1, x[0].size)
  stretch = np.linalg.norm(jacobian, 2)
  assert stretch <= bound * (1 + 1e-4)
  assert stretch >= 1 - 1e-4


def test_the_vector_moves_in_training_only():
  model, variables, x, _ = spectral("conv")
  stats = variables["batch_stats"]
  _, updates = model.apply(variables, x, mutable=["batch_stats"])
  jax.tree.map(np.testing.assert_array_equal, updates["batch_stats"], stats)
  _, moved = train(model, variables, x)
  assert all(
    np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (moved, stats)), strict=True)
  )


def test_the_gradient_knows_that_the_scale_of_a_kernel_is_free():
  """d f(W / sigma) has no part along W; with sigma held fixed it would have one."""
  model, variables, x, kernel = spectral("dense")
  _, stats = train(model, variables, x, calls=150)

  def loss(kernel):
    params = {"layer": {**variables["params"]["layer"], "kernel": kernel}}
    return jnp.square(model.apply({"params": params, "batch_stats": stats}, x)).sum()

  gradient = jax.grad(loss)(kernel)
  cosine = jnp.vdot(gradient, kernel) / jnp.sqrt(
    jnp.vdot(gradient, gradient) * jnp.vdot(kernel, kernel)
  )
  assert abs(float(cosine)) < 1e-4
