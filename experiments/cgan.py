"""cGAN: a generator and a critic that are told the class.

Mirza & Osindero 2014, "Conditional generative adversarial nets", as Miyato & Koyama
2018 have it, "cGANs with projection discriminator".
https://arxiv.org/abs/1411.1784 https://arxiv.org/abs/1802.05637

    C(x, y) = <embed(y), phi(x)> + psi(phi(x))            M. & K. section 3
    critic:     min E max(0, 1 - C(x, y)) + E max(0, 1 + C(G(z, y), y))
    generator:  min -E C(G(z, y), y)

The generator is told by the gain and shift of its batch normalisations.

    python -m experiments.cgan --config=configs/cgan.py

then --mode=sample --class_label=3 draws threes.

The default makes 8x8 digits of the class asked for. Measured: 98.8% are taken for it by
a separate classifier (real digits: 97.8%), which is sure of 96% of samples (93%); a
Fréchet distance of 0.36 (real data: 0.34), precision 0.92 (0.89), recall 0.76 (0.93).
Without the class, in dcgan.py, precision is 0.65. One minute on two cores.
"""

import jax.numpy as jnp

from jgm import cli
from jgm.core import Aux, Experiment, choose, gradient_step, with_ema
from jgm.data import make_dataset
from jgm.data.slices import slice_size
from jgm.eval.class_conditional import make_class_scalars
from jgm.eval.collapse import diversity
from jgm.eval.generator import make_generator_pictures
from jgm.eval.images import make_image_evaluation
from jgm.games import alternate, game_optimizers, init_game, replica_axis
from jgm.losses.gan import GAN_LOSSES
from jgm.models.dcgan import DCGANDiscriminator, DCGANGenerator
from jgm.models.stateful import stateful
from jgm.samplers.generator import PRIORS, make_generator_sampling


def make(config) -> Experiment:
  """The method, bound to a config."""
  data = make_dataset(**config.data)
  spec = data.spec
  check(spec, data.name)
  slice_size(data.batch_size, config.n_critic, what="config.n_critic")
  loss = choose(config.loss, GAN_LOSSES, what="config.loss")
  draw_noise = choose(config.noise, PRIORS, what="config.noise")(config.noise_dimension)
  axis_name = replica_axis(config.parallel.strategy)
  common = {
    "num_classes": spec.num_classes,
    "axis_name": axis_name,
    "dtype": config.dtype,
  }
  generator = DCGANGenerator(spec.shape, **config.generator, **common)
  critic = DCGANDiscriminator(**config.critic, **common)
  generate, score = stateful(generator), stateful(critic)
  tx = game_optimizers(
    generator=config.generator_optimizer,
    critic=config.critic_optimizer,
    total_steps=config.total_steps,
    n_critic=config.n_critic,
  )

  def critic_objective(params, state, batch, key):
    x, label, z = batch["x"], batch["label"], draw_noise(key, len(batch["x"]))
    generator = state.params["generator"], state.model_state["generator"]
    fake, _ = generate(*generator, z, label, train=True)
    critic_state = state.model_state["critic"]
    real_score, critic_state = score(params, critic_state, x, label, train=True)
    fake_score, critic_state = score(params, critic_state, fake, label, train=True)
    metrics = {"real_score": jnp.mean(real_score), "fake_score": jnp.mean(fake_score)}
    return jnp.mean(loss.critic(real_score, fake_score)), Aux(metrics, critic_state)

  def generator_objective(params, state, batch, key):
    x, label, z = batch["x"], batch["label"], draw_noise(key, len(batch["x"]))
    generator_state = state.model_state["generator"]
    fake, generator_state = generate(params, generator_state, z, label, train=True)
    critic = state.params["critic"], state.model_state["critic"]
    fake_score, _ = score(*critic, fake, label, train=True)
    metrics = {"diversity": diversity(fake, x)}
    return jnp.mean(loss.generator(fake_score)), Aux(metrics, generator_state)

  critic_step = gradient_step(critic_objective, tx["critic"], "critic")
  generator_step = gradient_step(generator_objective, tx["generator"], "generator")

  game = alternate(critic_step, generator_step, n_critic=config.n_critic)
  step = with_ema(game, config.ema_decay, "generator")

  def init(key, pretrained):
    z, x = jnp.zeros((1, config.noise_dimension)), jnp.zeros((1, *spec.shape))
    label = jnp.zeros(1, jnp.int32)
    players = {"generator": (generator, (z, label)), "critic": (critic, (x, label))}
    return init_game(players, tx, key)

  # What follows draws samples, by the generator's averaged parameters.

  sampling = make_generator_sampling(
    generate,
    draw_noise,
    num_classes=spec.num_classes,
    chunk_size=config.sample.chunk_size,
    axis_name=axis_name,
  )
  evaluate = make_image_evaluation(
    data,
    sampling.sample,
    pictures=make_generator_pictures(
      data,
      sampling,
      draw_noise,
      num_classes=spec.num_classes,
      spherical=config.noise == "normal",
    ),
    scalars=make_class_scalars(
      data,
      sampling.sample,
      num_samples=config.eval.num_samples,
      seed=config.eval.seed,
      net_steps=config.eval.net_steps,
    ),
    chunk_size=config.sample.chunk_size,
    num_samples=config.eval.num_samples,
    seed=config.eval.seed,
    net_steps=config.eval.net_steps,
    inception=config.eval.inception,
  )
  return Experiment(data, init, step, evaluate, sampling.sample)


def check(spec, name):
  """Raises where there is nothing to be conditional on."""
  if spec.num_classes < 2:
    raise ValueError(f"cgan needs classes, and config.data.name={name!r} has none")


if __name__ == "__main__":
  cli.main(make)
