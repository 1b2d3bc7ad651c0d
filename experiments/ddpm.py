"""DDPM: a network learns to remove noise; images are what it makes of pure noise.

Ho, Jain & Abbeel 2020, "Denoising diffusion probabilistic models".
https://arxiv.org/abs/2006.11239

    x_t = alpha_t x_0 + sigma_t eps,  eps ~ N(0, I)                  eq. 4
    loss = E || eps - eps_hat(x_t, t) ||^2                           eq. 14
    x_s ~ q(x_s | x_t, x_0_hat(x_t, t)), from t = T - 1 down         eq. 6, 7

    python -m experiments.ddpm --config=configs/ddpm.py

The default also tells the network the class, and trains on 8x8 digits. Measured: a
Fréchet distance of 0.37 (real data: 0.34), precision 0.91 (0.89), recall 0.85 (0.93), a
judge as sure as of real digits; 9.5 minutes of processor time on a two-core machine.
"""

import functools

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
from jgm.models.unet import UNet
from jgm.samplers import ancestral, class_labels, ddim, in_chunks, timestep_pairs

SCHEDULES = {"linear": noise.linear_beta_schedule, "cosine": noise.cosine_schedule}


def make(config) -> Experiment:
  """The method, bound to a config."""
  data = make_dataset(**config.data)
  spec = data.spec
  num_classes = spec.num_classes if config.class_conditional else None
  model = UNet(num_classes=num_classes, dtype=config.dtype, **config.model)
  make_schedule = choose(config.schedule, SCHEDULES, what="config.schedule")
  schedule = make_schedule(config.num_timesteps)
  loss_of = choose(config.loss, regression, what="config.loss")
  tx = make_optimizer(total_steps=config.total_steps, **config.optimizer)

  def network(params, label, **options):
    label = label if config.class_conditional else None
    return lambda x_t, t: model.apply({"params": params}, x_t, t, label, **options)

  def objective(params, state, batch, key):
    key_t, key_eps, key_dropout = jax.random.split(key, 3)
    x_0 = batch["image"]
    t = jax.random.randint(key_t, x_0.shape[:1], 0, schedule.num_steps)
    eps = jax.random.normal(key_eps, x_0.shape)
    x_t = noise.diffuse(x_0, eps, t, schedule)
    predict = network(params, batch["label"], train=True, rngs={"dropout": key_dropout})
    truth = noise.Prediction(x_0, eps)
    target = noise.target(
      config.prediction, truth, schedule.alpha(t), schedule.sigma(t)
    )
    return jnp.mean(loss_of(predict(x_t, t), target)), Aux()

  step = with_ema(gradient_step(objective, tx), config.ema_decay)

  def init(key, pretrained):
    key_params, key_state = jax.random.split(key)
    x_t, t = jnp.zeros((1, *spec.shape)), jnp.zeros(1, jnp.int32)
    label = t if config.class_conditional else None
    params = model.init(key_params, x_t, t, label)["params"]
    return new_state(key_state, params, tx.init(params), ema=True)

  # What follows walks back from noise to data, by the averaged parameters.

  samplers = {
    "ancestral": functools.partial(ancestral, variance=config.sample.variance),
    "ddim": functools.partial(ddim, eta=config.sample.eta),
  }

  choose(config.sample.sampler, samplers, what="config.sample.sampler")
  timestep_pairs(config.sample.num_steps, schedule.num_steps)  # or fail before training

  def denoiser(params, label):
    predict, clip = network(params, label), (spec.low, spec.high)
    return noise.make_denoiser(predict, schedule, config.prediction, clip=clip)

  @functools.partial(jax.jit, static_argnames=("sampler", "num_steps", "num_frames"))
  def walk(params, key, label, sampler, num_steps, num_frames=0):
    key_prior, key_walk = jax.random.split(key)
    return choose(sampler, samplers, what="sampler")(
      denoiser(params, label),
      schedule,
      jax.random.normal(key_prior, (len(label), *spec.shape)),
      key_walk,
      timesteps=timestep_pairs(num_steps, schedule.num_steps),
      num_frames=num_frames,
    )

  def sample(
    state,
    key,
    n,
    *,
    sampler=config.sample.sampler,
    num_steps=config.sample.num_steps,
    class_label=None,
  ):
    label = class_labels(n, num_classes, class_label)
    draw = lambda key, label: walk(state.ema_params, key, label, sampler, num_steps)
    return in_chunks(draw, key, label, size=config.sample.chunk_size)

  def trajectory(state, key):
    label, num_steps = class_labels(6, num_classes), config.sample.num_steps
    x_0, frames = walk(
      state.ema_params,
      key,
      label,
      config.sample.sampler,
      num_steps,
      num_frames=min(7, num_steps),
    )
    captions = [*(f"t = {t}" for t in frames.t), "x_0"]
    return jnp.concatenate([frames.x_t, x_0[None]]), captions

  @jax.jit
  def bound(state, batch, key):
    return diffusion.sampled_variational_bound(
      denoiser(state.ema_params, batch["label"]),
      schedule,
      batch["image"],
      key,
      num_samples=config.sample.bound_samples,
      levels=spec.levels,
      low=spec.low,
      high=spec.high,
      variance=config.sample.variance,
    )

  log_prob = LogProb(bound, kind="bound", of="mass")
  return Experiment(
    data=data,
    init=init,
    step=step,
    evaluate=make_image_evaluation(
      data,
      sample,
      log_prob=log_prob,
      trajectory=trajectory,
      chunk_size=config.sample.chunk_size,
      num_samples=config.eval.num_samples,
      seed=config.eval.seed,
      inception=config.eval.inception,
      judge_steps=config.eval.judge_steps,
    ),
    sample=sample,
    log_prob=log_prob,
  )


if __name__ == "__main__":
  cli.main("ddpm", make)
