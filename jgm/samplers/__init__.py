"""Samplers: pure functions of a denoiser, a score or logits, and a key."""

from jgm.samplers.ancestral import ancestral
from jgm.samplers.annealed_langevin import annealed_langevin
from jgm.samplers.chunks import in_chunks
from jgm.samplers.ddim import ddim
from jgm.samplers.dpm_solver import dpm_solver
from jgm.samplers.euler_maruyama import euler_maruyama
from jgm.samplers.guidance import classifier_free, classifier_guidance, from_scale
from jgm.samplers.heun import heun
from jgm.samplers.labels import class_labels
from jgm.samplers.langevin import langevin
from jgm.samplers.likelihood import flow_log_prob
from jgm.samplers.mala import mala
from jgm.samplers.predictor_corrector import predictor_corrector
from jgm.samplers.probability_flow import probability_flow
from jgm.samplers.sampling import make_sampling
from jgm.samplers.timesteps import timestep_pairs
from jgm.samplers.walk import Trajectory

__all__ = [
  "Trajectory",
  "ancestral",
  "annealed_langevin",
  "class_labels",
  "classifier_free",
  "classifier_guidance",
  "ddim",
  "dpm_solver",
  "euler_maruyama",
  "flow_log_prob",
  "from_scale",
  "heun",
  "in_chunks",
  "langevin",
  "make_sampling",
  "mala",
  "predictor_corrector",
  "probability_flow",
  "timestep_pairs",
]
