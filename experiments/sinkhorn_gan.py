"""Sinkhorn generative modelling: a generator trained by transport alone, no critic.

Genevay, Peyré & Cuturi 2018, "Learning generative models with Sinkhorn divergences";
Feydy et al. 2019, "Interpolating between optimal transport and MMD".
https://arxiv.org/abs/1706.00292 https://arxiv.org/abs/1810.08278

    OT(x, y) = min_P <P, C> + epsilon KL(P | a b^T)            Feydy eq. 1
    loss = OT(G(z), x) - OT(G(z), G(z)) / 2 - OT(x, x) / 2     Feydy eq. 3
    of a minibatch of samples G(z), z ~ N(0, I), and one of data x

    python -m experiments.sinkhorn_gan --config=configs/sinkhorn_gan.py
    python -m experiments.sinkhorn_gan --config=configs/sinkhorn_gan.py:grid

The divergence of minibatches is least for samples that have shrunk together somewhat,
so the minibatches are large. And what is near is the cost's to say: by pixels, a mean
of two digits is near to both. Measured on 8x8 digits: a Fréchet distance of 1.20 (real
data: 0.34; ddpm.py: 0.37), precision 0.84 (0.89), recall 0.58 (0.93), and a separate
classifier is sure of 75% of samples (93%): the others are blurred. Samples lie nearer
to the 1,297 training images than held-out ones do. All transports converged, in 18
iterations. Three minutes of processor time.

The grid has 25 narrow Gaussians; the cost is the distance, not its square. Measured: 25
of 25 are found, 85% of samples are within three deviations of one (real points: 99%),
and their shares within 0.0052 nats of equal ones (0.0062). The other samples are on
their way from one to the next: a network takes what is connected to what is connected.
Four minutes of processor time.
"""

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from jgm import cli, ot
from jgm.core import (
  Aux,
  Experiment,
  Scalar,
  choose,
  gradient_step,
  make_optimizer,
  new_state,
  with_ema,
)
from jgm.data import make_dataset
from jgm.eval.evaluation import make_evaluation
from jgm.eval.generator import make_generator_pictures
from jgm.models.generator import ConvGenerator, DenseGenerator
from jgm.samplers import in_chunks
from jgm.samplers.generator import PRIORS, GeneratorSampling

GENERATORS = {"dense": DenseGenerator, "conv": ConvGenerator}
COSTS = {
  "squared_euclidean": ot.squared_euclidean,
  "euclidean": ot.euclidean,
  "cosine": ot.cosine,
}


def make(config) -> Experiment:
  """The method, bound to a config."""
  data = make_dataset(**config.data)
  spec = data.spec
  network_of = choose(config.generator, GENERATORS, what="config.generator")
  options = config.dense if config.generator == "dense" else config.conv
  bounds = None if spec.levels is None else (spec.low, spec.high)
  model = network_of(spec.shape, bounds=bounds, dtype=config.dtype, **options)
  cost = choose(config.cost, COSTS, what="config.cost")
  check(**config.transport, noise_dimension=config.noise_dimension)
  draw_noise = choose(config.noise, PRIORS, what="config.noise")(config.noise_dimension)
  tx = make_optimizer(total_steps=config.total_steps, **config.optimizer)

  def generate(params, z):
    """Examples for noise z [B, D]."""
    return model.apply({"params": params}, z)

  def divergence(x, y):
    as_points = lambda x: rearrange(x, "b ... -> b (...)")
    return ot.sinkhorn_divergence(
      as_points(x), as_points(y), cost=cost, **config.transport
    )

  def objective(params, state, batch, key):
    x = batch["x"]
    samples = generate(params, draw_noise(key, len(x)))
    found = divergence(samples, x)
    metrics = {
      "transport/cost": found.xy.transport_cost,
      "transport/iterations": found.xy.iterations.astype(jnp.float32),
      "transport/converged": found.converged.astype(jnp.float32),
    }
    return found.value, Aux(metrics)

  step = with_ema(gradient_step(objective, tx), config.ema_decay)

  def init(key, pretrained):
    key_params, key_state = jax.random.split(key)
    params = model.init(key_params, jnp.zeros((1, config.noise_dimension)))["params"]
    return new_state(key_state, params, tx.init(params), ema=True)

  # What follows draws samples, by the averaged parameters.

  generate_chunk, measure = jax.jit(generate), jax.jit(divergence)

  def draw(state, key):
    return lambda z, label: generate_chunk(state.ema_params, z)

  def sample(state, key, n):
    key_noise, key_chunks = jax.random.split(key)
    one = lambda _, z: generate_chunk(state.ema_params, z)
    z = draw_noise(key_noise, n)
    return in_chunks(one, key_chunks, z, size=config.sample.chunk_size)

  def scalars(state, key):
    """The loss itself between many samples and as many held-out examples."""
    real = data.split("test")["x"][: config.eval.num_samples]
    train = data.split("train")["x"]
    rows = np.random.default_rng(config.eval.seed).permutation(len(train))
    n = min(len(real), len(train))
    found = measure(sample(state, key, n), real[:n])
    floor = measure(train[rows[:n]], real[:n])
    epsilon = float(found.xy.problem.epsilon)
    note = f"the loss of {n} samples and {n} held-out examples; epsilon {epsilon:.3g}; "
    note += "of so few, blurred ones are nearer than real ones"
    return {
      "sinkhorn_divergence": Scalar(
        float(found.value), float(floor.value), None, "equal to floor", note
      )
    }

  evaluate = make_evaluation(
    data,
    sample,
    pictures=make_generator_pictures(
      data,
      GeneratorSampling(sample, draw),
      draw_noise,
      spherical=config.noise == "normal",
    ),
    scalars=scalars,
    chunk_size=config.sample.chunk_size,
    num_samples=config.eval.num_samples,
    seed=config.eval.seed,
    net_steps=config.eval.net_steps,
    inception=config.eval.inception,
  )
  return Experiment(data, init, step, evaluate, sample)


def check(*, epsilon, noise_dimension, **options):
  """Raises what would else be said when the step is traced."""
  del options
  if not epsilon > 0:
    raise ValueError(f"config.transport.epsilon={epsilon}: it must be above 0")
  if noise_dimension < 1:
    raise ValueError(f"config.noise_dimension={noise_dimension}: it is at least 1")


if __name__ == "__main__":
  cli.main(make)
