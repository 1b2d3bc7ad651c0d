"""DCGAN's networks: their sizes, their statistics, and what they refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.models.dcgan import DCGANDiscriminator, DCGANGenerator, halved_sizes

SIZES = {  # an image, and its halves
  (8, 8): [(8, 8), (4, 4)],
  (28, 28): [(28, 28), (14, 14), (7, 7)],
  (30, 41): [(30, 41), (15, 21), (8, 11)],
  (32, 32): [(32, 32), (16, 16), (8, 8), (4, 4)],
}
CHANNELS, NOISE = 2, 3


def normal(*shape):
  return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def made(model, key, *inputs):
  """Its variables, and one step's output and new statistics."""
  variables = jax.jit(model.init)(key, *inputs)
  train = lambda v, *inputs: model.apply(
    v, *inputs, train=True, mutable=["batch_stats"]
  )
  output, updates = jax.jit(train)(variables, *inputs)
  return variables, output, updates


def of_eval(model, variables, *inputs):
  """Output and statistics of a forward pass that may change them, but should not."""
  apply = lambda v, *inputs: model.apply(v, *inputs, mutable=["batch_stats"])
  return jax.jit(apply)(variables, *inputs)


def shapes_of(params):
  return {name: jax.tree.leaves(layer)[-1].shape for name, layer in params.items()}


@pytest.mark.parametrize("image", SIZES, ids=str)
def test_the_generators_sizes_are_the_discriminators_in_reverse(image, key):
  """What comes out of each layer, width by width, whatever the size."""
  sizes, shape = halved_sizes((*image, 3)), (*image, 3)
  assert sizes == SIZES[image]
  generator, critic = DCGANGenerator(shape, CHANNELS), DCGANDiscriminator(CHANNELS)
  x, layers = run_layers(generator, key, jnp.ones((2, NOISE)))
  assert x.shape == (2, *shape) and x.dtype == jnp.float32
  widths = [CHANNELS * 2**level for level in range(len(sizes) - 1)]
  grown = [layers[f"grow_{level}"].shape[1:] for level in range(len(widths))]
  assert grown == [
    (*size, width) for size, width in zip(sizes[:-1], [3, *widths[:-1]], strict=True)
  ]
  score, layers = run_layers(critic, jax.random.key(1), jnp.ones((2, *shape)))
  assert score.shape == (2,) and score.dtype == jnp.float32
  shrunk = [layers[f"shrink_{level}"].shape[1:] for level in range(len(widths))]
  assert shrunk == [
    (*size, width) for size, width in zip(sizes[1:], widths, strict=True)
  ]


def run_layers(model, key, *inputs):
  """The output, and that of each layer by its name; nothing is computed."""

  def run(key):
    variables = model.init(key, *inputs)
    y, state = model.apply(variables, *inputs, capture_intermediates=True)
    return y, state["intermediates"]

  y, found = jax.eval_shape(run, key)
  return y, {
    name: layer["__call__"][0] for name, layer in found.items() if name != "__call__"
  }


def test_no_bias_before_a_normalisation(key):
  z, x = jnp.ones((2, NOISE)), jnp.ones((2, 28, 28, 1))
  params = jax.eval_shape(DCGANGenerator((28, 28, 1), CHANNELS).init, key, z)["params"]
  assert {n for n, p in params.items() if "bias" in p} == {"grow_0"}
  for norm, biased in (("batch", {0}), ("layer", {0}), ("none", {0, 1})):
    critic = DCGANDiscriminator(CHANNELS, norm=norm)
    params = jax.eval_shape(critic.init, key, x)["params"]
    has_bias = {n for n, p in params.items() if "bias" in p and "shrink" in n}
    assert has_bias - {"shrink_1_norm"} == {f"shrink_{level}" for level in biased}
    assert "shrink_0_norm" not in params
    assert ("shrink_1_norm" in params) == (norm != "none")


def test_kernels_start_normal_with_the_papers_deviation(key):
  z = jnp.ones((1, 100))
  params = jax.jit(DCGANGenerator((32, 32, 3), 32).init)(key, z)["params"]
  for name in ("first", "grow_1", "grow_2"):
    kernel = params[name]["kernel"]
    assert float(kernel.std()) == pytest.approx(0.02, rel=5 / np.sqrt(2 * kernel.size))


