"""What each experiment minimises: its equations by hand, for networks that are known.

A sign, or two arguments that changed places, shows here in a number. Whether a loss in
jgm/losses is right is said there; here it is whether the right things go into it.
"""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.cli.config import load_config
from jgm.core import new_state
from jgm.core.program import base_key
from jgm.environments import CARTPOLE, begin
from jgm.models.mlp import MLP
from jgm.policy.experience import Experience
from jgm.policy.frozen import Frozen
from jgm.policy.pairs import Pairs
from jgm.policy.rollout import Rollout


class Network:
  """In a network's place: (params, *inputs) -> output."""

  def __init__(self, output, decoder=None):
    self.output, self.decoder = output, decoder

  def apply(self, variables, *inputs, **options):
    return self.output(variables["params"], *inputs)


def measure(objective, tx, player=None):
  """In `gradient_step`'s place: a step that computes the loss and changes nothing."""

  def step(state, batch, key):
    params = state.params if player is None else state.params[player]
    loss, _ = objective(params, state, batch, key)
    return state, {f"{player}/loss" if player else "loss": loss}

  return step


def make(name, changes, **replaced):
  """The `smoke` of an experiment that only measures, with these in its module."""
  module = importlib.import_module(f"experiments.{name}")
  config = load_config(f"configs/{name}.py:smoke")
  config.update_from_flattened_dict(changes)
  with pytest.MonkeyPatch.context() as patch:
    for attribute, value in {"gradient_step": measure, **replaced}.items():
      patch.setattr(module, attribute, value)
    return module.make(config), config


def losses(experiment, batch, params, ema=True, **fields):
  state = new_state(base_key(0), params, (), ema=ema, **fields)
  return jax.device_get(experiment.step(state, batch, base_key(1))[1])


# Games. The critic's scores are these, of data and of samples.

REAL = np.array([2.0, 0.5, -0.5])
FAKE = np.array([-1.0, 0.25, 1.5])
SLOPE = 2.0  # of the score, where it is a function of points


def softplus(x):
  return np.log1p(np.exp(x))


def cross_entropy_game():
  """Goodfellow et al. 2014, eq. 1, of D = sigmoid(C); the generator's of section 3."""
  critic = np.mean(softplus(-REAL)) + np.mean(softplus(FAKE))
  return critic, np.mean(softplus(-FAKE))


def hinge_game():
  """Miyato et al. 2018, eqs. 16 and 17."""
  critic = np.mean(np.maximum(0, 1 - REAL)) + np.mean(np.maximum(0, 1 + FAKE))
  return critic, -np.mean(FAKE)


def wasserstein_game():
  """Arjovsky et al. 2017, eq. 2: the generator lessens what the critic estimates."""
  return np.mean(FAKE) - np.mean(REAL), -np.mean(FAKE)


def penalised_game():
  """Gulrajani et al. 2017, eq. 3."""
  critic, generator = wasserstein_game()
  return critic + 10 * (SLOPE - 1) ** 2, generator


PLAIN = {"r1": 0.0, "r2": 0.0}
GAMES = {
  "gan": ({"loss": "non_saturating", **PLAIN}, cross_entropy_game),
  "dcgan": ({"loss": "non_saturating"}, cross_entropy_game),
  "cgan": ({"loss": "hinge"}, hinge_game),
  "sngan": ({"loss": "hinge"}, hinge_game),
  "wgan": ({}, wasserstein_game),
  "wgan_gp": ({}, penalised_game),
}


def points_of(scores, shape):
  """Points [B, *shape] that have these scores."""
  rows = jnp.asarray(scores / SLOPE, jnp.float32)
  return jnp.broadcast_to(rows.reshape(-1, *(1 for _ in shape)), (len(rows), *shape))


def player_of(model):
  """In `stateful`'s place."""

  def apply(params, model_state, x, *rest, train):
    if hasattr(model, "shape"):
      return points_of(FAKE, model.shape), model_state
    score = SLOPE * x.reshape(len(x), -1)[:, :1]
    return score if isinstance(model, MLP) else score[:, 0], model_state

  return apply


@pytest.mark.parametrize("name", GAMES)
def test_both_players_minimise_what_the_paper_says(name):
  changes, game = GAMES[name]
  experiment, config = make(name, changes, stateful=player_of)
  rows = np.repeat(REAL, config.n_critic)  # each step of the critic sees all of them
  batch = {"x": points_of(rows, experiment.data.spec.shape)}
  batch["label"] = jnp.zeros(len(rows), jnp.int32)
  none = {"critic": {}, "generator": {}}
  found = losses(experiment, batch, none, ema="generator", model_state=none)
  critic, generator = game()
  np.testing.assert_allclose(found["critic/loss"], critic, rtol=1e-5)
  np.testing.assert_allclose(found["generator/loss"], generator, rtol=1e-5)


# Text.

SURE = 50.0  # the logit of what a network is sure of; all others are 0
READERS = {"next": 1, "same": 0, "last": -1}  # what is read, less the token itself


