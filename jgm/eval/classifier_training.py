"""How the small classifiers are trained: AdamW on shifted images, in one scan.

All that is random is drawn on the host, by numpy: a net does not depend on JAX's random
numbers, and half of the compilation, which would be theirs, is saved.
"""

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jgm.core.state import Array, PyTree
from jgm.eval import networks

BATCH_SIZE = 128
KINDS = {"features": networks.FeatureNet, "judge": networks.JudgeNet}
Kind = Literal["features", "judge"]


class Recipe(NamedTuple):
  """How a net is trained. Part of its name on disk."""

  kind: Kind
  num_classes: int
  seed: int
  steps: int
  max_shift: int  # images are shifted by up to so many pixels, as augmentation
  learning_rate: float = 2e-3
  weight_decay: float = 0.05


def train_variables(recipe: Recipe, images: np.ndarray, labels: np.ndarray) -> PyTree:
  """Trains a net.

  Args:
    recipe: what to train, and how.
    images: [N, H, W, C] float32.
    labels: [N] int32.

  Returns:
    The variables, as host arrays: those of `init_variables`, trained. Property: the
    same bits each time on one machine.
  """
  rng = np.random.default_rng([recipe.seed, list(KINDS).index(recipe.kind)])
  variables = init_variables(recipe, images, rng)
  shape = (recipe.steps, BATCH_SIZE)
  rows = rng.integers(0, len(images), shape, np.int32)
  starts = rng.integers(0, 2 * recipe.max_shift + 1, (*shape, 2), np.int32)
  # The seed has done its work: nets that differ in it alone share one compiled program.
  recipe = recipe._replace(seed=0)
  variables["params"] = fit(recipe, variables, images, labels, rows, starts)
  # Every so many, since data are often in the order of their classes.
  some = images[:: -(-len(images) // 1024)]
  features = np.asarray(apply_batch(recipe, variables, some)[1])
  scale = np.sqrt(np.mean(features.astype(np.float64) ** 2))
  variables["feature_scale"] = np.float32(max(scale, 1e-6))
  return jax.device_get(variables)


def init_variables(
  recipe: Recipe, images: np.ndarray, rng: np.random.Generator
) -> dict[str, PyTree]:
  """The variables before training.

  Args:
    recipe: which net.
    images: [N, H, W, C] float32. Their mean and deviation scale the inputs.
    rng: draws the kernels, with variance 1 / fan-in.

  Returns:
    {"params", "mean" [1, 1, 1, 1], "std" [1, 1, 1, 1], "feature_scale" []}.
  """
  net = KINDS[recipe.kind](recipe.num_classes)
  shapes = jax.eval_shape(net.init, jax.random.key(0), images[:1])

  def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    if path[-1].key == "kernel":
      deviation = np.prod(leaf.shape[:-1]) ** -0.5
      return (deviation * rng.standard_normal(leaf.shape)).astype(leaf.dtype)
    return np.full(leaf.shape, path[-1].key == "scale", leaf.dtype)

  return {
    "params": jax.tree_util.tree_map_with_path(draw, shapes),
    "mean": images.mean(keepdims=True, dtype=np.float64).astype(np.float32),
    # Of a constant set, any scale will do.
    "std": np.maximum(images.std(keepdims=True, dtype=np.float64), 1e-6).astype("f4"),
    "feature_scale": np.ones((), np.float32),
  }


@functools.partial(jax.jit, static_argnums=0)
def apply_batch(
  recipe: Recipe, variables: PyTree, images: Array
) -> tuple[Array, Array]:
  """Log-probabilities and scaled features of one batch.

  Args:
    recipe: which net.
    variables: as `train_variables` makes them.
    images: [B, H, W, C] float32.

  Returns:
    (log-probabilities [B, K], features [B, D]).
  """
  logits, features = forward(recipe, variables, images)
  return jax.nn.log_softmax(logits), features / variables["feature_scale"]


def forward(recipe: Recipe, variables: PyTree, images: Array) -> tuple[Array, Array]:
  """Logits and unscaled features of raw images.

  Args:
    recipe: which net.
    variables: as `init_variables` makes them.
    images: [B, H, W, C] float32.

  Returns:
    (logits [B, K], features [B, D]).
  """
  net = KINDS[recipe.kind](recipe.num_classes)
  standardised = (images - variables["mean"]) / variables["std"]
  # The numbers must not depend on the kind of device: no bfloat16 products.
  with jax.default_matmul_precision("highest"):
    outputs: Any = net.apply(variables["params"], standardised)
  logits, features = outputs
  return logits, features


@functools.partial(jax.jit, static_argnums=0)
def fit(
  recipe: Recipe,
  variables: PyTree,
  images: Array,
  labels: Array,
  rows: Array,
  starts: Array,
) -> PyTree:
  """Minimises the cross-entropy, with warm-up and a cosine decay.

  Args:
    recipe: which net, and how.
    variables: to start from.
    images: [N, H, W, C] float32.
    labels: [N] int32.
    rows: [steps, B] int32. Which images make up each batch.
    starts: [steps, B, 2] int32. Where each is cut from its padded copy.

  Returns:
    The parameters.
  """
  schedule = optax.warmup_cosine_decay_schedule(
    0.0, recipe.learning_rate, recipe.steps // 10, recipe.steps
  )
  tx = optax.adamw(schedule, weight_decay=recipe.weight_decay)

  def loss(params: PyTree, batch: Array, targets: Array) -> Array:
    logits, _ = forward(recipe, {**variables, "params": params}, batch)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

  def step(carry: PyTree, draws: tuple[Array, Array]) -> tuple[PyTree, None]:
    params, opt_state = carry
    batch = shifted(images[draws[0]], draws[1], recipe.max_shift)
    grads = jax.grad(loss)(params, batch, labels[draws[0]])
    updates, opt_state = tx.update(grads, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), None

  carry = (variables["params"], tx.init(variables["params"]))
  return jax.lax.scan(step, carry, (rows, starts))[0][0]


def shifted(images: Array, starts: Array, max_shift: int) -> Array:
  """Each image shifted by up to `max_shift` pixels either way, its edges repeated.

  Args:
    images: [B, H, W, C].
    starts: [B, 2] int, in 0 .. 2 max_shift. `max_shift` leaves an image in place.
    max_shift: in pixels.

  Returns:
    [B, H, W, C].
  """
  edge = (max_shift, max_shift)
  padded = jnp.pad(images, ((0, 0), edge, edge, (0, 0)), mode="edge")
  cut = lambda image, start: jax.lax.dynamic_slice(
    image, (start[0], start[1], 0), images.shape[1:]
  )
  return jax.vmap(cut)(padded, starts)
