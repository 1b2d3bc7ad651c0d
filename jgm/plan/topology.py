"""Devices by name, there or only described: "v5e:4x4", "cpu:8", "gpu"."""

import importlib.util
import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import jax
from jax.experimental import topologies

from jgm.plan.chips import CHIPS, Chip

INSTALL = "pip install -e '.[{}]'"


class TopologyError(ValueError):
  """There are no such devices; says which there are."""


class Topology(NamedTuple):
  """Devices to compile for."""

  name: str
  devices: Sequence[jax.Device]
  chip: Chip | None  # None where no peaks are known


def prepare(name: str) -> None:
  """Has jax make the CPU devices, and look for no others; before it is first used.

  Too late it does nothing.

  Args:
    name: of the topology.
  """
  kind, number = _split(name)
  if kind in CHIPS:
    # Else jax would look for a TPU in this machine, and for minutes.
    jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    # It only compiles: another process may have the TPU, or make a plan too.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")  # else it warns
  elif kind == "cpu":
    jax.config.update("jax_platforms", "cpu")
    counted = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if number.isdigit() and not counted:
      try:
        jax.config.update("jax_num_cpu_devices", int(number))
      except RuntimeError:
        return


def find_topology(name: str) -> Topology:
  """The devices of that name.

  Args:
    name: a TPU's kind and shape, "v5e:4x4"; "cpu:8", so many CPU devices, simulated; or
      "gpu", those of this machine, or as many as in "gpu:2".

  Returns:
    The Topology. Nothing can run on a TPU's devices: they are only described.

  Raises:
    TopologyError: if there are none such (lists those that there are), or the
      compiler for them is not installed (names the command).
  """
  kind, shape = _split(name)
  if kind in ("cpu", "gpu"):
    return Topology(name, _local_devices(kind, shape), None)
  chip = CHIPS.get(kind)
  if chip is None:
    raise TopologyError(f"no topology {name!r}. {_all_topologies()}")
  if shape not in chip.shapes:
    raise TopologyError(
      f"no topology {name!r}: {kind} comes as " + ", ".join(_names(chip))
    )
  return Topology(name, _described_devices(chip, shape), chip)


def _described_devices(chip: Chip, shape: str) -> Sequence[jax.Device]:
  if importlib.util.find_spec("libtpu") is None:
    raise TopologyError(
      "the compiler for TPUs, libtpu, is not installed. Install it with\n  "
      + INSTALL.format("tpu")
    )
  options: dict = {}
  if math.prod(map(int, shape.split("x"))) == 1:
    options["chips_per_host_bounds"] = (1, 1, 1)
  if chip.name == "v4":
    options["chip_config_name"] = "megacore"  # both cores of a chip as one device
  try:
    described = topologies.get_topology_desc(
      platform="tpu", topology_name=f"{chip.name}:{shape}", **options
    )
  except jax.errors.JaxRuntimeError as error:
    raise TopologyError(f"{chip.name}:{shape}: {error}") from error
  return described.devices


def _local_devices(kind: str, number: str) -> Sequence[jax.Device]:
  if number and not (number.isdigit() and int(number)):
    raise TopologyError(f"no topology '{kind}:{number}'. {_all_topologies()}")
  try:
    devices = jax.devices(kind)
  except RuntimeError as error:
    raise TopologyError(
      f"this machine has no {kind} that jax can use: there must be one, its driver "
      f"and jax's build for it,\n  {INSTALL.format(kind)}"
    ) from error
  wanted = int(number or len(devices))
  if wanted > len(devices):
    raise TopologyError(f"{kind}:{number}: there are {len(devices)} here")
  return devices[:wanted]


def _split(name: str) -> tuple[str, str]:
  kind, _, shape = name.partition(":")
  return kind, shape


def _names(chip: Chip) -> list[str]:
  return [f"{chip.name}:{shape}" for shape in chip.shapes]


def _all_topologies() -> str:
  tpus = "\n  ".join(" ".join(_names(chip)) for chip in CHIPS.values())
  return f"There are:\n  {tpus}\n  cpu:N gpu gpu:N"
