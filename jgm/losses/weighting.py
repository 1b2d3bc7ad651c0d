"""Weights of the diffusion loss, by the log-SNR: all are (log_snr [B], ...) -> [B].

A weighted loss is the product of such a weight and a regression's:
`min_snr_weight(schedule.log_snr(t)) * squared_error(output, target)`. A config names
one of these functions; a new one can be named as soon as it is here.

Papers give the weight of the error in x_0. The error in eps, at the same x_t, is SNR
times that, and the error in v SNR + 1 times: the weight of what a network predicts is
smaller by as much. Hence `prediction`.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array

LIMIT = 80.0  # exp of it is a float32; log_snr is infinite where there is no noise


def constant_weight(log_snr: Array, prediction: str = "eps") -> Array:
  """One: the error of what is predicted, as it is.

  Args:
    log_snr: [B] float. log(alpha^2 / sigma^2).
    prediction: anything; it makes no difference.

  Returns:
    [B] float, 1. Property: it is `snr_weight` for "eps", `snr_plus_one_weight` for "v".
  """
  del prediction
  return jnp.ones_like(log_snr)


def snr_weight(log_snr: Array, prediction: str = "eps") -> Array:
  """SNR for x_0: the "simple" loss of DDPM, whatever the network predicts.

  Args:
    log_snr: [B] float. log(alpha^2 / sigma^2); infinite where there is no noise.
    prediction: "eps", "x_0", or "v" where alpha^2 + sigma^2 = 1.

  Returns:
    [B] float > 0. Property: 1 for "eps".

  Raises:
    ValueError: for another prediction.

  Reference: Ho, Jain, Abbeel 2020, eq. 14. https://arxiv.org/abs/2006.11239
  """
  return _weight(lambda log_snr: log_snr, log_snr, prediction)


def truncated_snr_weight(log_snr: Array, prediction: str = "eps") -> Array:
  """max(SNR, 1) for x_0: at high noise too, where the SNR vanishes, x_0 counts.

  Args:
    log_snr: [B] float.
    prediction: as `snr_weight` has it.

  Returns:
    [B] float > 0. Property: at least 1 for "eps" and "x_0".

  Raises:
    ValueError: as `snr_weight`.

  Reference: Salimans & Ho 2022, section 4. https://arxiv.org/abs/2202.00512
  """
  return _weight(lambda log_snr: jnp.maximum(log_snr, 0.0), log_snr, prediction)


def snr_plus_one_weight(log_snr: Array, prediction: str = "eps") -> Array:
  """SNR + 1 for x_0: the error of v, whatever the network predicts.

  Args:
    log_snr: [B] float.
    prediction: as `snr_weight` has it.

  Returns:
    [B] float > 0. Property: 1 for "v".

  Raises:
    ValueError: as `snr_weight`.

  Reference: Salimans & Ho 2022, section 4. https://arxiv.org/abs/2202.00512
  """
  return _weight(jax.nn.softplus, log_snr, prediction)


def min_snr_weight(
  log_snr: Array, prediction: str = "eps", *, gamma: float = 5.0
) -> Array:
  """min(SNR, gamma) for x_0: the many steps of little noise do not outweigh the rest.

  Args:
    log_snr: [B] float.
    prediction: as `snr_weight` has it: min(SNR, gamma) for "x_0", that over SNR for
      "eps", over SNR + 1 for "v".
    gamma: above 0; the authors' is 5.

  Returns:
    [B] float >= 0. Property: at most `snr_weight`, and equal to it where SNR <= gamma.

  Raises:
    ValueError: as `snr_weight`, or if gamma is not above 0.

  Reference: Hang et al. 2023, section 3.4. https://arxiv.org/abs/2303.09556
  """
  if not gamma > 0:
    raise ValueError(f"gamma must be above 0; got {gamma}")
  limit = math.log(gamma)
  return _weight(lambda log_snr: jnp.minimum(log_snr, limit), log_snr, prediction)


def _weight(
  log_weight: Callable[[Array], Array], log_snr: Array, prediction: str
) -> Array:
  """The weight of x_0, over how much larger the error of the prediction is."""
  # d eps = -alpha / sigma d x_0 at the same x_t; d v = -(alpha^2 / sigma + sigma) d x_0
  log_ratios: dict[str, Callable[[Array], Array]] = {
    "x_0": jnp.zeros_like,
    "eps": lambda log_snr: log_snr,
    "v": jax.nn.softplus,
  }
  if prediction not in log_ratios:
    raise ValueError(
      f"no weight for prediction {prediction!r}: it is one of {tuple(log_ratios)}. The "
      "error of others is no function of the log-SNR alone: use constant_weight"
    )
  log_snr = jnp.clip(log_snr, -LIMIT, LIMIT)
  return jnp.exp(log_weight(log_snr) - log_ratios[prediction](log_snr))
