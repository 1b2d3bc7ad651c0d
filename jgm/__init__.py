"""Every family of generative model, as pure functions over one training state."""

from jgm.load import LoadedRun, load

__all__ = ["LoadedRun", "load"]
