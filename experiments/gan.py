"""GAN: a generator learns to make what a critic cannot tell from data.

Goodfellow et al. 2014, "Generative adversarial nets"; Nowozin, Cseke & Tomioka 2016,
"f-GAN"; Mescheder, Geiger & Nowozin 2018, "Which training methods for GANs do actually
converge?"
https://arxiv.org/abs/1406.2661 https://arxiv.org/abs/1606.00709
https://arxiv.org/abs/1801.04406

    critic:     min E softplus(-C(x)) + E softplus(C(G(z)))    Goodfellow eq. 1
    generator:  min E softplus(-C(G(z)))                       Goodfellow section 3
    R1:         gamma / 2 E |grad C(x)|^2, to the critic's     Mescheder eq. 9

where C is the logit of "x is real", and z ~ N(0, I). Any other game by --config.loss:
minimax, least_squares, hinge, wasserstein, or the variational bound of an f-divergence
(kl, reverse_kl, pearson, neyman, squared_hellinger, jensen_shannon, gan,
total_variation, alpha).

    python -m experiments.gan --config=configs/gan.py
    python -m experiments.gan --config=configs/gan.py:grid --config.loss=reverse_kl

The default is a ring of eight Gaussians. Measured: each of eight seeds finds all 8, 96%
of samples are within three deviations of one (real points: 99%). On the grid three
seeds find 25, 15 and 25 of 25, with 82%, 48% and 74% good samples; every loss beside
every other is in benchmarks/README.md. One minute on two cores, and two.
"""

import jax
import jax.numpy as jnp
from einops import rearrange

from jgm import cli
from jgm.core import Aux, Experiment, choose, gradient_step, with_ema
from jgm.data import make_dataset
from jgm.data.slices import slice_size
from jgm.data.toys import exact_mixture
from jgm.eval.collapse import diversity, modes_reached
from jgm.eval.evaluation import make_evaluation
from jgm.eval.generator import make_generator_pictures
from jgm.games import alternate, game_optimizers, init_game
from jgm.losses.divergence import F_DIVERGENCES, alpha_divergence
from jgm.losses.gan import GAN_LOSSES, f_gan
from jgm.losses.gradient_penalty import zero_centred_gradient_penalty
from jgm.models.generator import DenseGenerator
from jgm.models.mlp import MLP
from jgm.models.stateful import stateful
from jgm.samplers.generator import PRIORS, make_generator_sampling

LOGIT_LOSSES = ("minimax", "non_saturating", "gan")  # whose score 0 is undecided


def make(config) -> Experiment:
  """The method, bound to a config."""
  data = make_dataset(**config.data)
  spec = data.spec
  mixture = exact_mixture(data)
  slice_size(data.batch_size, config.n_critic, what="config.n_critic")
  loss = choose(config.loss, losses(config), what="config.loss")
  draw_noise = choose(config.noise, PRIORS, what="config.noise")(config.noise_dimension)
  bounds = None if spec.levels is None else (spec.low, spec.high)
  generator = DenseGenerator(
    spec.shape, bounds=bounds, dtype=config.dtype, **config.generator
  )
  critic = MLP(out_features=1, dtype=config.dtype, **config.critic)
  generate, critic_apply = stateful(generator), stateful(critic)
  tx = game_optimizers(
    generator=config.generator_optimizer,
    critic=config.critic_optimizer,
    total_steps=config.total_steps,
    n_critic=config.n_critic,
  )

  def score(params, model_state, x, train):
    points = rearrange(x, "b ... -> b (...)")
    scores, model_state = critic_apply(params, model_state, points, train=train)
    return scores[:, 0], model_state

  def penalty(params, model_state, real, fake):
    """R1 and R2: the critic is to be flat at data, or at samples."""
    flat_score = lambda x: score(params, model_state, x, train=False)[0]
    total = jnp.zeros(len(real))
    for weight, x in ((config.r1, real), (config.r2, fake)):
      if weight:
        total += weight * zero_centred_gradient_penalty(flat_score, x)
    return total

  def critic_objective(params, state, batch, key):
    x, z = batch["x"], draw_noise(key, len(batch["x"]))
    generator = state.params["generator"], state.model_state["generator"]
    fake, _ = generate(*generator, z, train=True)
    real_score, model_state = score(params, state.model_state["critic"], x, train=True)
    fake_score, model_state = score(params, model_state, fake, train=True)
    metrics = {"real_score": jnp.mean(real_score), "fake_score": jnp.mean(fake_score)}
    total = loss.critic(real_score, fake_score) + penalty(params, model_state, x, fake)
    return jnp.mean(total), Aux(metrics, model_state)

  def generator_objective(params, state, batch, key):
    x, z = batch["x"], draw_noise(key, len(batch["x"]))
    fake, model_state = generate(params, state.model_state["generator"], z, train=True)
    critic = state.params["critic"], state.model_state["critic"]
    fake_score, _ = score(*critic, fake, train=True)
    metrics = {"diversity": diversity(fake, x)}
    if mixture is not None:
      metrics["modes"] = modes_reached(fake, mixture)
    return jnp.mean(loss.generator(fake_score)), Aux(metrics, model_state)

  critic_step = gradient_step(critic_objective, tx["critic"], "critic")
  generator_step = gradient_step(generator_objective, tx["generator"], "generator")

  game = alternate(critic_step, generator_step, n_critic=config.n_critic)
  step = with_ema(game, config.ema_decay, "generator")

  def init(key, pretrained):
    z, x = jnp.zeros((1, config.noise_dimension)), jnp.zeros((1, spec.dimensions))
    players = {"generator": (generator, (z,)), "critic": (critic, (x,))}
    return init_game(players, tx, key)

  # What follows draws samples, by the generator's averaged parameters.

  sampling = make_generator_sampling(
    generate, draw_noise, chunk_size=config.sample.chunk_size
  )

  @jax.jit
  def score_of(state, x):
    critic = state.params["critic"], state.model_state["critic"]
    return score(*critic, x, train=False)[0]

  evaluate = make_evaluation(
    data,
    sampling.sample,
    pictures=make_generator_pictures(
      data,
      sampling,
      draw_noise,
      score=score_of,
      undecided=0.0 if config.loss in LOGIT_LOSSES else None,
      spherical=config.noise == "normal",
    ),
    chunk_size=config.sample.chunk_size,
    num_samples=config.eval.num_samples,
    seed=config.eval.seed,
    net_steps=config.eval.net_steps,
    inception=config.eval.inception,
  )
  return Experiment(data, init, step, evaluate, sampling.sample)


def losses(config):
  """Every game, by its name."""
  divergences = {**F_DIVERGENCES, "alpha": alpha_divergence(config.alpha)}
  games = {
    name: f_gan(each, saturating=config.saturating)
    for name, each in divergences.items()
  }
  return {**GAN_LOSSES, **games}


if __name__ == "__main__":
  cli.main(make)