def test_the_generator_normalises_its_batch_and_is_within_the_range(key):
  """In training a batch's shift and scale are lost; stored statistics keep them."""
  model = DCGANGenerator((8, 8, 1), CHANNELS)
  z = normal(16, NOISE)
  variables, x, _ = made(model, key, z)
  large = jax.tree.map(lambda a: 50 * a, variables["params"])
  _, louder, _ = made(model, key, 3 * z)
  np.testing.assert_allclose(louder, x, atol=1e-2 * float(jnp.abs(x).max()))
  stored = lambda z: of_eval(model, variables, z)[0]
  assert not np.allclose(stored(3 * z), stored(z), atol=1e-4)
  saturated, _ = of_eval(model, {**variables, "params": large}, 100 * z)
  assert 0.99 < float(jnp.abs(saturated).max()) <= 1


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_statistics_change_in_training_only(spectral_norm):
  """Batch statistics, and spectral vectors with them."""
  z, x = normal(4, NOISE), normal(4, 28, 28, 1)
  for seed, model, inputs in (
    (0, DCGANGenerator((28, 28, 1), CHANNELS), z),
    (1, DCGANDiscriminator(CHANNELS, spectral_norm=spectral_norm), x),
  ):
    variables = jax.jit(model.init)(jax.random.key(seed), inputs)
    # flax's SpectralNorm has divided the first kernels: their sigma would be 1 again.
    params = jax.tree.map(lambda a: 2 * a, variables["params"])
    variables = {**variables, "params": params}
    train = functools.partial(model.apply, train=True, mutable=["batch_stats"])
    trained, updates = jax.jit(train)(variables, inputs)
    moved = jax.tree.map(
      lambda a, b: bool(jnp.any(a != b)),
      variables["batch_stats"],
      updates["batch_stats"],
    )
    unmoved = [p for p, m in jax.tree_util.tree_leaves_with_path(moved) if not m]
    # A vector of one number, [1], is its own direction, whose sign alone could change.
    assert all("psi/kernel/u" in str(path) for path in unmoved), unmoved
    output, same = of_eval(model, variables, inputs)
    jax.tree.map(
      np.testing.assert_array_equal, same, {"batch_stats": variables["batch_stats"]}
    )
    assert not np.allclose(output, trained)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_scores_of_a_penalised_critic_are_each_its_own(norm, key):
  """No other example of the batch changes a score, in training too."""
  model = DCGANDiscriminator(CHANNELS, norm=norm)
  x = normal(3, 28, 28, 1)
  variables, scores, _ = made(model, key, x)
  alone = jax.jit(lambda x: model.apply(variables, x, train=True))(x[1:2])
  np.testing.assert_allclose(alone[0], scores[1], rtol=1e-4)
  if norm == "layer":
    found = model.apply(variables, x, capture_intermediates=True)[1]["intermediates"]
    before, after = (found[n]["__call__"][0] for n in ("shrink_1", "shrink_1_norm"))
    pixels = np.asarray(before, np.float64).reshape(3, -1)
    deviation = np.sqrt(pixels.var(1, keepdims=True) + 1e-5)
    expected = (pixels - pixels.mean(1, keepdims=True)) / deviation
    np.testing.assert_allclose(after.reshape(3, -1), expected, atol=1e-4)


