"""The usual optimiser of a paper, from plain values: all of it is optax."""

import optax

from jgm.core.choice import choose


def make_optimizer(
  *,
  learning_rate: float,
  total_steps: int,
  algorithm: str = "adam",
  warmup_steps: int = 0,
  decay: str = "constant",
  clip_norm: float | None = None,
  weight_decay: float = 0.0,
  b1: float = 0.9,
  b2: float = 0.999,
  accumulate_steps: int = 1,
  flatten: bool = False,
) -> optax.GradientTransformation:
  """Adam or plain gradient descent, with warm-up, decay, clipping and weight decay.

  Args:
    learning_rate: the peak learning rate.
    total_steps: the number of training steps; a decay ends there, at 0.
    algorithm: "adam" (AdamW where there is weight decay), or "sgd", gradient descent
      without momentum, which two ways to compute one run can be compared by: Adam makes
      whole steps of a gradient's rounding.
    warmup_steps: training steps over which the rate rises linearly, from 1/n of it.
    decay: "constant", "linear" or "cosine": what follows the warm-up.
    clip_norm: the greatest global norm of the gradient; None does not clip.
    weight_decay: the decoupled weight decay.
    b1: Adam's first decay rate.
    b2: Adam's second decay rate.
    accumulate_steps: gradients averaged before each update. The learning rate's
      schedule still counts training steps.
    flatten: whether the parameters are updated as one long vector. A network of many
      small leaves then compiles and runs faster; one that is sharded by leaves may not.

  Returns:
    An optax transformation.

  Raises:
    ValueError: if `algorithm` or `decay` is not one of the above.
  """
  schedule = _make_schedule(
    learning_rate,
    decay,
    num_updates=max(1, total_steps // accumulate_steps),
    num_warmup=warmup_steps // accumulate_steps,
  )
  make = choose(algorithm, {"adam": _adam, "sgd": _sgd}, what="algorithm")
  tx = make(schedule, weight_decay, b1=b1, b2=b2)
  if clip_norm is not None:
    tx = optax.chain(optax.clip_by_global_norm(clip_norm), tx)
  if flatten:
    tx = optax.flatten(tx)
  if accumulate_steps > 1:
    tx = optax.MultiSteps(tx, accumulate_steps).gradient_transformation()
  return tx


def _make_schedule(
  learning_rate: float, decay: str, *, num_updates: int, num_warmup: int
) -> optax.Schedule:
  num_decay = max(1, num_updates - num_warmup)
  decays = {
    "constant": optax.constant_schedule(learning_rate),
    "linear": optax.linear_schedule(learning_rate, 0.0, num_decay),
    "cosine": optax.cosine_decay_schedule(learning_rate, num_decay),
  }
  # From 1/n, not from 0: a first update of zero would be a step wasted.
  warmup = optax.linear_schedule(
    learning_rate / max(1, num_warmup), learning_rate, max(1, num_warmup - 1)
  )
  after_warmup = choose(decay, decays, what="decay")
  return optax.join_schedules([warmup, after_warmup], [num_warmup])


def _adam(schedule: optax.Schedule, weight_decay: float, *, b1: float, b2: float):
  if weight_decay:
    return optax.adamw(schedule, b1=b1, b2=b2, weight_decay=weight_decay)
  return optax.adam(schedule, b1=b1, b2=b2)


def _sgd(schedule: optax.Schedule, weight_decay: float, *, b1: float, b2: float):
  del b1, b2  # Adam's
  if weight_decay:
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(schedule))
  return optax.sgd(schedule)
