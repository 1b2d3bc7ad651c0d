"""The collectives of a program: which, among how many, and which lines are one."""

import math
import re
from typing import NamedTuple

from jgm.plan.hlo import Computation, Instruction

KINDS = (
  "all-reduce",
  "all-gather",
  "reduce-scatter",
  "all-to-all",
  "ragged-all-to-all",
  "collective-broadcast",
  "collective-permute",
)


class Collective(NamedTuple):
  """Which collective, among how many devices."""

  kind: str  # one of KINDS
  group_size: int


def collective_bytes(
  inside: Computation, instruction: Instruction, num_devices: int
) -> dict[Collective, float]:
  """The bytes of a device's whole operand; of an all-gather, of its result.

  Args:
    inside: the computation that the instruction is in.
    instruction: any.
    num_devices: of the program.

  Returns:
    {which collective: its bytes}; `{}` of what is none, or begins elsewhere.
  """
  kind = instruction.opcode.removesuffix("-start")
  if kind not in KINDS or (goes_on(inside) and not _starts(inside, instruction)):
    return {}
  group_size = _group_size(instruction, num_devices)
  num_bytes = sum(s.num_bytes for s in inside.shapes_of(instruction.operands))
  if kind == "all-gather":
    num_bytes *= group_size
  return {Collective(kind, group_size): num_bytes}


def goes_on(inside: Computation) -> bool:
  """Whether a fusion carries on, or ends, a collective that an earlier one began.

  A TPU's compiler spreads a collective over all the fusions that it overlaps with, and
  writes it down, with what it has so far, in each of them.
  """
  return inside.name.startswith("async_collective_fusion") or any(
    _target(each) == "AsyncCollectiveDone" for each in inside.instructions.values()
  )


def _starts(inside: Computation, instruction: Instruction) -> bool:
  return any(
    _target(each) == "AsyncCollectiveStart" and instruction.name in each.operands
    for each in inside.instructions.values()
  )


def _target(call: Instruction) -> str | None:
  target = call.attribute("custom_call_target")
  return target.strip('"') if target else None


def _group_size(instruction: Instruction, num_devices: int) -> int:
  """How many devices take part, in whichever way XLA writes it."""
  attributes = instruction.attributes
  if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", attributes):
    return listed.group(1).count(",") + 1
  if iota := re.search(r"replica_groups=\[(\d+),(\d+)\]<=", attributes):
    return int(iota.group(2))
  if named := re.search(r"replica_groups=mesh\[([^\]]*)\]\s*\{([^}]*)\}", attributes):
    sizes = dict(re.findall(r"'([^']+)'=(\d+)", named.group(1)))
    return math.prod(int(sizes[n]) for n in re.findall(r"'([^']+)'", named.group(2)))
  return num_devices