def test_spectral_norm_divides_by_numpys_largest_singular_value(key):
  """Of every layer, after enough steps of power iteration."""
  model = DCGANDiscriminator(CHANNELS, norm="none", spectral_norm=True)
  x = normal(2, 28, 28, 1)
  variables = jax.jit(model.init)(key, x)

  def step(statistics, _):
    state = {**variables, "batch_stats": statistics}
    return model.apply(state, x, train=True, mutable=["batch_stats"])[1][
      "batch_stats"
    ], None

  statistics, _ = jax.jit(lambda s: jax.lax.scan(step, s, length=200))(
    variables["batch_stats"]
  )
  sigmas = {
    key_of(path): float(value)
    for path, value in jax.tree_util.tree_leaves_with_path(statistics)
    if "sigma" in key_of(path)
  }
  params = variables["params"]
  kernels = {
    "shrink_0": params["shrink_0"]["kernel"],
    "shrink_1": params["shrink_1"]["kernel"],
    "psi": params["last"]["psi"]["kernel"],
  }
  assert set(sigmas) == {f"{name}/kernel/sigma" for name in kernels}
  largest = {
    name: np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
    for name, kernel in kernels.items()
  }
  for name, sigma in largest.items():
    assert sigmas[f"{name}/kernel/sigma"] == pytest.approx(sigma, rel=1e-4)

  # The score is that of the same network without it, its kernels divided.
  plain = DCGANDiscriminator(CHANNELS, norm="none")
  divided = {
    name: {**params[name], "kernel": kernels[name] / largest[name]}
    for name in ("shrink_0", "shrink_1")
  }
  psi = {**params["last"]["psi"], "kernel": kernels["psi"] / largest["psi"]}
  divided["last"] = {"psi": psi}
  score, _ = of_eval(model, {**variables, "batch_stats": statistics}, x)
  np.testing.assert_allclose(score, plain.apply({"params": divided}, x), rtol=1e-3)


def key_of(path):
  return path[-1].key


def test_the_class_changes_the_image_and_the_score(key):
  """Conditional batch normalisation and a projection: one row per class."""
  label = jnp.array([0, 2])
  z, x = jnp.ones((2, NOISE)), jnp.ones((2, 8, 8, 1))
  generator = DCGANGenerator((8, 8, 1), CHANNELS, num_classes=3)
  variables = generator.init(key, z, label)
  noisy = jax.tree.map(lambda a: a + normal(*a.shape), variables["params"])
  images, _ = of_eval(generator, {**variables, "params": noisy}, z, label)
  assert float(jnp.abs(images[0] - images[1]).max()) > 1e-3
  critic = DCGANDiscriminator(CHANNELS, num_classes=3)
  variables = critic.init(jax.random.key(1), x, label)
  first, second = critic.apply(variables, x, label)
  assert first != second
  assert variables["params"]["last"]["embedding"]["embedding"].shape == (3, 32)


@pytest.mark.parametrize("shape", [(7, 8, 1), (8, 129, 1)], ids=str)
def test_sizes_outside_the_range_are_refused(shape, key):
  with pytest.raises(ValueError, match="8 to 128 pixels"):
    DCGANGenerator(shape).init(key, jnp.ones((1, NOISE)))
  with pytest.raises(ValueError, match="8 to 128 pixels"):
    DCGANDiscriminator().init(key, jnp.ones((1, *shape)))


@pytest.mark.parametrize(
  ("options", "label", "message"),
  [
    ({"norm": "instance"}, None, "'instance': the norms are batch, layer, none"),
    ({}, jnp.zeros(1, int), "num_classes is None"),
    ({"num_classes": 3}, None, "needs a label"),
  ],
)
def test_what_the_discriminator_refuses(options, label, message, key):
  with pytest.raises(ValueError, match=message):
    DCGANDiscriminator(**options).init(key, jnp.ones((1, 8, 8, 1)), label)


@pytest.mark.parametrize(
  ("num_classes", "label", "message"),
  [(None, jnp.zeros(1, int), "num_classes is None"), (3, None, "needs a label")],
)
def test_what_the_generator_refuses(num_classes, label, message, key):
  model = DCGANGenerator((8, 8, 1), num_classes=num_classes)
  with pytest.raises(ValueError, match=message):
    model.init(key, jnp.ones((1, NOISE)), label)


def test_bfloat16_computes_in_it_and_answers_in_float32(key):
  z = normal(4, NOISE)
  generators = [DCGANGenerator((8, 8, 1), 4, dtype=d) for d in (jnp.bfloat16, None)]
  generators[1] = DCGANGenerator((8, 8, 1), 4)
  variables = generators[1].init(key, z)
  assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(variables))
  half, full = (of_eval(g, variables, z)[0] for g in generators)
  assert half.dtype == full.dtype == jnp.float32
  np.testing.assert_allclose(half, full, atol=0.03 * float(jnp.abs(full).max()))
  assert bool(jnp.any(half != full))
