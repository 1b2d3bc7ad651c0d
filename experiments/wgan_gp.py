"""WGAN-GP: the critic estimates a distance, and its gradient is held near 1.

Gulrajani et al. 2017, "Improved training of Wasserstein GANs"; Arjovsky, Chintala &
Bottou 2017, "Wasserstein GAN".
https://arxiv.org/abs/1704.00028 https://arxiv.org/abs/1701.07875

    critic:     min E C(G(z)) - E C(x)                         Arjovsky eq. 2
                + lambda E (|grad C(x_u)| - 1)^2               Gulrajani eq. 3
    generator:  min -E C(G(z))

where x_u = x + u (G(z) - x) lies between data and samples, one u ~ U[0, 1] each. The
critic takes several steps before each of the generator's.

    python -m experiments.wgan_gp --config=configs/wgan_gp.py

The default makes 8x8 digits. Measured: a Fréchet distance of 0.51 (real data: 0.34),
precision 0.67 (0.89), recall 0.89 (0.93). At the end the critic estimates a distance of
0.37 between held-out digits and samples, and of -0.30 between these and training
digits: it scores those highest that it was trained on. By optimal assignment the
Wasserstein-1 distance of 500 digits to 500 samples is 2.96, to 500 real ones 2.67. Two
minutes on two cores.
"""

import jax
import jax.numpy as jnp

from jgm import cli
from jgm.core import Aux, Experiment, choose, gradient_step, with_ema
from jgm.data import make_dataset
from jgm.data.slices import slice_size
from jgm.eval.collapse import diversity
from jgm.eval.generator import make_critic_distance, make_generator_pictures
from jgm.eval.images import make_image_evaluation
from jgm.games import alternate, game_optimizers, init_game, replica_axis
from jgm.losses.gan import GAN_LOSSES
from jgm.losses.gradient_penalty import gradient_penalty
from jgm.models.dcgan import DCGANDiscriminator, DCGANGenerator
from jgm.models.stateful import stateful
from jgm.samplers.generator import PRIORS, make_generator_sampling


def make(config) -> Experiment:
  """The method, bound to a config."""
  data = make_dataset(**config.data)
  spec = data.spec
  slice_size(data.batch_size, config.n_critic, what="config.n_critic")
  check(**config.critic)
  loss = GAN_LOSSES["wasserstein"]
  draw_noise = choose(config.noise, PRIORS, what="config.noise")(config.noise_dimension)
  axis_name = replica_axis(config.parallel.strategy)
  common = {"axis_name": axis_name, "dtype": config.dtype}
  generator = DCGANGenerator(spec.shape, **config.generator, **common)
  # No bias: what is added to all scores cancels, and Adam would follow its rounding.
  critic = DCGANDiscriminator(last_bias=False, **config.critic, **common)
  generate, score = stateful(generator), stateful(critic)
  tx = game_optimizers(
    generator=config.generator_optimizer,
    critic=config.critic_optimizer,
    total_steps=config.total_steps,
    n_critic=config.n_critic,
  )

  def critic_objective(params, state, batch, key):
    key_noise, key_between = jax.random.split(key)
    x, z = batch["x"], draw_noise(key_noise, len(batch["x"]))
    generator = state.params["generator"], state.model_state["generator"]
    fake, _ = generate(*generator, z, train=True)
    real_score, model_state = score(params, state.model_state["critic"], x, train=True)
    fake_score, model_state = score(params, model_state, fake, train=True)
    score_of = lambda x: score(params, model_state, x, train=False)[0]
    penalty = jnp.mean(gradient_penalty(score_of, x, fake, key_between))
    estimate = -jnp.mean(loss.critic(real_score, fake_score))
    metrics = {"distance": estimate, "penalty": penalty}
    return config.penalty_weight * penalty - estimate, Aux(metrics, model_state)

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
    scalars=make_critic_distance(
      data,
      sampling.sample,
      score,
      num_samples=config.eval.num_samples,
      seed=config.eval.seed,
      slope=1.0,
    ),
    chunk_size=config.sample.chunk_size,
    num_samples=config.eval.num_samples,
    seed=config.eval.seed,
    net_steps=config.eval.net_steps,
    inception=config.eval.inception,
  )
  return Experiment(data, init, step, evaluate, sampling.sample)


def check(*, norm, **options):
  """Raises where the penalty would not be on the gradient of one example's score."""
  del options
  if norm == "batch":
    raise ValueError(
      "config.critic.norm='batch': batch normalisation lets an example's score depend "
      "on the others of its batch, and the penalty is on each example's gradient; use "
      "'layer' or 'none'"
    )


if __name__ == "__main__":
  cli.main(make)
