"""Two-dimensional distributions, drawn fresh at each step from (seed, step) alone."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jgm.core.experiment import Batch, Dataset
from jgm.core.program import base_key
from jgm.core.state import Array, PyTree
from jgm.data.errors import DatasetError
from jgm.data.gaussian_mixture import (
  GaussianMixture,
  gaussian_grid,
  gaussian_pair,
  gaussian_ring,
  mixture_log_density,
  mixture_sample,
)
from jgm.data.memory import check_split
from jgm.data.spec import DataSpec

Draw = Callable[[Array, int], tuple[Array, Array]]  # (key, n) -> x [n, 2], label [n]
LogDensity = Callable[[Array], Array]  # x [B, 2] -> [B], nats

TOYS = ("moons", "rings", "checkerboard", "gaussian_mixture")
MIXTURES: dict[str, Callable[[], GaussianMixture]] = {
  "ring": gaussian_ring,
  "grid": gaussian_grid,
  "pair": gaussian_pair,
}
SPLIT_SIZE = 10_000  # examples of each of the splits, which no seed changes


def draw_moons(key: Array, n: int, *, noise: float = 0.1) -> tuple[Array, Array]:
  """Two interleaved half circles of radius 1, in about [-1.5, 1.5]; label: which."""
  key_label, key_angle, key_noise = jax.random.split(key, 3)
  label = jax.random.bernoulli(key_label, shape=(n,)).astype(jnp.int32)
  angle = jax.random.uniform(key_angle, (n,), maxval=math.pi)
  sign = 1.0 - 2.0 * label
  # the upper half circle around (-1/2, -1/4), the lower one around (1/2, 1/4)
  x = jnp.stack([sign * (jnp.cos(angle) - 0.5), sign * (jnp.sin(angle) - 0.25)], axis=1)
  return x + noise * jax.random.normal(key_noise, (n, 2)), label


def draw_rings(key: Array, n: int, *, noise: float = 0.05) -> tuple[Array, Array]:
  """Circles of radii 2/3, 4/3, 2 around the origin, equally likely; label: which."""
  key_label, key_angle, key_noise = jax.random.split(key, 3)
  label = jax.random.randint(key_label, (n,), 0, 3)
  angle = jax.random.uniform(key_angle, (n,), maxval=2 * math.pi)
  radius = 2.0 * (label + 1) / 3
  x = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
  return x + noise * jax.random.normal(key_noise, (n, 2)), label


def draw_checkerboard(key: Array, n: int) -> tuple[Array, Array]:
  """Uniform on the 8 dark squares of a 4x4 board over [-2, 2]^2; label: which one.

  The density is 1/8 on dark squares, so the entropy is log 8 nats.
  """
  key_square, key_place = jax.random.split(key)
  label = jax.random.randint(key_square, (n,), 0, 8)
  return dark_corners()[label] + jax.random.uniform(key_place, (n, 2)), label


def dark_corners() -> Array:
  """The lower left corners of the board's 8 dark squares: [8, 2] float32."""
  square = jnp.arange(8)
  row = square // 2
  return jnp.stack([2 * (square % 2) + row % 2, row], axis=1) - 2.0


def checkerboard_log_density(x: Array) -> Array:
  """The log-density of the checkerboard, in nats.

  Args:
    x: [B, 2] float.

  Returns:
    [B] float: -log 8 on the dark squares, their edges among them, else minus infinity.
  """
  beyond = x[:, None] - dark_corners()[None]  # [B, 8, 2], within a square in [0, 1]
  dark = jnp.any(jnp.all((beyond >= 0) & (beyond <= 1), axis=2), axis=1)
  return jnp.where(dark, -math.log(8), -jnp.inf)


def exact_mixture(data: Dataset) -> GaussianMixture | None:
  """The Gaussian mixture that a dataset is drawn from; None where it is not."""
  name, _, arrangement = data.name.partition("/")
  return MIXTURES[arrangement]() if name == "gaussian_mixture" else None


def exact_log_density(data: Dataset) -> LogDensity | None:
  """The log-density that a dataset is drawn from; None where it is not known.

  Args:
    data: any dataset.

  Returns:
    x [B, 2] -> [B], in nats; of the Gaussian mixtures and of the checkerboard.
  """
  mixture = exact_mixture(data)
  if mixture is not None:
    return functools.partial(mixture_log_density, mixture)
  return checkerboard_log_density if data.name == "checkerboard" else None


def make_toy(name: str, *, batch_size: int, seed: int, arrangement: str) -> Dataset:
  """A dataset of points in the plane, drawn fresh at each step.

  Args:
    name: "moons", "rings", "checkerboard" or "gaussian_mixture".
    batch_size: the global batch size, B.
    seed: the seed of the draws.
    arrangement: of the Gaussian mixture: 8 on a "ring", 25 on a "grid", or a "pair".

  Returns:
    A Dataset whose batches are {"x": float32 [B, 2], "label": int32 [B]} and whose
    arrays are empty. A mixture's name says how it is arranged: "gaussian_mixture/ring".

  Raises:
    DatasetError: if the arrangement is unknown.
  """
  draw, num_classes, extent = _toy(name, arrangement)
  nothing: dict = {}
  draw_split = jax.jit(lambda key: draw(key, SPLIT_SIZE))

  def batch(arrays: PyTree, step: Array) -> Batch:
    del arrays
    key = jax.random.fold_in(base_key(seed, "data"), step)
    x, label = draw(key, batch_size)
    return {"x": x, "label": label}

  @functools.cache
  def split(which: str) -> Batch:
    check_split(which)
    key = jax.random.fold_in(
      base_key(0, "data"), 2**32 - 1 - ("train", "test").index(which)
    )
    x, label = draw_split(key)
    return {"x": np.asarray(x), "label": np.asarray(label)}  # type: ignore[dict-item]

  return Dataset(
    name=f"{name}/{arrangement}" if name == "gaussian_mixture" else name,
    spec=DataSpec((2,), None, -extent, extent, num_classes, SPLIT_SIZE, SPLIT_SIZE),
    batch_size=batch_size,
    arrays=lambda first_step, num_steps, rows=None: nothing,
    batch=batch,
    split=split,
    shapes=lambda num_steps: {},
  )


def _toy(name: str, arrangement: str) -> tuple[Draw, int, float]:
  """How it is drawn, the number of classes, and how far from the origin it reaches."""
  if name == "gaussian_mixture":
    if arrangement not in MIXTURES:
      raise DatasetError(
        f"unknown arrangement {arrangement!r}: it is one of {', '.join(MIXTURES)}"
      )
    mixture = MIXTURES[arrangement]()
    extent = 8.0 if arrangement == "pair" else 2.5
    return functools.partial(mixture_sample, mixture), len(mixture.means), extent
  return {
    "moons": (draw_moons, 2, 2.0),
    "rings": (draw_rings, 3, 2.2),
    "checkerboard": (draw_checkerboard, 8, 2.0),
  }[name]