@pytest.mark.parametrize("reader", [*READERS, "nothing"])
def test_gpt_predicts_the_token_that_follows(reader):
  """Of a text that counts: sure of the next token costs nothing, of another 50 nats."""
  z_loss = 0.1

  def logits(params, tokens):
    if reader == "nothing":
      return jnp.zeros((*tokens.shape, num_tokens))
    return SURE * jax.nn.one_hot((tokens + READERS[reader]) % num_tokens, num_tokens)

  experiment, _ = make(
    "gpt", {"z_loss": z_loss}, Transformer=lambda decoder, *_: Network(logits, decoder)
  )
  num_tokens = experiment.data.spec.vocab_size
  counting = (jnp.arange(17)[None] + jnp.array([[0], [5], [250]])) % num_tokens
  batch = {"tokens": counting}
  nats = {"next": 0.0, "nothing": np.log(num_tokens)}.get(reader, SURE)
  log_z = np.log(num_tokens) if reader == "nothing" else SURE
  found = losses(experiment, batch, {})["loss"]
  np.testing.assert_allclose(found, nats + z_loss * log_z**2, rtol=1e-5)
  state = new_state(base_key(0), {}, (), ema=True)
  of_rows = experiment.log_prob.fn(state, batch, base_key(1))
  np.testing.assert_allclose(of_rows, [-16 * nats] * 3, rtol=1e-5, atol=1e-5)


# Diffusion.

POINT = 1.0  # all data are this: so x_0, eps and v = alpha eps - sigma x_0 have size 1


def answers(prediction, x_t, t):
  """What is to be predicted, for those who know the data. Ho et al. 2020, section 4."""
  alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
  alpha, sigma = (
    jnp.asarray(np.sqrt(each), jnp.float32)[t, None, None, None]
    for each in (alpha_bar, 1 - alpha_bar)
  )
  eps = (x_t - alpha * POINT) / sigma
  x_0 = jnp.full_like(x_t, POINT)
  return {"eps": eps, "x_0": x_0, "v": alpha * eps - sigma * x_0}[prediction]


@pytest.mark.parametrize("prediction", ["eps", "x_0", "v"])
def test_ddpm_predicts_what_was_mixed_with_the_data(prediction):
  """Nothing is left for who knows the answer; who says 0 is wrong by its square, 1."""
  changes = {"num_timesteps": 1000, "schedule": "linear", "loss": "squared_error"}

  def loss_of(output):
    experiment, _ = make(
      "ddpm", {**changes, "prediction": prediction}, UNet=lambda **_: Network(output)
    )
    x = jnp.full((256, *experiment.data.spec.shape), POINT)
    batch = {"x": x, "label": jnp.zeros(len(x), jnp.int32)}
    return losses(experiment, batch, {})["loss"], x.size

  known, _ = loss_of(lambda params, x_t, t, label: answers(prediction, x_t, t))
  assert 0 <= known < 1e-4
  zero, n = loss_of(lambda params, x_t, t, label: jnp.zeros_like(x_t))
  # The square of eps has a deviation of sqrt(2); of v, whose mean is not 0, a lesser.
  assert zero == pytest.approx(1.0, abs=4 * np.sqrt(2 / n))


# Policies. A network's parameters are the logits of every token, whatever is before.

HALF = np.log([0.5, 0.3, 0.2])
THIRD = np.log(np.full(3, 1 / 3))


def speaker(decoder, *_):
  """In `Transformer`'s place."""
  say = lambda logits, tokens: jnp.broadcast_to(logits, (*tokens.shape, len(logits)))
  return Network(say, decoder)


def rollout(prompt, tokens, mask, logp):
  """Of rows; what lies where the mask is 0 is never read."""
  ints = (jnp.asarray(each, jnp.int32) for each in (prompt, tokens))
  return Rollout(*ints, *(jnp.asarray(each, jnp.float32) for each in (mask, logp)))


def pairs():
  """One pair: 0 0 was chosen, 1 and then the end was not."""
  chosen = rollout([[2]], [[0, 0]], [[1, 1]], [[0, 0]])
  rejected = rollout([[2]], [[1, 2]], [[1, 0]], [[0, 0]])
  return Pairs(chosen, rejected, jnp.array([3.0]), jnp.array([1.0]))


def loss_of_pairs(name, changes, params, **replaced):
  make_pairs = lambda task: lambda *_: pairs()
  experiment, _ = make(name, changes, make_pairs=make_pairs, **replaced)
  extra = Frozen(reference=jnp.asarray(THIRD, jnp.float32))
  return losses(experiment, {"tokens": jnp.zeros((1, 4))}, params, extra=extra)["loss"]


def test_a_reward_model_rewards_what_was_chosen():
  """2 for the chosen and -1 for the other: softplus(-3), and for the mean c (2 - 1)^2.

  Bradley & Terry 1952; Ouyang et al. 2022, eq. 1.
  """
  rewards = jnp.array([2.0, -1.0, 9.0])  # of a completion, by its last real token
  critic = Network(lambda params, tokens: rewards[tokens])
  found = loss_of_pairs(
    "reward_model", {"centering_weight": 0.1}, {}, ScalarTransformer=lambda _: critic
  )
  np.testing.assert_allclose(found, softplus(-3.0) + 0.1, rtol=1e-5)


