"""CartPole-v1: a pole on a cart, kept upright by pushes from the left and the right.

Barto, Sutton & Anderson 1983, with the numbers of gymnasium's CartPole-v1: Euler steps,
and 1 for each of at most 500 steps. Units are metres, seconds, kilograms, radians. All
is in the precision of the state.

References: Barto, Sutton & Anderson 1983; Florian 2007, for the equations of motion.
https://doi.org/10.1109/TSMC.1983.6313077
https://coneural.org/florian/papers/05_cart_pole.pdf
"""

import math

import chex
import jax
import jax.numpy as jnp

from jgm.environments.environment import Environment

Array = jax.Array

GRAVITY = 9.8
CART_MASS, POLE_MASS = 1.0, 0.1
HALF_LENGTH = 0.5  # of the pole: from its pivot to its centre of mass
FORCE = 10.0  # newtons, of each push
TAU = 0.02  # seconds from one step to the next
MAX_X = 2.4  # of the cart, from the middle of the track
MAX_THETA = math.radians(12)  # of the pole, from upright
SPREAD = 0.05  # of each coordinate at the start
TIME_LIMIT = 500
SOLVED = 475.0  # the mean return from which gymnasium calls it solved


def reset(key: Array) -> Array:
  """A start: each coordinate uniform in [-0.05, 0.05].

  Args:
    key: typed key [].

  Returns:
    [4] float: x, x_dot, theta, theta_dot; theta is 0 upright and grows to the right.
  """
  return jax.random.uniform(key, (4,), minval=-SPREAD, maxval=SPREAD)


def step(state: Array, action: Array) -> tuple[Array, Array, Array]:
  """What a push of 10 newtons for 0.02 seconds does.

  Args:
    state: [4] float, as `reset` has it.
    action: [] int: 0 pushes to the left, 1 to the right.

  Returns:
    The next state [4]; the reward [] float, 1, also for the last step; and whether the
    episode terminated, [] bool: the cart has left the track, or the pole leans by more
    than 12 degrees. Property: gymnasium's transitions.

  Reference: Barto, Sutton & Anderson 1983.
  """
  chex.assert_shape([state, action], [(4,), ()])
  x, x_dot, theta, theta_dot = state
  x_acceleration, theta_acceleration = accelerations(state, action)
  # Euler's method: positions by the velocities before the step
  state = jnp.stack(
    [
      x + TAU * x_dot,
      x_dot + TAU * x_acceleration,
      theta + TAU * theta_dot,
      theta_dot + TAU * theta_acceleration,
    ]
  )
  terminated = (jnp.abs(state[0]) > MAX_X) | (jnp.abs(state[2]) > MAX_THETA)
  return state, jnp.ones_like(state[0]), terminated


def accelerations(state: Array, action: Array) -> tuple[Array, Array]:
  """Of the cart, in m / s^2, and of the pole's angle, in rad / s^2.

  Args:
    state: [4] float.
    action: [] int, 0 or 1.

  Returns:
    Both [] float. Property: the mirrored state and push give the mirrored values.

  Reference: Florian 2007, without friction.
  """
  _, _, theta, theta_dot = state
  sin, cos = jnp.sin(theta), jnp.cos(theta)
  mass = CART_MASS + POLE_MASS
  moment = POLE_MASS * HALF_LENGTH
  force = jnp.where(action == 1, FORCE, -FORCE).astype(state.dtype)
  pushed = (force + moment * jnp.square(theta_dot) * sin) / mass
  theta_acceleration = (GRAVITY * sin - cos * pushed) / (
    HALF_LENGTH * (4 / 3 - POLE_MASS * jnp.square(cos) / mass)
  )
  return pushed - moment * theta_acceleration * cos / mass, theta_acceleration


CARTPOLE = Environment(
  reset=reset,
  step=step,
  observe=lambda state: state,
  num_actions=2,
  observation_size=4,
  time_limit=TIME_LIMIT,
)
