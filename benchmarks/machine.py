"""What the machine itself can do: the roof above every number here."""

import os
import pathlib
import platform
import re
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.worker import num_threads


def limits() -> dict[str, float | int | str]:
  """The float32 product's rate in GFLOP/s, the copy's in GB/s, cores and load."""
  n = 2048
  product = jax.jit(lambda a: a @ a)
  a = jnp.ones((n, n))
  source = np.ones(2**25)
  target = np.empty_like(source)
  return {
    "processor": processor(),
    "threads": num_threads(),
    "load": round(os.getloadavg()[0], 2),
    "matmul_gflops": 2 * n**3 / _best(lambda: product(a).block_until_ready()) / 1e9,
    "copy_gb_per_s": 2 * source.nbytes / _best(lambda: np.copyto(target, source)) / 1e9,
  }


def processor() -> str:
  """Its name; where only Linux knows it, from /proc."""
  path = pathlib.Path("/proc/cpuinfo")
  named = re.search(r"model name\s*: (.+)", path.read_text()) if path.exists() else None
  return named[1] if named else platform.processor() or platform.machine()


def _best(f, repeats: int = 5) -> float:
  f()
  times = []
  for _ in range(repeats):
    start = time.perf_counter()
    f()
    times.append(time.perf_counter() - start)
  return min(times)
