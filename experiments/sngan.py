"""SNGAN: every layer of the critic is divided by its largest singular value.

Miyato et al. 2018, "Spectral normalization for generative adversarial networks".
https://arxiv.org/abs/1802.05957

    W_SN = W / sigma(W), by one step of the power method       eq. 8, algorithm 1
    critic:     min E max(0, 1 - C(x)) + E max(0, 1 + C(G(z)))    eq. 16
    generator:  min -E C(G(z))                                    eq. 17

The networks are residual ones. The critic takes several steps before each of the
generator's.

    python -m experiments.sngan --config=configs/sngan.py

The default makes 8x8 digits. Measured: a Fréchet distance of 0.96 (real data: 0.34),
precision 0.56 (0.89), recall 0.87 (0.93), and a separate classifier is sure of 65% of
samples (93%). Not timed.
"""

import jax.numpy as jnp

from jgm import cli
from jgm.core import Aux, Experiment, choose, gradient_step, with_ema
from jgm.data import make_dataset
from jgm.data.slices import slice_size
from jgm.eval.collapse import diversity
from jgm.eval.generator import make_generator_pictures
from jgm.eval.images import make_image_evaluation
from jgm.games import alternate, game_optimizers, init_game, replica_axis
from jgm.losses.gan import GAN_LOSSES
from jgm.models.resnet_gan import ResNetDiscriminator, ResNetGenerator
from jgm.models.stateful import stateful
from jgm.samplers.generator import PRIORS, make_generator_sampling


def make(config) -> Experiment:
  """The method, bound to a config."""
  data = make_dataset(**config.data)
  spec = data.spec
  slice_size(data.batch_size, config.n_critic, what="config.n_critic")
  loss = choose(config.loss, GAN_LOSSES, what="config.loss")
  draw_noise = choose(config.noise, PRIORS, what="config.noise")(config.noise_dimension)
  axis_name = replica_axis(config.parallel.strategy)
  generator = ResNetGenerator(
    spec.shape, axis_name=axis_name, dtype=config.dtype, **config.generator
  )
  critic = ResNetDiscriminator(spectral_norm=True, dtype=config.dtype, **config.critic)
  generate, score = stateful(generator), stateful(critic)
  tx = game_optimizers(
    generator=config.generator_optimizer,
    critic=config.critic_optimizer,
    total_steps=config.total_steps,
    n_critic=config.n_critic,
  )

  def critic_objective(params, state, batch, key):
    x, z = batch["x"], draw_noise(key, len(batch["x"]))
    generator = state.params["generator"], state.model_state["generator"]
    fake, _ = generate(*generator, z, train=True)
    real_score, model_state = score(params, state.model_state["critic"], x, train=True)
    fake_score, model_state = score(params, model_state, fake, train=True)
    metrics = {"real_score": jnp.mean(real_score), "fake_score": jnp.mean(fake_score)}
    return jnp.mean(loss.critic(real_score, fake_score)), Aux(metrics, model_state)

  def generator_objective(params, state, batch, key):
    x, z = batch["x"], draw_noise(key, len(batch["x"]))
    fake, model_state = generate(params, state.model_state["generator"], z, train=True)
    critic = state.params["critic"], state.model_state["critic"]
    fake_score, _ = score(*critic, fake, train=True)
    metrics = {"diversity": diversity(fake, x)}
    return jnp.mean(loss.generator(fake_score)), Aux(metrics, model_state)

  critic_step = gradient_step(critic_objective, tx["critic"], "critic")
  generator_step = gradient_step(generator_objective, tx["generator"], "generator")

  game = alternate(critic_step, generator_step, n_critic=config.n_critic)
  step = with_ema(game, config.ema_decay, "generator")

  def init(key, pretrained):
    z, x = jnp.zeros((1, config.noise_dimension)), jnp.zeros((1, *spec.shape))
    players = {"generator": (generator, (z,)), "critic": (critic, (x,))}
    return init_game(players, tx, key)

  # What follows draws samples, by the generator's averaged parameters.

  sampling = make_generator_sampling(
    generate,
    draw_noise,
    chunk_size=config.sample.chunk_size,
    axis_name=axis_name,
  )
  evaluate = make_image_evaluation(
    data,
    sampling.sample,
    pictures=make_generator_pictures(
      data, sampling, draw_noise, spherical=config.noise == "normal"
    ),
    chunk_size=config.sample.chunk_size,
    num_samples=config.eval.num_samples,
    seed=config.eval.seed,
    net_steps=config.eval.net_steps,
    inception=config.eval.inception,
  )
  return Experiment(data, init, step, evaluate, sampling.sample)


if __name__ == "__main__":
  cli.main(make)
