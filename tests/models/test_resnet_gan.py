"""The ResNet GAN: the papers' order of operations, its sizes, what changes when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from jgm.models.resnet_gan import ResNetDiscriminator, ResNetGenerator

LABEL = jnp.array([1, 0, 2])
GENERATOR = {"shape": (8, 8, 2), "channels": 3}


def draw(shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


Z, IMAGES = draw((3, 5)), draw((3, 8, 8, 2), 1)


def start(model, *args):
  return jax.jit(model.init)(jax.random.key(0), *args)


def drawn(variables):
  """Parameters all drawn, as biases of zero and gains of one would hide themselves."""
  rng = np.random.default_rng(2)
  draw = lambda a: jnp.asarray(0.5 * rng.normal(size=a.shape), jnp.float32)
  return {**variables, "params": jax.tree.map(draw, variables["params"])}


def shapes(model, *args):
  init = lambda: model.init_with_output(jax.random.key(0), *args)
  return jax.eval_shape(init)


def count(variables):
  return sum(a.size for a in jax.tree.leaves(variables["params"]))


def evaluate(model, variables, *args):
  """The output and the batch_stats, where the model is free to change them."""
  call = lambda variables: model.apply(variables, *args, mutable=["batch_stats"])
  y, updates = jax.jit(call)(variables)
  return y, updates.get("batch_stats")


def train(model, variables, *args, calls=1):
  @jax.jit
  def call(variables):
    y, updates = model.apply(variables, *args, train=True, mutable=["batch_stats"])
    return y, {**variables, **updates}

  for _ in range(calls):
    y, variables = call(variables)
  return y, variables


def kernels(params):
  """The matrices of the network: [kh, kw, C, O] and [C, O]."""
  return [a for a in jax.tree.leaves(params) if a.ndim > 1]


# --- The papers' order of operations, written out ---


def convolve(x, params):
  dims = ("NHWC", "HWIO", "NHWC")
  y = lax.conv_general_dilated(
    x, params["kernel"], (1, 1), "SAME", dimension_numbers=dims
  )
  return y + params.get("bias", jnp.zeros(1)).reshape(1, 1, 1, -1)


def normalise(x, params, label):
  y = (x - x.mean((0, 1, 2), keepdims=True)) / jnp.sqrt(
    x.var((0, 1, 2), keepdims=True) + 1e-5
  )
  if "norm" in params:
    gain, shift = params["norm"]["scale"][None], params["norm"]["bias"][None]
  else:
    gain, shift = (params[name]["embedding"][label] for name in ("gain", "shift"))
  return y * gain[:, None, None] + shift[:, None, None]


def double(x):
  return jnp.kron(x, jnp.ones((1, 2, 2, 1)))


def halve(x):
  return nn.avg_pool(x, (2, 2), (2, 2))


def reference_generator(params, z, label):
  """Miyato et al., for 8 x 8; the shortcut's convolution after the doubling."""
  x = (z @ params["first"]["kernel"] + params["first"]["bias"][None]).reshape(
    -1, 4, 4, 3
  )
  block = params["block_0"]
  y = double(nn.relu(normalise(x, block["norm_0"], label)))
  y = nn.relu(normalise(convolve(y, block["conv_0"]), block["norm_1"], label))
  x = convolve(y, block["conv_1"]) + convolve(double(x), block["shortcut"])
  y = nn.relu(normalise(x, params["last_norm"], label))
  return jnp.tanh(convolve(y, params["last"]))


def reference_discriminator(params, x, label):
  """Miyato et al. and the projection, for 8 x 8; pooling after the convolutions."""
  block = params["block_0"]
  y = convolve(nn.relu(convolve(x, block["conv_0"])), block["conv_1"])
  x = halve(y) + halve(convolve(x, block["shortcut"]))
  for name in ("block_1", "block_2"):
    y = convolve(nn.relu(x), params[name]["conv_0"])
    x = x + convolve(nn.relu(y), params[name]["conv_1"])
  phi, head = nn.relu(x).sum((1, 2)), params["head"]
  score = phi @ head["psi"]["kernel"][:, 0] + head["psi"]["bias"]
  if label is not None:
    score += (head["embedding"]["embedding"][label] * phi).sum(axis=1)
  return score


@pytest.mark.parametrize("label", [None, LABEL])
def test_the_generator_is_the_papers(label):
  model = ResNetGenerator(**GENERATOR, num_classes=None if label is None else 3)
  variables = drawn(start(model, Z, label))
  images, _ = train(model, variables, Z, label)
  expected = jax.jit(reference_generator)(variables["params"], Z, label)
  np.testing.assert_allclose(images, expected, rtol=1e-3, atol=1e-4)
  assert images.dtype == jnp.float32 and float(jnp.abs(images).max()) <= 1


