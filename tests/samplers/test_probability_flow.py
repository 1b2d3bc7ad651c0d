"""The probability-flow ODE, against the exact flow of a Gaussian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.samplers.probability_flow import probability_flow


def exact_flow(path, gaussian, x, start, end):
  """Each direction is scaled as its standard deviation is."""
  centred = (x - path.alpha(start) * gaussian.mean) @ gaussian.vectors
  std = lambda t: np.sqrt(path.alpha(t) ** 2 * gaussian.values + path.sigma(t) ** 2)
  return (
    path.alpha(end) * gaussian.mean
    + (centred * std(end) / std(start)) @ gaussian.vectors.T
  )


@pytest.mark.parametrize("name", ["cosine", "sub_vp", "ve", "rectified"])
def test_it_is_the_exact_flow_of_a_gaussian(name, paths, gaussian, run_float64):
  """From the last time to the first."""
  path, x_T = paths[name], np.random.default_rng(0).standard_normal((3, 2))
  schedule = path.schedule
  start, end = schedule.last, schedule.first
  if schedule.num_steps:  # few of the integers, at each of which the rates jump
    start, end = 10, 2
  x = run_float64(
    probability_flow,
    gaussian.denoiser(schedule),
    schedule,
    x_T,
    start=start,
    end=end,
    rtol=1e-8,
    atol=1e-8,
    denoise=False,
  )
  wanted = exact_flow(path, gaussian, x_T, start, end)
  np.testing.assert_allclose(x, wanted, rtol=1e-5, atol=1e-6)


def test_frames_evaluations_and_the_last_estimate(gaussian, paths):
  """In float32; the evaluations are those that a counter sees."""
  path, calls = paths["rectified"], []
  exact = gaussian.denoiser(path.schedule)

  def counted(x_t, t):
    jax.debug.callback(lambda: calls.append(1))
    return exact(x_t, t)

  @jax.jit
  def sample(x_T):
    options = {"num_frames": 3, "with_evaluations": True}
    return probability_flow(counted, path.schedule, x_T, **options)

  x_T = jnp.linspace(-1.0, 1.0, 6).reshape(3, 2)
  x_0, frames, evaluations = sample(x_T)
  jax.effects_barrier()
  assert len(calls) == evaluations + 3  # the frames' own estimates
  np.testing.assert_allclose(frames.t, [1.0, 0.525, 0.05], rtol=1e-6)
  for t, x_t, x_0_hat in zip(frames.t, frames.x_t, frames.x_0_hat, strict=True):
    wanted = exact_flow(path, gaussian, np.asarray(x_T, np.float64), 1.0, float(t))
    np.testing.assert_allclose(x_t, wanted, atol=2e-4)
    np.testing.assert_allclose(
      x_0_hat, gaussian.estimate(path, wanted, float(t)), atol=2e-4
    )
  np.testing.assert_allclose(frames.x_0_hat[-1], x_0, atol=1e-5)


def test_steps_are_as_short_as_the_worst_example_needs(paths, gaussian):
  """One bad example among many good ones is not averaged away."""
  path = paths["rectified"]
  sample = jax.jit(
    lambda x_T: probability_flow(
      gaussian.denoiser(path.schedule),
      path.schedule,
      x_T,
      rtol=0.0,
      atol=1e-4,
      denoise=False,
    )
  )
  x_T = jnp.concatenate([jnp.full((1, 2), 300.0), jnp.zeros((2999, 2))])
  wanted = exact_flow(path, gaussian, np.asarray(x_T[:1], np.float64), 1.0, 0.05)
  np.testing.assert_allclose(sample(x_T)[:1], wanted, atol=1e-2)


def test_bad_input_is_named():
  x_T, still = jnp.zeros((2, 2)), lambda x_t, t: x_t
  schedule = noise.vp_schedule()
  with pytest.raises(ValueError, match="sigma = 0: begin at a later time"):
    probability_flow(still, noise.rectified_schedule(), x_T)
  for times in ({"start": 0.5, "end": 0.5}, {"start": 1.5}, {"end": -1}):
    with pytest.raises(ValueError, match=r"0 <= low < high <= 1\.0"):
      probability_flow(still, schedule, x_T, **times)
  with pytest.raises(ValueError, match="num_frames must be at least 0"):
    probability_flow(still, schedule, x_T, num_frames=-1)
  with pytest.raises(AssertionError):
    probability_flow(lambda x_t, t: x_t[:, :1], schedule, x_T)
