"""How fast each sampler's error vanishes: the slope of log error over log step.

On a mixture of three Gaussians with its exact denoiser, in float64, from much noise to
a little, where the truth is a solve of the same ODE to 1e-10, or of the same SDE with
the same Brownian motion in many more steps.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm import noise
from jgm.data.gaussian_mixture import mixture_score
from jgm.samplers.ddim import ddim
from jgm.samplers.dpm_solver import dpm_solver
from jgm.samplers.euler_maruyama import euler_maruyama
from jgm.samplers.heun import heun
from jgm.samplers.probability_flow import probability_flow
from jgm.samplers.timesteps import timestep_pairs

START, END = 0.9, 0.1
COUNTS = (32, 64, 128)
SCHEDULES = {
  "vp": noise.vp_schedule(),
  "rectified": noise.rectified_schedule(),
}
# the sampler, its order, and the spacing
ORDERS = {
  "ddim": (ddim, 1, "log_snr"),
  "dpm_solver": (dpm_solver, 2, "log_snr"),
  "heun": (heun, 2, "karras"),
}


def steps(schedule, count, spacing):
  """From START to END, without the step from there to clean data."""
  between = schedule._replace(first=END, last=START)
  return timestep_pairs(between, count + 1, spacing=spacing)[:-1]


def fitted_order(counts, errors):
  return -np.polyfit(np.log(counts), np.log(errors), 1)[0]


def starting_points(schedule, n):
  spread = np.hypot(schedule.alpha(START), schedule.sigma(START))
  return spread * np.random.default_rng(0).standard_normal((n, 2))


@pytest.fixture(scope="module")
def truths(mixture, mixture_denoiser, run_float64):
  """Where the probability-flow ODE leads: {schedule: (x_T, x_END)}."""
  found = {}
  for name, schedule in SCHEDULES.items():
    x_T = starting_points(schedule, 16)
    denoiser = mixture_denoiser(mixture, schedule)
    options = {"start": START, "end": END, "rtol": 1e-10, "atol": 1e-10}
    x = run_float64(probability_flow, denoiser, schedule, x_T, denoise=False, **options)
    found[name] = x_T, x
  return found


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_denoiser_is_exact(name, mixture, mixture_denoiser):
  """The score that it stands for is that of the mixture, noised."""
  schedule = SCHEDULES[name]
  with jax.enable_x64(True):
    x, t = jnp.asarray(starting_points(schedule, 4)), jnp.array([0.1, 0.3, 0.6, 0.9])
    score = noise.make_score(mixture_denoiser(mixture, schedule), schedule)
    wanted = mixture_score(mixture, x, alpha=schedule.alpha(t), sigma=schedule.sigma(t))
    np.testing.assert_allclose(jax.jit(score)(x, t), wanted, rtol=1e-8)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("method", ORDERS)
def test_order_of_the_ode_solvers(
  method, name, truths, mixture, mixture_denoiser, run_float64
):
  """Within 0.25 of the order that theory gives."""
  sampler, order, spacing = ORDERS[method]
  schedule, (x_T, truth) = SCHEDULES[name], truths[name]
  denoiser, errors = mixture_denoiser(mixture, schedule), []
  for count in COUNTS:
    pairs = steps(schedule, count, spacing)
    x = run_float64(sampler, denoiser, schedule, x_T, key=None, timesteps=pairs)
    errors.append(np.sqrt(np.mean((x - truth) ** 2)))
  fitted = fitted_order(COUNTS, errors)
  print(f"{method} on {name}: order {fitted:.3f}, errors {np.array(errors)}")
  assert abs(fitted - order) < 0.25


@pytest.mark.parametrize("name", SCHEDULES)
def test_strong_order_of_euler_maruyama(name, mixture, mixture_denoiser):
  """1, for the noise is additive; the increments are those of one Brownian motion."""
  schedule, finest, n = SCHEDULES[name], 4096, 128
  denoiser = mixture_denoiser(mixture, schedule)
  x_T = starting_points(schedule, n)
  increments = np.random.default_rng(1).standard_normal((finest, n, 2))

  def run(count):
    t = np.linspace(START, END, count + 1)
    pairs = np.stack([t[:-1], t[1:]], axis=1)
    together = finest // count
    coupled = increments.reshape(count, together, n, 2).sum(1) / np.sqrt(together)
    with jax.enable_x64(True):
      sample = jax.jit(
        lambda x_T, z: euler_maruyama(
          denoiser, schedule, x_T, None, timesteps=pairs, noise=z
        )
      )
      return np.asarray(sample(jnp.asarray(x_T), jnp.asarray(coupled)))

  truth, counts = run(finest), (64, 128, 256)
  errors = [np.mean(np.linalg.norm(run(count) - truth, axis=1)) for count in counts]
  fitted = fitted_order(counts, errors)
  print(
    f"euler_maruyama on {name}: strong order {fitted:.3f}, errors {np.array(errors)}"
  )
  assert abs(fitted - 1) < 0.25