@pytest.mark.parametrize("label", [None, LABEL])
def test_the_discriminator_is_the_papers(label):
  num_classes = None if label is None else 3
  make = lambda pooling: ResNetDiscriminator(
    3, num_classes=num_classes, pooling=pooling
  )
  variables = drawn(start(make("sum"), IMAGES, label))
  expected = jax.jit(reference_discriminator)(variables["params"], IMAGES, label)
  score, _ = evaluate(make("sum"), variables, IMAGES, label)
  np.testing.assert_allclose(score, expected, rtol=1e-3, atol=1e-3)
  bias = variables["params"]["head"]["psi"]["bias"]
  mean, _ = evaluate(make("mean"), variables, IMAGES, label)  # over 4 x 4 pixels
  np.testing.assert_allclose(16 * (mean - bias), score - bias, rtol=1e-3, atol=1e-3)


# --- Sizes ---


@pytest.mark.parametrize(
  "size", [(8, 8), (14, 10), (28, 28), (32, 48), (48, 48), (112, 96), (128, 128)]
)
def test_sizes_from_8_to_128(size):
  shape = (*size, 3)
  images, variables = shapes(ResNetGenerator(shape, 2), Z)
  assert images.shape == (3, *shape)
  blocks = [name for name in variables["params"] if name.startswith("block")]
  assert 4 <= min(size) / 2 ** len(blocks) < 8
  score, _ = shapes(ResNetDiscriminator(2), jnp.zeros(images.shape))
  assert score.shape == (3,)


@pytest.mark.parametrize("size", [(4, 4), (9, 9), (28, 30), (34, 34), (256, 128)])
def test_sizes_that_cannot_be_halved_so_often_are_refused(size):
  with pytest.raises(ValueError, match=r"8 to 128 pixels.*multiples of 2 from 8"):
    shapes(ResNetGenerator((*size, 1), 2), Z)
  with pytest.raises(ValueError, match=f"got {size[0]} x {size[1]}"):
    shapes(ResNetDiscriminator(2), jnp.zeros((1, *size, 1)))


def test_an_unknown_pooling_is_refused():
  with pytest.raises(ValueError, match="'sum' or 'mean', got 'max'"):
    shapes(ResNetDiscriminator(2, pooling="max"), IMAGES)


def test_labels_and_classes_go_together():
  for make, x in (
    (lambda n: ResNetGenerator(**GENERATOR, num_classes=n), Z),
    (lambda n: ResNetDiscriminator(2, num_classes=n), IMAGES),
  ):
    with pytest.raises(ValueError, match="num_classes is None"):
      shapes(make(None), x, LABEL)
    with pytest.raises(ValueError, match="needs a label"):
      shapes(make(3), x)


@pytest.mark.parametrize(("channels", "num_classes"), [(256, None), (128, 10)])
def test_parameters_of_the_papers_generator(channels, num_classes):
  """Miyato et al., table 4 (256 channels), Gulrajani et al. (128), at 32 x 32 x 3.

  Less the biases of three blocks' three convolutions, which batch statistics remove.
  """
  c, rows = channels, num_classes or 1
  dense = 128 * (4 * 4 * c) + 4 * 4 * c
  convolutions = (9 * c * c) + (9 * c * c) + (1 * c * c)
  norms = 2 * rows * (c + c)
  total = dense + 3 * (convolutions + norms) + 2 * c + (9 * c * 3 + 3)
  label = None if num_classes is None else LABEL
  model = ResNetGenerator((32, 32, 3), c, num_classes)
  _, variables = shapes(model, jnp.zeros((3, 128)), label)
  assert count(variables) == total
  if channels == ResNetGenerator.channels:
    assert total == 4_274_435


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_parameters_of_the_papers_discriminator(spectral_norm):
  """Table 4 of Miyato et al.: two blocks that halve, two that do not, 128 channels."""
  conv = lambda taps, inputs: taps * inputs * 128 + 128
  first = conv(9, 3) + conv(9, 128) + conv(1, 3)
  second = conv(9, 128) + conv(9, 128) + conv(1, 128)
  third = fourth = conv(9, 128) + conv(9, 128)
  total = first + second + third + fourth + (128 + 1)
  model = ResNetDiscriminator(spectral_norm=spectral_norm)
  _, variables = shapes(model, jnp.zeros((3, 32, 32, 3)))
  assert count(variables) == total == 1_053_825
  _, labelled = shapes(
    ResNetDiscriminator(num_classes=10), jnp.zeros((3, 32, 32, 3)), LABEL
  )
  assert count(labelled) == total + 10 * 128


