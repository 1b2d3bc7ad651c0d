"""How XLA is set up, for every program of a run."""

import os

import jax
import jaxlib

from jgm.cache import cache_dir

# On a CPU, XLA hands products and convolutions to a library whose fusions run on one
# core alone. Without it they use every core, and a training step takes a quarter less.
USE_EVERY_CORE = "--xla_cpu_experimental_ynn_fusion_type="
# The versions known to have that flag: one that XLA does not know ends the process.
KNOWN_FLAG = ((0, 10), (0, 11))


def configure_jax() -> None:
  """Sets up XLA: compiled programs are kept, and a CPU is used whole.

  Call it before anything is computed: flags of a running backend cannot be changed.
  """
  jax.config.update("jax_compilation_cache_dir", str(cache_dir("xla")))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
  jax.config.update("jax_threefry_partitionable", True)  # or draws vary with devices
  flags = os.environ.get("XLA_FLAGS", "")
  low, high = KNOWN_FLAG
  known = low <= tuple(map(int, jaxlib.__version__.split(".")[:2])) < high
  if known and USE_EVERY_CORE not in flags:
    os.environ["XLA_FLAGS"] = f"{flags} {USE_EVERY_CORE}".strip()
