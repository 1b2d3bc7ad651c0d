"""The `sample` of an experiment that walks from noise to data, and its trajectory."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jgm.noise import Denoiser, Schedule, prior_scale
from jgm.samplers.ancestral import ancestral
from jgm.samplers.annealed_langevin import annealed_langevin
from jgm.samplers.chunks import in_chunks
from jgm.samplers.ddim import ddim
from jgm.samplers.dpm_solver import dpm_solver
from jgm.samplers.euler_maruyama import euler_maruyama
from jgm.samplers.heun import heun
from jgm.samplers.labels import class_labels
from jgm.samplers.predictor_corrector import predictor_corrector
from jgm.samplers.probability_flow import probability_flow
from jgm.samplers.timesteps import timestep_pairs

Array = jax.Array
PyTree = Any


def _adaptive(*args: Any, timesteps: Any, **options: Any) -> Any:
  """The probability-flow ODE, whose solver chooses its own steps."""
  del timesteps
  return probability_flow(*args, **options)


SAMPLERS: dict[str, Callable[..., Any]] = {
  "ancestral": ancestral,
  "annealed_langevin": annealed_langevin,
  "ddim": ddim,
  "dpm_solver": dpm_solver,
  "euler_maruyama": euler_maruyama,
  "heun": heun,
  "predictor_corrector": predictor_corrector,
  "probability_flow": _adaptive,
}

# Of the trajectory: how many samples, and at most how many moments of each.
NUM_SHOWN, NUM_FRAMES = 6, 7


class Sampling(NamedTuple):
  """Samples of a trained model, and how they arise."""

  # (state, key, n, *, sampler, num_steps, class_label) -> samples [n, ...]
  sample: Callable[..., Array]
  # (state, key) -> (frames [K, n, ...], their K captions)
  trajectory: Callable[[Any, Array], tuple[Array, list[str]]]


def make_sampling(
  denoiser: Callable[[PyTree, Array], Denoiser],
  schedule: Schedule,
  shape: tuple[int, ...],
  options: Mapping[str, Mapping[str, Any]],
  *,
  sampler: str,
  num_steps: int,
  spacing: str | None = None,
  chunk_size: int,
  num_classes: int | None = None,
) -> Sampling:
  """What an experiment's `sample` and trajectory are, whatever its network predicts.

  Sampling is by the averaged parameters, `state.ema_params`.

  Args:
    denoiser: (params, label [B]) -> the Denoiser of these classes.
    schedule: of the noise.
    shape: of one example.
    options: the keywords of each of `SAMPLERS` that has any, by its name.
    sampler: the name of the default one.
    num_steps: its number of steps.
    spacing: of the steps, as `timestep_pairs` has it; None: evenly in time.
    chunk_size: samples at a time.
    num_classes: K of a conditional model; None where the model knows no classes.

  Returns:
    A Sampling.

  Raises:
    ValueError: if there is no such sampler, option, spacing or number of steps.
  """

  keywords = {name: dict(values) for name, values in options.items()}
  spaced = {} if spacing is None else {"spacing": spacing}

  def walk(name: str, denoiser: Denoiser, x_T, key, num_steps: int, num_frames: int):
    if name not in SAMPLERS:
      raise ValueError(f"unknown sampler {name!r}: it is one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name](
      denoiser,
      schedule,
      x_T,
      key,
      timesteps=timestep_pairs(schedule, num_steps, **spaced),
      num_frames=num_frames,
      **keywords.get(name, {}),
    )

  _check_before_training(
    lambda denoiser, x_T, key: walk(sampler, denoiser, x_T, key, num_steps, 0), shape
  )

  @functools.partial(jax.jit, static_argnames=("sampler", "num_steps", "num_frames"))
  def draw(params, key, label, sampler, num_steps, num_frames=0):
    key_prior, key_walk = jax.random.split(key)
    x_T = prior_scale(schedule) * jax.random.normal(key_prior, (len(label), *shape))
    return walk(sampler, denoiser(params, label), x_T, key_walk, num_steps, num_frames)

  def sample(
    state,
    key: Array,
    n: int,
    *,
    sampler: str = sampler,
    num_steps: int = num_steps,
    class_label: int | None = None,
  ) -> Array:
    label = class_labels(n, num_classes, class_label)
    one = lambda key, label: draw(state.ema_params, key, label, sampler, num_steps)
    return in_chunks(one, key, label, size=chunk_size)

  def trajectory(state, key: Array) -> tuple[Array, list[str]]:
    label = class_labels(NUM_SHOWN, num_classes)
    num_frames = min(NUM_FRAMES, num_steps)
    x_0, frames = draw(state.ema_params, key, label, sampler, num_steps, num_frames)
    captions = [*(f"t = {t:.4g}" for t in frames.t.tolist()), "x_0"]
    return jnp.concatenate([frames.x_t, x_0[None]]), captions

  return Sampling(sample, trajectory)


class _Reached(Exception):
  """Nothing was wrong until the network was asked."""


def _check_before_training(walk: Callable[..., Any], shape: tuple[int, ...]) -> None:
  """Raises what a sampler says of its options, without a network."""

  def denoiser(x_t: Array, t: Array) -> Array:
    raise _Reached

  x_T = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
  with contextlib.suppress(_Reached):
    jax.eval_shape(lambda x_T: walk(denoiser, x_T, jax.random.key(0)), x_T)
