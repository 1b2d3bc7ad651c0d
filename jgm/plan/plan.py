"""From a program's shapes to what its training would take."""

import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from jgm.core.program import Program
from jgm.plan.chips import Chip
from jgm.plan.count import Collective, Work, count_work
from jgm.plan.roofline import Estimate, estimate
from jgm.plan.topology import Topology


class DoesNotFit(Exception):
  """XLA found no way to fit the program into the chip's memory; what it says of it."""


class Memory(NamedTuple):
  """Bytes of one device's memory, the padding of its arrays included."""

  arguments: int  # the state, the data, and the state that a call returns
  temporaries: int
  total: int


class Measured(NamedTuple):
  """What the compiler and its program say of one call, of one device."""

  memory: Memory
  work: Work
  unknown_loops: int
  uncounted_calls: tuple[str, ...]


class Plan(NamedTuple):
  """What a run would take. All but the last two fields are of one device, one step."""

  topology: str
  num_devices: int
  parameters: int  # of one seed
  batch_size: int | None
  memory: Memory
  memory_limit: int | None
  fits: bool | None
  largest_batch: int | None  # that fits: at least this where `fits`, else at most
  work: Work
  unknown_loops: int
  uncounted_calls: tuple[str, ...]
  total_steps: int
  estimate: Estimate | None  # None without published peaks


def compile_and_count(lowered: jax.stages.Lowered, *, steps_per_call: int) -> Measured:
  """Compiles a call, which takes seconds to minutes, and counts what it does.

  Args:
    lowered: of `Program.lower`.
    steps_per_call: the steps of a call.

  Returns:
    What was Measured.

  Raises:
    DoesNotFit: if the compiler says so.
  """
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error):
      raise
    said = str(error).partition("\n")[0]
    raise DoesNotFit(said.removeprefix("RESOURCE_EXHAUSTED: ").rstrip(".")) from error
  count = count_work(compiled.as_text() or "", steps_per_call=steps_per_call)
  return Measured(
    _memory(compiled.memory_analysis()),
    count.work,
    count.unknown_loops,
    count.uncounted_calls,
  )


def cache_name(lowered: jax.stages.Lowered, topology: Topology) -> str:
  """A file's name that is this program's alone, compiled for this by these versions."""
  versions = [jax.__version__, _version("jaxlib"), _version("libtpu")]
  said = "\n".join([topology.name, *versions, _own_code(), lowered.as_text()])
  return f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.json"


def make_plan(
  program: Program,
  measured: Measured,
  topology: Topology,
  *,
  batch_size: int | None,
  streamed_bytes: int = 0,
  total_steps: int,
  price_per_chip_hour: float | None = None,
) -> Plan:
  """Puts the numbers of one step together, and what the whole run takes.

  Args:
    program: what is planned.
    measured: of one of its calls.
    topology: for which.
    batch_size: the global batch size; None without data.
    streamed_bytes: of one device's arguments, those that grow with the batch.
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
    memory=memory,
    memory_limit=chip.memory if chip else None,
    fits=memory.total <= chip.memory if chip else None,
    largest_batch=_largest_batch(memory, chip, batch_size, num_devices, streamed_bytes),
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


def measured_from_json(text: str) -> Measured:
  """The inverse of `to_json`, of what was Measured."""
  read = json.loads(text)
  collectives = {
    Collective(each["kind"], each["group_size"]): each["num_bytes"]
    for each in read["work"]["collectives"]
  }
  return Measured(
    Memory(**read["memory"]),
    Work(**{**read["work"], "collectives": collectives}),
    read["unknown_loops"],
    tuple(read["uncounted_calls"]),
  )


def _memory(analysis: Any) -> Memory:
  """What is written over an argument, as a donated state is, needs no room again."""
  arguments = analysis.argument_size_in_bytes
  results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
  code = analysis.generated_code_size_in_bytes
  temporaries = analysis.temp_size_in_bytes
  return Memory(arguments, temporaries, arguments + results + temporaries + code)


def _largest_batch(
  memory: Memory,
  chip: Chip | None,
  batch_size: int | None,
  num_devices: int,
  streamed_bytes: int,
) -> int | None:
  """As if all temporaries grew with the batch.

  Some, the gradients among them, do not: so at least this many fit where it is more
  than the batch, and at most this many where it is less.
  """
  if chip is None or not batch_size:
    return None
  growing = memory.temporaries + streamed_bytes
  room = chip.memory - (memory.total - growing)
  rows = batch_size * room / max(growing, 1)
  return max(int(rows) // num_devices * num_devices, 0)


def _version(package: str) -> str:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return "none"


def _own_code() -> str:
  """What counts: where that changes, it counts again."""
  folder = pathlib.Path(__file__).parent
  return "".join(file.read_text() for file in sorted(folder.glob("*.py")))