# --- What changes when ---


def test_batch_statistics_change_in_training_only():
  model = ResNetGenerator(**GENERATOR)
  variables = start(model, Z)
  stats = variables["batch_stats"]
  images, unmoved = evaluate(model, variables, Z)
  jax.tree.map(np.testing.assert_array_equal, unmoved, stats)
  alone, _ = evaluate(model, variables, Z[1:2])
  np.testing.assert_allclose(alone[0], images[1], rtol=1e-4, atol=1e-5)
  _, trained = train(model, variables, Z)
  moved = lambda a, b: np.any(a != b)
  assert all(jax.tree.leaves(jax.tree.map(moved, trained["batch_stats"], stats)))


def test_statistics_are_those_of_all_devices():
  model = lambda axis_name: ResNetGenerator(**GENERATOR, axis_name=axis_name)
  z = draw((4, 5))
  variables = drawn(start(model(None), z))
  whole, trained = train(model(None), variables, z)
  call = lambda z: model("data").apply(
    variables, z, train=True, mutable=["batch_stats"]
  )
  y, updates = jax.jit(jax.vmap(call, axis_name="data"))(z.reshape(2, 2, 5))
  np.testing.assert_allclose(y.reshape(whole.shape), whole, rtol=1e-3, atol=1e-4)
  close = lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-4, atol=1e-5)
  jax.tree.map(close, updates["batch_stats"], trained["batch_stats"])


def test_every_layer_of_the_discriminator_is_spectrally_normalised():
  """So the score does not know the scale of a kernel, and each has its own sigma."""
  model = ResNetDiscriminator(3, spectral_norm=True, num_classes=3)
  variables = drawn(start(model, IMAGES, LABEL))
  score, trained = train(model, variables, IMAGES, LABEL, calls=200)
  stats = jax.tree.leaves(trained["batch_stats"])
  assert all(isinstance(a, jax.Array) and a.dtype == jnp.float32 for a in stats)
  sigmas = sorted(float(a) for a in stats if a.ndim == 0)
  matrices = [a.reshape(-1, a.shape[-1]) for a in kernels(variables["params"])]
  expected = sorted(np.linalg.norm(np.asarray(a), 2) for a in matrices)
  np.testing.assert_allclose(sigmas, expected, rtol=1e-3)

  triple = lambda a: 3 * a if a.ndim > 1 else a
  scaled = {**trained, "params": jax.tree.map(triple, trained["params"])}
  scaled_score, unmoved = evaluate(model, scaled, IMAGES, LABEL)
  np.testing.assert_allclose(scaled_score, score, rtol=1e-3, atol=1e-4)
  same = np.testing.assert_array_equal
  jax.tree.map(same, unmoved, trained["batch_stats"])


def test_examples_are_scored_alone_and_a_gradient_penalty_has_a_gradient():
  model = ResNetDiscriminator(2)
  variables = drawn(start(model, IMAGES))
  apply = jax.jit(model.apply)
  np.testing.assert_allclose(
    apply(variables, IMAGES[1:2])[0], apply(variables, IMAGES)[1], rtol=1e-4
  )

  @jax.jit
  @jax.grad
  def penalty_gradient(params):
    score = lambda x: model.apply({"params": params}, x[None])[0]
    return jnp.square(jax.vmap(jax.grad(score))(IMAGES)).sum()

  gradient = penalty_gradient(variables["params"])
  assert all(np.isfinite(a).all() for a in jax.tree.leaves(gradient))
  assert all(float(jnp.abs(a).max()) > 0 for a in kernels(gradient))


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_bfloat16_computes_what_float32_does(name):
  make, x = {
    "generator": (lambda dtype: ResNetGenerator(**GENERATOR, dtype=dtype), Z),
    "discriminator": (lambda dtype: ResNetDiscriminator(3, True, dtype=dtype), IMAGES),
  }[name]
  variables = start(make(jnp.bfloat16), x)
  assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(variables))
  (y, _), (exact, _) = (
    evaluate(make(dtype), variables, x) for dtype in (jnp.bfloat16, jnp.float32)
  )
  assert y.dtype == jnp.float32
  difference = np.abs(y - exact).max()
  assert 0 < difference < 0.05 * max(1, np.abs(exact).max())
