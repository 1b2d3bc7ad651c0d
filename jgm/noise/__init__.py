"""One Gaussian path x_t = alpha_t x_0 + sigma_t eps, and eps <-> x_0 <-> v <-> score.

Schedules are functions of time, discrete or continuous, all of one type; what a network
predicts is turned into whatever is asked for in one place.
"""

from jgm.noise.continuous import (
  rectified_schedule,
  sub_vp_schedule,
  ve_schedule,
  vp_schedule,
)
from jgm.noise.discrete import (
  DDPM_SCHEDULES,
  cosine_schedule,
  geometric_schedule,
  linear_beta_schedule,
  schedule_from_betas,
  schedule_from_sigmas,
)
from jgm.noise.path import (
  VARIANCES,
  Posterior,
  check_variance,
  diffuse,
  learned_log_variance,
  posterior,
  prior_scale,
)
from jgm.noise.prediction import (
  PREDICTIONS,
  Denoiser,
  Network,
  Prediction,
  Score,
  check_prediction,
  make_denoiser,
  make_score,
  predict,
  target,
)
from jgm.noise.schedule import (
  CLEAN,
  Schedule,
  Time,
  discrete_steps,
  per_example,
  require_noise,
  sample_time,
)

__all__ = [
  "CLEAN",
  "DDPM_SCHEDULES",
  "PREDICTIONS",
  "VARIANCES",
  "Denoiser",
  "Network",
  "Posterior",
  "Prediction",
  "Schedule",
  "Score",
  "Time",
  "check_prediction",
  "check_variance",
  "cosine_schedule",
  "diffuse",
  "discrete_steps",
  "geometric_schedule",
  "learned_log_variance",
  "linear_beta_schedule",
  "make_denoiser",
  "make_score",
  "per_example",
  "posterior",
  "predict",
  "prior_scale",
  "rectified_schedule",
  "require_noise",
  "sample_time",
  "schedule_from_betas",
  "schedule_from_sigmas",
  "sub_vp_schedule",
  "target",
  "ve_schedule",
  "vp_schedule",
]
