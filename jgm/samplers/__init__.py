"""Samplers: pure functions of a denoiser, a score or logits, and a key.

Here are the samplers by name, what guides or times them, and each `make_...` that an
experiment's `sample` comes from. What belongs to one file alone, such as its checks,
its tables and its transformations, is imported from that file.
"""

from jgm.samplers.ancestral import ancestral
from jgm.samplers.annealed_langevin import annealed_langevin
from jgm.samplers.chunks import in_chunks
from jgm.samplers.ddim import ddim
from jgm.samplers.decode import decode
from jgm.samplers.dpm_solver import dpm_solver
from jgm.samplers.euler import euler, euler_path
from jgm.samplers.euler_maruyama import euler_maruyama
from jgm.samplers.generator import make_generator_sampling
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
from jgm.samplers.writing import make_writer

__all__ = [
  "Trajectory",
  "ancestral",
  "annealed_langevin",
  "class_labels",
  "classifier_free",
  "classifier_guidance",
  "ddim",
  "decode",
  "dpm_solver",
  "euler",
  "euler_maruyama",
  "euler_path",
  "flow_log_prob",
  "from_scale",
  "heun",
  "in_chunks",
  "langevin",
  "make_generator_sampling",
  "make_sampling",
  "make_writer",
  "mala",
  "predictor_corrector",
  "probability_flow",
  "timestep_pairs",
]
