"""Every test: eight simulated devices, strict shapes, no key used twice."""

import os

# Tests compile far more than they compute, so the compiler takes the short way.
os.environ["XLA_FLAGS"] = " ".join(
  [
    os.environ.get("XLA_FLAGS", ""),
    "--xla_force_host_platform_device_count=8",
    "--xla_backend_optimization_level=0",
  ]
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

from jgm.cache import cache_dir

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_compilation_cache_dir", str(cache_dir("xla")))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@pytest.fixture
def key():
  return jax.random.key(0)
