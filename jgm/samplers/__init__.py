"""Samplers: pure functions of a denoiser, a score or logits, and a key."""

from jgm.samplers.ancestral import ancestral
from jgm.samplers.chunks import in_chunks
from jgm.samplers.ddim import ddim
from jgm.samplers.labels import class_labels
from jgm.samplers.timesteps import timestep_pairs

__all__ = ["ancestral", "class_labels", "ddim", "in_chunks", "timestep_pairs"]
