"""From a program's shapes to what its training would take."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from jgm.core.program import Program
from jgm.plan.compiled import Compiled, Memory
from jgm.plan.count import Work, count_work
from jgm.plan.roofline import Estimate, estimate
from jgm.plan.topology import Topology


class Measured(NamedTuple):
  """What the compiler and its program say of one call, of one device."""

  memory: Memory
  work: Work
  unknown_loops: int
  uncounted_calls: tuple[str, ...]


class Plan(NamedTuple):
  """What a run would take: of one device and one step, but for the last three."""

  topology: str
  num_devices: int
  parameters: int  # of one seed
  batch_size: int | None
  batch_devices: int  # over which it is spread
  memory: Memory
  memory_limit: int | None
  fits: bool | None
  work: Work
  unknown_loops: int
  uncounted_calls: tuple[str, ...]
  total_steps: int
  estimate: Estimate | None  # None without published peaks
  largest_batch: int | None = None  # that fits, about; None where it is not known


def measure(compiled: Compiled, *, steps_per_call: int) -> Measured:
  """Counts what one device does in a call.

  Args:
    compiled: the call.
    steps_per_call: its steps.

  Returns:
    What was Measured.
  """
  count = count_work(compiled.text, steps_per_call=steps_per_call)
  return Measured(
    compiled.memory, count.work, count.unknown_loops, count.uncounted_calls
  )


def make_plan(
  program: Program,
  measured: Measured,
  topology: Topology,
  *,
  batch_size: int | None,
  total_steps: int,
  price_per_chip_hour: float | None = None,
) -> Plan:
  """Puts the numbers of one step together, and what the whole run takes.

  Args:
    program: what is planned.
    measured: of one of its calls.
    topology: for which.
    batch_size: the global batch size; None without data.
    total_steps: steps of the run.
    price_per_chip_hour: in whatever currency.

  Returns:
    The Plan.
  """
  chip, memory = topology.chip, measured.memory
  num_devices = len(topology.devices)
  work = measured.work.times(1 / program.steps_per_call)
  parameters = sum(leaf.size for leaf in jax.tree.leaves(program.abstract.params))
  return Plan(
    topology=topology.name,
    num_devices=num_devices,
    parameters=parameters // program.num_seeds,
    batch_size=batch_size,
    batch_devices=program.batch_devices,
    memory=memory,
    memory_limit=chip.memory if chip else None,
    fits=memory.total <= chip.memory if chip else None,
    work=work,
    unknown_loops=measured.unknown_loops,
    uncounted_calls=measured.uncounted_calls,
    total_steps=total_steps,
    estimate=chip
    and estimate(
      work,
      chip,
      num_chips=num_devices,
      total_steps=total_steps,
      price_per_chip_hour=price_per_chip_hour,
    ),
  )


def to_json(value: Any) -> Any:
  """NamedTuples as dictionaries, collectives as a list: what `json` can write."""
  if hasattr(value, "_asdict"):
    return {name: to_json(each) for name, each in value._asdict().items()}
  if isinstance(value, Mapping):
    return [{**kind._asdict(), "num_bytes": n} for kind, n in sorted(value.items())]
  return value
