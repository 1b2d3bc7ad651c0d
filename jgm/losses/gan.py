"""Adversarial losses of the critic's raw scores, per example.

The critic scores examples, high where it takes them for data. Where it is a classifier
its score C is the logit of "this is real", D = 1 / (1 + exp(-C)): no loss needs D.
`real` are its scores of the data, `fake` those of the generator's examples.

A config names one of `GAN_LOSSES`; any f-divergence makes another: `f_gan`.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jgm.losses.divergence import FDivergence, f_divergence_bound

Array = jax.Array


class GanLoss(NamedTuple):
  """One game: what either player minimises."""

  critic: Callable[[Array, Array], Array]  # (real [B], fake [B]) -> [B]
  generator: Callable[[Array], Array]  # fake [B] -> [B]


def minimax_critic_loss(real: Array, fake: Array) -> Array:
  """-log D(real) - log(1 - D(fake)) per example, in nats.

  Args:
    real: [B] float. Logits of the data.
    fake: [B] float. Logits of the generator's examples.

  Returns:
    [B] float >= 0. Property: in expectation least where D = p / (p + q), and there
    2 log 2 - 2 JS(p, q): 2 log 2 where the generator is right.

  Reference: Goodfellow et al. 2014, eq. 1. https://arxiv.org/abs/1406.2661
  """
  _check(real, fake)
  return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def minimax_generator_loss(fake: Array) -> Array:
  """log(1 - D(fake)) per example, in nats: what the critic gains, the generator loses.

  Args:
    fake: [B] float. Logits of the generator's examples.

  Returns:
    [B] float <= 0, -log 2 at D = 1/2. Property: minus the critic's term of `fake`. Its
    gradient vanishes where the critic is sure of itself: early in training.

  Reference: Goodfellow et al. 2014, eq. 1. https://arxiv.org/abs/1406.2661
  """
  _check(fake)
  return -jax.nn.softplus(fake)


def non_saturating_generator_loss(fake: Array) -> Array:
  """-log D(fake) per example, in nats.

  Args:
    fake: [B] float. Logits of the generator's examples.

  Returns:
    [B] float >= 0, log 2 at D = 1/2. Property: its gradient does not vanish where the
    critic is sure that they are fake.

  Reference: Goodfellow et al. 2014, section 3. https://arxiv.org/abs/1406.2661
  """
  _check(fake)
  return jax.nn.softplus(-fake)


def least_squares_critic_loss(real: Array, fake: Array) -> Array:
  """((real - 1)^2 + fake^2) / 2 per example: scores are regressed on 1 and 0.

  Args:
    real: [B] float. Scores of the data.
    fake: [B] float. Scores of the generator's examples.

  Returns:
    [B] float >= 0. Property: in expectation least where the score is p / (p + q).

  Reference: Mao et al. 2017, section 3. https://arxiv.org/abs/1611.04076
  """
  _check(real, fake)
  return 0.5 * (jnp.square(real - 1) + jnp.square(fake))


def least_squares_generator_loss(fake: Array) -> Array:
  """(fake - 1)^2 / 2 per example.

  Args:
    fake: [B] float. Scores of the generator's examples.

  Returns:
    [B] float >= 0. Property: zero where they are taken for data, at a score of 1.

  Reference: Mao et al. 2017, section 3. https://arxiv.org/abs/1611.04076
  """
  _check(fake)
  return 0.5 * jnp.square(fake - 1)


def hinge_critic_loss(real: Array, fake: Array) -> Array:
  """max(0, 1 - real) + max(0, 1 + fake) per example.

  Args:
    real: [B] float. Scores of the data.
    fake: [B] float. Scores of the generator's examples.

  Returns:
    [B] float >= 0. Property: in expectation least where the score is sign(p - q), and
    there 2 - 2 TV(p, q). Scores beyond 1 and -1 have no gradient.

  Reference: Miyato et al. 2018, eq. 16. https://arxiv.org/abs/1802.05957
  """
  _check(real, fake)
  return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)


def wasserstein_critic_loss(real: Array, fake: Array) -> Array:
  """fake - real per example.

  Over critics of Lipschitz constant 1, the least mean is minus the Wasserstein-1
  distance. Without such a bound there is none: clip the weights, add a
  `gradient_penalty`, or normalise the layers.

  Args:
    real: [B] float. Scores of the data.
    fake: [B] float. Scores of the generator's examples.

  Returns:
    [B] float. Property: minus its mean is the critic's estimate of the distance.

  Reference: Arjovsky, Chintala & Bottou 2017, section 3.
  https://arxiv.org/abs/1701.07875
  """
  _check(real, fake)
  return fake - real


def wasserstein_generator_loss(fake: Array) -> Array:
  """-fake per example: the generator's loss of the Wasserstein and the hinge game.

  Args:
    fake: [B] float. Scores of the generator's examples.

  Returns:
    [B] float. Property: its gradient is -1 everywhere.

  Reference: Arjovsky, Chintala & Bottou 2017, section 3; Miyato et al. 2018, eq. 17.
  https://arxiv.org/abs/1701.07875 https://arxiv.org/abs/1802.05957
  """
  _check(fake)
  return -fake


def f_gan(divergence: FDivergence, *, saturating: bool = False) -> GanLoss:
  """The game for an f-divergence: the critic raises its variational bound.

  Args:
    divergence: of `jgm.losses.divergence`.
    saturating: the generator lowers the very bound, -f*(T(fake)); else it raises
      T(fake) instead, of which a critic that is sure of itself leaves more gradient.

  Returns:
    GanLoss. Property: minus the mean of the critic's loss is a lower bound on the
    divergence, in the normalisation of `jgm.losses.divergence`; "gan" is the minimax
    game where `saturating`, the non-saturating one else.

  Reference: Nowozin, Cseke & Tomioka 2016, section 3.2.
  https://arxiv.org/abs/1606.00709
  """

  def critic_loss(real: Array, fake: Array) -> Array:
    return -f_divergence_bound(divergence, real, fake)

  def generator_loss(fake: Array) -> Array:
    _check(fake)
    if saturating:
      return -divergence.conjugate_of_activation(fake)
    return -divergence.activation(fake)

  return GanLoss(critic_loss, generator_loss)


GAN_LOSSES: dict[str, GanLoss] = {
  "minimax": GanLoss(minimax_critic_loss, minimax_generator_loss),
  "non_saturating": GanLoss(minimax_critic_loss, non_saturating_generator_loss),
  "least_squares": GanLoss(least_squares_critic_loss, least_squares_generator_loss),
  "hinge": GanLoss(hinge_critic_loss, wasserstein_generator_loss),
  "wasserstein": GanLoss(wasserstein_critic_loss, wasserstein_generator_loss),
}


def _check(*scores: Array) -> None:
  chex.assert_rank(scores, 1)  # [B, 1] would be another batch, not another shape
  chex.assert_equal_shape(scores)
