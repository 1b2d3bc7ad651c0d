"""DDPM: a network learns to remove noise; sampling starts from pure noise.

Ho, Jain & Abbeel 2020, "Denoising diffusion probabilistic models".
https://arxiv.org/abs/2006.11239

    x_t = alpha_t x_0 + sigma_t eps,  eps ~ N(0, I)                  eq. 4
    loss = E || eps - eps_hat(x_t, t) ||^2                           eq. 14
    x_s ~ q(x_s | x_t, x_0_hat(x_t, t)), from t = T - 1 down         eq. 6, 7

    python -m experiments.ddpm --config=configs/ddpm.py

The default also tells the network the class, and trains on 8x8 digits. Measured: a
Fréchet distance of 0.37 (real data: 0.34), precision 0.91 (0.89), recall 0.85 (0.93),
and a separate classifier as confident on samples as on real digits. Five minutes on two
cores, install and compilation included.
"""

import jax
import jax.numpy as jnp

from jgm import cli, noise
from jgm.core import (
  Aux,
  Experiment,
  LogProb,
  choose,
  gradient_step,
  make_optimizer,
  new_state,
  with_ema,
)
from jgm.data import make_dataset
from jgm.eval.images import make_image_evaluation
from jgm.losses import diffusion, regression
from jgm.models.sharding_rules import UNET
from jgm.models.unet import UNet
from jgm.samplers import make_sampling


def make(config) -> Experiment:
  """The method, bound to a config."""
  data = make_dataset(**config.data)
  spec = data.spec
  num_classes = spec.num_classes if config.class_conditional else None
  model = UNet(num_classes=num_classes, dtype=config.dtype, **config.model)
  make_schedule = choose(config.schedule, noise.DDPM_SCHEDULES, what="config.schedule")
  schedule = make_schedule(config.num_timesteps)
  noise.check_prediction(config.prediction, schedule)
  loss_of = choose(config.loss, regression, what="config.loss")
  tx = make_optimizer(total_steps=config.total_steps, **config.optimizer)

  def network(params, label, **options):
    """(x_t, t) -> what the network predicts, for images of these classes."""
    label = label if config.class_conditional else None
    return lambda x_t, t: model.apply({"params": params}, x_t, t, label, **options)

  def objective(params, state, batch, key):
    key_t, key_eps, key_dropout = jax.random.split(key, 3)
    x_0, label = batch["x"], batch["label"]
    t = noise.sample_time(schedule, key_t, len(x_0))
    eps = jax.random.normal(key_eps, x_0.shape)
    x_t = noise.diffuse(x_0, eps, t, schedule)
    output = network(params, label, train=True, rngs={"dropout": key_dropout})(x_t, t)
    truth = noise.Prediction(x_0, eps)
    target = noise.target(config.prediction, truth, schedule, t)
    return jnp.mean(loss_of(output, target)), Aux()

  step = with_ema(gradient_step(objective, tx), config.ema_decay)

  def init(key, pretrained):
    key_params, key_state = jax.random.split(key)
    params = model.init(key_params, jnp.zeros((1, *spec.shape)), jnp.zeros(1))["params"]
    return new_state(key_state, params, tx.init(params), ema=True)

  # What follows walks back from noise to data, by the averaged parameters.

  def denoiser(params, label):
    predict, clip = network(params, label), (spec.low, spec.high)
    return noise.make_denoiser(predict, schedule, config.prediction, clip=clip)

  sampling = make_sampling(
    denoiser,
    schedule,
    spec.shape,
    config.samplers,
    num_classes=num_classes,
    **config.sample,
  )

  @jax.jit
  def bound(state, batch, key):
    return diffusion.sampled_variational_bound(
      denoiser(state.ema_params, batch["label"]),
      schedule,
      batch["x"],
      key,
      num_samples=config.eval.bound_samples,
      levels=spec.levels,
      low=spec.low,
      high=spec.high,
      variance=config.samplers.ancestral.variance,
    )

  log_prob = LogProb(bound, kind="bound", of="mass")
  evaluate = make_image_evaluation(
    data,
    sampling.sample,
    log_prob=log_prob,
    trajectory=sampling.trajectory,
    chunk_size=config.sample.chunk_size,
    num_samples=config.eval.num_samples,
    seed=config.eval.seed,
    net_steps=config.eval.net_steps,
    inception=config.eval.inception,
  )
  return Experiment(
    data, init, step, evaluate, sampling.sample, log_prob, sharding_rules=UNET
  )


if __name__ == "__main__":
  cli.main(make)
