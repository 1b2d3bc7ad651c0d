"""Score matching: the gradient of a log-density, learned without the density.

Hyvärinen 2005, "Estimation of non-normalized statistical models by score matching";
Vincent 2011; Song, Garg, Shi & Ermon 2019, "Sliced score matching".
https://jmlr.org/papers/v6/hyvarinen05a.html https://arxiv.org/abs/1905.07088

    1/2 E || s(x) - grad log p(x) ||^2 + constant, without grad log p, is the mean of
    1/2 ||s||^2 + tr(ds / dx)                implicit      Hyvärinen, eq. 4
    1/2 ||s||^2 + v^T (ds / dx) v            hutchinson    Song et al., eq. 8
    1/2 (v^T s)^2 + v^T (ds / dx) v          sliced        Song et al., eq. 7
    1/2 ||s + eps / sigma||^2                denoising     Vincent, section 4.2
    x <- x + a / 2 s(x) + sqrt(a) z          Langevin's dynamics draw samples

    python -m experiments.score_matching --config=configs/score_matching.py

Two Gaussians, of weights 1/5 and 4/5. Measured, with "hutchinson": a squared error of
the score of 0.003 over the data (a score of zero: 2.0), and of 20 (37) anywhere in the
square. Chains come to rest in the nearest Gaussian: led by the true score they find
both about equally, a KL of 0.23 nats from the weights; led by the learned one 0.06, by
how it happens to fill the gap between. Many levels of noise mend that: see ncsn.py.

Then all four losses, on Gaussians: in 128 dimensions a step of "implicit" takes 75 ms,
of the others about 1, and after 500 steps the errors are 0.31, 0.38, 0.78 and 0.93 of a
zero score's, in the order above. The last is the price of little noise: 0.66 with
--config.sigma=0.3, 0.49 with 0.5. Two minutes of processor time for all of it.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jgm import cli
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
from jgm.data.gaussian_mixture import mixture_score
from jgm.data.toys import exact_mixture
from jgm.eval.evaluation import make_evaluation
from jgm.eval.modes import mode_coverage
from jgm.eval.plots import scatter_2d
from jgm.eval.score_by_dimension import make_score_by_dimension
from jgm.eval.true_score import score_errors, score_fields
from jgm.losses import score as losses
from jgm.models.mlp import MLP
from jgm.samplers import in_chunks, langevin
from jgm.samplers.langevin import check_steps

# Of a score s at x = x_0 + sigma eps. Only the last one is told (eps, sigma).
LOSSES = {
  "implicit": lambda s, x, noise, key: losses.implicit_score_matching(s, x),
  "hutchinson": lambda s, x, noise, key: losses.hutchinson_score_matching(s, x, key),
  "sliced": lambda s, x, noise, key: losses.sliced_score_matching(s, x, key),
  "denoising": lambda s, x, noise, key: losses.denoising_score_matching(s(x), *noise),
}
MOMENTS = (3, 10, 30, 100, 300, 1000)  # of a chain, to look at


def make(config) -> Experiment:
  """The method, bound to a config."""
  data = make_dataset(**config.data)
  spec = data.spec
  if spec.shape != (2,):
    raise ValueError(f"config.data.name={config.data.name!r}: no points in the plane")
  if not config.sigma > 0.0:
    raise ValueError(f"config.sigma={config.sigma}: the added noise must be above 0")
  walks = config.sample
  check_steps(walks.step_size, walks.num_steps)
  sigma = np.float32(config.sigma)
  model = MLP(dtype=config.dtype, **config.model)
  loss_of = choose(config.loss, LOSSES, what="config.loss")
  tx = make_optimizer(total_steps=config.total_steps, **config.optimizer)

  def score(params):
    return lambda x_t: model.apply({"params": params}, x_t)

  def objective(params, state, batch, key):
    key_eps, key_directions = jax.random.split(key)
    # All losses see the same noisy data, so all learn the same score.
    eps = jax.random.normal(key_eps, batch["x"].shape)
    x_t = batch["x"] + sigma * eps
    loss = loss_of(score(params), x_t, (eps, sigma), key_directions)
    return jnp.mean(loss), Aux()

  step = with_ema(gradient_step(objective, tx), config.ema_decay)

  def init(key, pretrained):
    key_params, key_state = jax.random.split(key)
    params = model.init(key_params, jnp.zeros((1, *spec.shape)))["params"]
    return new_state(key_state, params, tx.init(params), ema=True)

  # What follows runs Langevin's chains from all over the plane, by the averaged
  # parameters, or by the true score where it is known and `params` is None.

  mixture = exact_mixture(data)
  true_score = functools.partial(mixture_score, mixture, sigma=sigma)

  def start(key, n):
    return jax.random.uniform(key, (n, *spec.shape), minval=spec.low, maxval=spec.high)

  @functools.partial(jax.jit, static_argnames=("num_steps", "step_size"))
  def walk(params, key, x, num_steps=walks.num_steps, step_size=walks.step_size):
    field = true_score if params is None else score(params)
    return langevin(field, x, key, num_steps=num_steps, step_size=step_size)

  def chains(params, key, n, *options):
    key_start, key_walk = jax.random.split(key)
    draw = lambda key, x: walk(params, key, x, *options)
    return in_chunks(draw, key_walk, start(key_start, n), size=walks.chunk_size)

  def sample(state, key, n, *, num_steps=walks.num_steps, step_size=walks.step_size):
    return chains(state.ema_params, key, n, num_steps, step_size)

  def trajectory(state, key):
    key_start, key_walk = jax.random.split(key)
    x = start(key_start, 500)
    moments = [m for m in MOMENTS if m <= walks.num_steps]
    # Step i draws from fold_in(key, i): all of these are one chain, cut short.
    frames = [walk(state.ema_params, key_walk, x, m) for m in moments]
    return jnp.stack([x, *frames]), ["start", *(f"step {m}" for m in moments)]

  compare_dimensions = make_score_by_dimension(
    LOSSES, model, config.eval.dimensions, sigma=config.sigma
  )

  def scalars(state, key):
    found = {}
    if mixture is not None:
      key_eps, key_start, key_chains = jax.random.split(key, 3)
      x_0 = data.split("test")["x"]
      x_t = x_0 + sigma * jax.random.normal(key_eps, x_0.shape)
      points = {"data": x_t, "anywhere": start(key_start, len(x_0))}
      found = score_errors(score(state.ema_params), true_score, points)
      x = chains(None, key_chains, 2000)
      kl, note = mode_coverage(x, mixture).kl_nats, "chains led by the true score"
      found["mode_kl_nats_true_score"] = Scalar(kl, 0.0, None, "lower", note)
    return found | compare_dimensions.scalars()

  def pictures(state, key):
    real = data.split("test")["x"][:1000]
    scores = {f"learned score ({config.loss})": score(state.ema_params)}
    drawn = {}
    if mixture is not None:
      scores["true score"] = true_score
      x = chains(None, key, len(real))
      drawn["chains led by the true score"] = scatter_2d(x, real)
    drawn["score"] = score_fields(scores, low=spec.low, high=spec.high, samples=real)
    return drawn | compare_dimensions.pictures()

  evaluate = make_evaluation(
    data,
    sample,
    trajectory=trajectory,
    pictures=pictures,
    scalars=scalars,
    chunk_size=walks.chunk_size,
    num_samples=config.eval.num_samples,
    seed=config.eval.seed,
  )
  return Experiment(data, init, step, evaluate, sample)


if __name__ == "__main__":
  cli.main(make)