# log(pi / ref) of the chosen less that of the rejected: 1.5^2 and 0.9 times as likely.
MARGIN = 2 * np.log(1.5) - np.log(0.9)


@pytest.mark.parametrize(
  ("changes", "loss"),
  [
    ({"loss": "dpo", "beta": 0.5}, softplus(-0.5 * MARGIN)),  # Rafailov eq. 7
    ({"loss": "ipo", "tau": 0.2}, (MARGIN - 1 / 0.4) ** 2),  # Azar eq. 17
  ],
)
def test_preferences_are_for_what_was_chosen(changes, loss):
  params = {"policy": jnp.asarray(HALF, jnp.float32)}
  found = loss_of_pairs("dpo", changes, params, Transformer=speaker)
  np.testing.assert_allclose(found, loss, rtol=1e-5)


TOKENS = np.array([[1, 2, 0], [0, 1, 2]])
MASK = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
RATIO = np.array([[1.5, 0.5, 1.5], [0.5, 1.1, 9.0]])  # pi / pi_old


def loss_of_rollout(name, changes, reward, token_kl, value=(), **replaced):
  """Of a policy that once spoke as the ratio says."""
  logp = np.log(np.exp(HALF[TOKENS]) / RATIO)
  spoken = rollout([[0], [1]], TOKENS, MASK, logp)
  experience = Experience(spoken, *map(jnp.asarray, (reward, token_kl)))
  experiment, _ = make(
    name,
    changes,
    Transformer=speaker,
    make_experience=lambda task: lambda *_: experience,
    **replaced,
  )
  params = {"policy": jnp.asarray(HALF, jnp.float32), "value": jnp.asarray(value)}
  return losses(experiment, {"tokens": jnp.zeros((2, 5))}, params)["loss"]


def test_reinforce_makes_what_earned_more_likelier():
  """-A log pi: returns of 2 - 0.5 and -1 - 1, less the other's, so A = 3.5 and -3.5."""
  token_kl = np.float32([[0.5, 0.5, 0.0], [2.0, 0.0, 0.0]])
  reward = np.float32([2.0, -1.0])
  found = loss_of_rollout("reinforce", {"beta": 0.5}, reward, token_kl)
  logp = np.sum(HALF[TOKENS] * MASK, axis=1)
  np.testing.assert_allclose(found, -np.mean([3.5, -3.5] * logp), rtol=1e-5)


def test_ppo_clips_what_would_gain_and_fits_the_returns():
  """By hand from eqs. 7 and 9 of Schulman et al. 2017, lambda = 1 and no discount."""
  changes = {
    "beta": 1.0,
    "gae_lambda": 1.0,
    "standardise": False,
    "value_weight": 0.5,
    "entropy_weight": 0.1,
    "num_epochs": 1,
    "num_minibatches": 1,
  }
  # Rewards to go: 2, 0, -0.5 and -2, 3.
  token_kl = np.float32([[-2.0, -0.5, 0.5], [5.0, 0.0, 0.0]])
  reward = np.float32([0.0, 3.0])
  # V of what is before each token: 1, -1, 0.5 and -1, 1. So A is 1, 1, -1 and -1, 2.
  value = np.float32([1.0, -1.0, 0.5])
  critic = Network(lambda values, tokens: values[tokens])
  found = loss_of_rollout(
    "ppo", changes, reward, token_kl, value, ScalarTransformer=lambda _: critic
  )
  gain = (1.2 + 0.5 - 1.5 - 0.8 + 2.2) / 5  # 1.5 is clipped where it is too good
  misfit = (1 + 1 + 1 + 1 + 4) / 5 / 2
  nats = -np.sum(np.exp(HALF) * HALF)
  np.testing.assert_allclose(found, -gain + 0.5 * misfit - 0.1 * nats, rtol=1e-5)


def test_ppo_on_cartpole_fits_the_returns_and_likes_entropy():
  """At the first update the policy's loss is 0, as standardised advantages' mean is.

  Of a policy that draws either action and a value of 0 the return of 8 steps is GAE's
  of ones, sum_k (gamma lambda)^k, and the entropy is log 2.
  """
  changes = {"num_epochs": 1, "num_minibatches": 1, "entropy_weight": 0.1}
  nothing = lambda out_features, **_: Network(
    lambda params, x: jnp.zeros((len(x), out_features))
  )
  experiment, config = make("cartpole", changes, MLP=nothing)
  episodes = begin(CARTPOLE, base_key(2), config.num_environments)
  found = losses(experiment, {}, {"policy": {}, "value": {}}, extra=episodes)["loss"]
  returns = np.cumsum((0.99 * 0.95) ** np.arange(8))
  expected = config.value_weight * np.mean(returns**2) / 2 - 0.1 * np.log(2)
  np.testing.assert_allclose(found, expected, rtol=1e-5)
