"""Adversarial losses, against the optima and the distances that the papers prove."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgm.losses.divergence import F_DIVERGENCES, alpha_divergence
from jgm.losses.gan import GAN_LOSSES, f_gan

NUM_EXAMPLES = 1000
DIVERGENCES = F_DIVERGENCES | {"alpha 0.7": alpha_divergence(0.7)}
ALL = GAN_LOSSES | {
  f"{name}, saturating={saturating}": f_gan(divergence, saturating=saturating)
  for name, divergence in DIVERGENCES.items()
  for saturating in (True, False)
}
EVERY = pytest.mark.parametrize("name", ALL)
SCORES = np.float32([-100.0, -3.0, -0.5, 0.0, 0.7, 2.0, 100.0])


def normal_quantiles(num):
  """Examples of N(0, 1) without their scatter: [num]."""
  return jax.scipy.stats.norm.ppf((jnp.arange(num) + 0.5) / num)


def of_probability(name, real, fake):
  """The games in D, as Goodfellow et al. write them: float64, for moderate logits."""
  d_real, d_fake = (1 / (1 + np.exp(-np.float64(x))) for x in (real, fake))
  critic = -np.log(d_real) - np.log(1 - d_fake)
  return critic, np.log(1 - d_fake) if name == "minimax" else -np.log(d_fake)


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_the_games_of_a_probability(name):
  real, fake = np.float32([0.0, 1.5, -4.0]), np.float32([0.0, -2.0, 3.0])
  game = GAN_LOSSES[name]
  critic, generator = of_probability(name, real, fake)
  np.testing.assert_allclose(game.critic(real, fake), critic, rtol=1e-6)
  np.testing.assert_allclose(game.generator(fake), generator, rtol=1e-6)
  # at D = 1/2
  assert game.critic(real, fake)[0] == pytest.approx(2 * math.log(2))
  sign = -1 if name == "minimax" else 1
  assert game.generator(fake)[0] == pytest.approx(sign * math.log(2))


def test_the_other_games():
  real, fake = np.float32([1.0, 0.0, 3.0, -0.5]), np.float32([0.0, 1.0, -2.0, 0.5])
  wanted = {
    "least_squares": ([0.0, 1.0, 4.0, 1.25], [0.5, 0.0, 4.5, 0.125]),
    "hinge": ([1.0, 3.0, 0.0, 3.0], [0.0, -1.0, 2.0, -0.5]),
    "wasserstein": ([-1.0, 1.0, -5.0, 1.0], [0.0, -1.0, 2.0, -0.5]),
  }
  for name, (critic, generator) in wanted.items():
    np.testing.assert_allclose(GAN_LOSSES[name].critic(real, fake), critic)
    np.testing.assert_allclose(GAN_LOSSES[name].generator(fake), generator)


@EVERY
def test_extreme_scores_have_finite_losses_and_gradients(name):
  real, fake = (jnp.ravel(x) for x in np.meshgrid(SCORES, SCORES))
  total = lambda real, fake: jnp.sum(ALL[name].critic(real, fake))
  losses = ALL[name].critic(real, fake), ALL[name].generator(fake)
  slopes = jax.jit(jax.grad(total, argnums=(0, 1)))(real, fake)
  of_generator = jax.jit(jax.grad(lambda x: jnp.sum(ALL[name].generator(x))))(fake)
  for values in (*losses, *slopes, of_generator):
    assert values.shape == real.shape and jnp.all(jnp.isfinite(values))
  if name == "least_squares":  # which pulls scores back that are too good
    return
  # the critic parts the scores, the generator raises its own
  assert jnp.all(slopes[0] <= 0) and jnp.all(slopes[1] >= 0)
  assert jnp.all(of_generator <= 0)


def test_gradients_of_a_generator_that_is_found_out():
  """The non-saturating game is one that still teaches it; the minimax game is not."""
  fake = jnp.array([-100.0])
  slope = lambda game: jax.grad(lambda fake: game.generator(fake)[0])(fake)[0]
  assert slope(GAN_LOSSES["non_saturating"]) == pytest.approx(-1.0)
  assert abs(slope(GAN_LOSSES["minimax"])) < 1e-30
  pearson = F_DIVERGENCES["pearson"]
  assert slope(f_gan(pearson)) == -1.0 and slope(f_gan(pearson, saturating=True)) == 0.0


@pytest.mark.parametrize("name", ALL)
def test_zero_sum_where_it_should_be(name):
  """What the generator minimises is minus the critic's term of the fakes."""
  real, fake = jnp.zeros(len(SCORES)), jnp.asarray(SCORES)[1:-1]
  real = real[: len(fake)]
  critic = ALL[name].critic(real, fake) - ALL[name].critic(real, 0 * fake)
  generator = ALL[name].generator(fake) - ALL[name].generator(0 * fake)
  zero_sum = name in ("minimax", "wasserstein") or name.endswith("=True")
  # the two f-divergences whose f* is t itself, here
  zero_sum = zero_sum or name.startswith("total_variation")
  assert np.allclose(critic, -generator, rtol=1e-5) == zero_sum


