"""The `sample` of an experiment that walks from noise to data, and its trajectory."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jgm.noise import Denoiser, Schedule, per_example, prior_scale
from jgm.samplers.ancestral import ancestral
from jgm.samplers.annealed_langevin import annealed_langevin
from jgm.samplers.chunks import in_chunks
from jgm.samplers.ddim import ddim
from jgm.samplers.dpm_solver import dpm_solver
from jgm.samplers.euler_maruyama import euler_maruyama
from jgm.samplers.heun import heun
from jgm.samplers.labels import class_labels
from jgm.samplers.options import check_options
from jgm.samplers.predictor_corrector import predictor_corrector
from jgm.samplers.probability_flow import probability_flow
from jgm.samplers.timesteps import timestep_pairs
from jgm.samplers.walk import Trajectory

Array = jax.Array
PyTree = Any


@functools.wraps(probability_flow)  # and with it the options that there are
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

# Of the trajectory: how many samples, if they are points, and at most how many moments.
NUM_SHOWN, NUM_POINTS_SHOWN, NUM_FRAMES = 6, 600, 7


class Sampling(NamedTuple):
  """Samples of a trained model, and how they arise."""

  # (state, key, n, *, sampler, num_steps, spacing, class_label) -> samples [n, ...]
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
    denoiser: (params, label [B]) -> the Denoiser of these classes. It may return
      (x_0_hat, fraction), for a learned variance: only `ancestral` is shown that, where
      its variance is "learned".
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
    ValueError: if there is no such sampler, option of any sampler, spacing or number of
      steps.
  """
  check_options(options, SAMPLERS)
  keywords = {name: dict(values) for name, values in options.items()}

  def walk(
    name: str, denoiser: Denoiser, x_T, key, num_steps, spacing, num_frames: int = 0
  ):
    if name not in SAMPLERS:
      raise ValueError(f"unknown sampler {name!r}: it is one of {', '.join(SAMPLERS)}")
    given = keywords.get(name, {})
    learned = given.get("variance") == "learned"
    return SAMPLERS[name](
      denoiser if learned else _without_variance(denoiser),
      schedule,
      x_T,
      key,
      timesteps=timestep_pairs(schedule, num_steps, spacing=spacing),
      num_frames=num_frames,
      **given,
    )

  _check_before_training(
    lambda denoiser, x_T, key: walk(sampler, denoiser, x_T, key, num_steps, spacing),
    shape,
  )

  @functools.partial(jax.jit, static_argnums=(3, 4, 5, 6))
  def draw(params, key, label, sampler, num_steps, spacing, num_frames=0):
    key_prior, key_walk = jax.random.split(key)
    x_T = prior_scale(schedule) * jax.random.normal(key_prior, (len(label), *shape))
    model = denoiser(params, label)
    return walk(sampler, model, x_T, key_walk, num_steps, spacing, num_frames)

  def sample(
    state,
    key: Array,
    n: int,
    *,
    sampler: str = sampler,
    num_steps: int = num_steps,
    spacing: str | None = spacing,
    class_label: int | None = None,
  ) -> Array:
    label = class_labels(n, num_classes, class_label)
    walked = (sampler, num_steps, spacing)
    one = lambda key, label: draw(state.ema_params, key, label, *walked)
    return in_chunks(one, key, label, size=chunk_size)

  def trajectory(state, key: Array) -> tuple[Array, list[str]]:
    num_shown = NUM_POINTS_SHOWN if len(shape) == 1 else NUM_SHOWN
    label = class_labels(num_shown, num_classes)
    num_frames = min(NUM_FRAMES, num_steps)
    walked = (sampler, num_steps, spacing, num_frames)
    x_0, frames = draw(state.ema_params, key, label, *walked)
    times = frames.t.tolist()
    captions = [*(f"t = {t:.2g}" if t < 1 else f"t = {t:.4g}" for t in times), "x_0"]
    x_t = _as_images(frames, schedule) if len(shape) == 3 else frames.x_t
    return jnp.concatenate([x_t, x_0[None]]), captions

  return Sampling(sample, trajectory)


def _as_images(frames: Trajectory, schedule: Schedule) -> Array:
  """x_t in the range of images where the variance explodes; as it is where it is 1."""
  variance = schedule.alpha(frames.t) ** 2 + schedule.sigma(frames.t) ** 2
  return frames.x_t / jnp.sqrt(per_example(variance, frames.x_t))


def _without_variance(denoiser: Callable[[Array, Array], Any]) -> Denoiser:
  """A denoiser that returns x_0_hat alone, whether or not it learned a variance."""

  def mean(x_t: Array, t: Array) -> Array:
    output = denoiser(x_t, t)
    return output[0] if isinstance(output, tuple) else output

  return mean


class _Reached(Exception):
  """Nothing was wrong until the network was asked."""


def _check_before_training(walk: Callable[..., Any], shape: tuple[int, ...]) -> None:
  """Raises what a sampler says of its options, without a network."""

  def denoiser(x_t: Array, t: Array) -> Array:
    raise _Reached

  x_T = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
  with contextlib.suppress(_Reached):
    jax.eval_shape(lambda x_T: walk(denoiser, x_T, jax.random.key(0)), x_T)