@pytest.mark.parametrize("saturating", [True, False])
def test_the_gan_divergence_is_the_minimax_game(saturating):
  wanted = GAN_LOSSES["minimax" if saturating else "non_saturating"]
  actual = f_gan(F_DIVERGENCES["gan"], saturating=saturating)
  real, fake = jnp.asarray(SCORES), jnp.asarray(SCORES[::-1].copy())
  np.testing.assert_allclose(actual.critic(real, fake), wanted.critic(real, fake))
  np.testing.assert_allclose(actual.generator(fake), wanted.generator(fake))


@EVERY
def test_scores_of_another_shape_are_refused(name):
  with pytest.raises(AssertionError):
    ALL[name].critic(jnp.zeros((4, 1)), jnp.zeros((4, 1)))
  with pytest.raises(AssertionError):
    ALL[name].critic(jnp.zeros(4), jnp.zeros(1))
  with pytest.raises(AssertionError):
    ALL[name].generator(jnp.zeros((4, 1)))


def probability(name, scores):
  """The critic's p / (p + q): from the ratio that its scores stand for."""
  if name in ("minimax", "non_saturating"):
    return jax.nn.sigmoid(scores)
  if name == "least_squares":
    return scores
  divergence = DIVERGENCES[name]
  # the ratio at which u t - f(u) is largest
  u = jax.vmap(jax.grad(divergence.conjugate))(divergence.activation(scores))
  return u / (1 + u)


@pytest.mark.parametrize(
  "name",
  ["minimax", "least_squares", *(name for name in DIVERGENCES if name[:5] != "total")],
)
def test_a_trained_critic_approaches_the_optimal_one(name):
  """p / (p + q), of Gaussians; the critic is linear between knots."""
  game = ALL[name] if name in ALL else f_gan(DIVERGENCES[name])
  quantiles = normal_quantiles(NUM_EXAMPLES)
  real, fake = 0.5 + 0.8 * quantiles, -0.5 + quantiles
  spacing = 0.35
  knots = jnp.arange(-3.5, 3.5, spacing)
  features = lambda x: jax.nn.relu(1 - jnp.abs(x[:, None] - knots[None]) / spacing)
  features_real, features_fake = features(real), features(fake)
  tx = optax.adam(optax.cosine_decay_schedule(0.1, 500))

  def objective(scores):
    return jnp.mean(game.critic(features_real @ scores, features_fake @ scores))

  def step(carry, _):
    scores, opt_state = carry
    updates, opt_state = tx.update(jax.grad(objective)(scores), opt_state)
    return (scores + updates, opt_state), None

  @jax.jit
  def trained(scores):
    carry = scores, tx.init(scores)
    return jax.lax.scan(step, carry, length=500)[0][0]

  x = jnp.linspace(-1.6, 1.6, 65)
  actual = probability(name, features(x) @ trained(jnp.zeros(len(knots))))
  density = lambda mean, scale: np.exp(-0.5 * ((x - mean) / scale) ** 2) / scale
  p, q = density(0.5, 0.8), density(-0.5, 1.0)
  error = np.abs(actual - p / (p + q))
  print(f"\n{name}: at most {error.max():.4f} off, {error.mean():.4f} on average")
  assert error.max() < 0.03 and error.mean() < 0.005


def test_the_hinge_is_least_at_the_sign_and_tells_the_total_variation():
  x = np.linspace(-10, 10, 4001)
  density = lambda mean: np.exp(-0.5 * (x - mean) ** 2) / np.sqrt(2 * np.pi) * 0.005
  p, q = density(0.6), density(-0.6)
  total_variation = math.erf(1.2 / 8**0.5)

  def loss(scores):
    scores, zero = jnp.float32(scores), jnp.zeros(len(x))
    # each term with the other one's score where it adds 0
    of_real = GAN_LOSSES["hinge"].critic(scores, zero - 1)
    of_fake = GAN_LOSSES["hinge"].critic(zero + 1, scores)
    return np.sum(p * np.asarray(of_real)) + np.sum(q * np.asarray(of_fake))

  best = np.sign(p - q)
  assert loss(best) == pytest.approx(2 - 2 * total_variation, abs=1e-5)
  for other in (0 * x, 0.9 * best, 1.1 * best, np.tanh(x), -best):
    assert loss(other) > loss(best) + 1e-3


def test_a_clipped_critic_tells_the_distance_but_for_a_factor():
  """Of shifts, whose Wasserstein-1 distance is the shift."""
  game, limit, width = GAN_LOSSES["wasserstein"], 0.1, 16
  shifts = jnp.array([0.2, 0.5, 0.8, 1.2, 1.6, 2.0])
  quantiles = 0.5 * normal_quantiles(300)
  tx = optax.rmsprop(optax.linear_schedule(0.01, 0.0, 300))

  def score(params, x):
    hidden = jax.nn.relu(x[:, None] @ params["w"] + params["b"][None])
    return hidden @ params["out"]

  def estimate(shift, params):
    real, fake = quantiles - shift / 2, quantiles + shift / 2
    loss = lambda params: jnp.mean(
      game.critic(score(params, real), score(params, fake))
    )

    def step(carry, _):
      params, opt_state = carry
      updates, opt_state = tx.update(jax.grad(loss)(params), opt_state)
      params = optax.apply_updates(params, updates)
      return (jax.tree.map(lambda w: jnp.clip(w, -limit, limit), params), opt_state), 0

    carry = params, tx.init(params)
    return -loss(jax.lax.scan(step, carry, length=300)[0][0])

  shapes = {"w": (1, width), "b": (width,), "out": (width,)}
  params = {
    name: jax.random.uniform(jax.random.key(number), shape, minval=-limit, maxval=limit)
    for number, (name, shape) in enumerate(shapes.items())
  }
  params["b"] = jnp.abs(params["b"])  # no unit is dead from the start
  estimates = np.asarray(
    jax.jit(jax.vmap(lambda shift: estimate(shift, params)))(shifts)
  )
  distance = np.asarray(shifts)
  factor = np.sum(distance * estimates) / np.sum(distance**2)
  residual = np.sum((estimates - factor * distance) ** 2)
  r_squared = 1 - residual / np.sum((estimates - estimates.mean()) ** 2)
  print(f"\nfactor {factor:.4f}, R^2 {r_squared:.5f}: {estimates / distance}")
  assert r_squared > 0.99
  # and no more than the clipped weights allow, with all units at work
  assert 0.5 * width * limit**2 < factor <= width * limit**2
