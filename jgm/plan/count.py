"""What a compiled program does: operations, bytes and collectives, loops multiplied."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from jgm.plan.collectives import Collective, collective_bytes
from jgm.plan.hlo import Computation, Instruction, Module, parse_module, trip_count
from jgm.plan.products import product_flops
from jgm.plan.traffic import moved_bytes

# Calls of what is no work.
_NO_WORK = (
  "AllocateBuffer",
  "AssumeGatherIndicesInBound",
  "AsyncCollective",  # marks of a collective, which is counted by itself
  "ConcatBitcast",
  "GatherScatterIndicesBitpacked",
  "SPMD",
  "Sharding",
)


class Work(NamedTuple):
  """What one device does."""

  flops: float = 0.0  # of products and convolutions alone
  num_bytes: float = 0.0  # to and from main memory
  # The bytes of a device's whole operand; of an all-gather, of its result.
  collectives: Mapping[Collective, float] = {}

  def __add__(self, other: "Work") -> "Work":  # type: ignore[override]
    names = {*self.collectives, *other.collectives}
    return Work(
      self.flops + other.flops,
      self.num_bytes + other.num_bytes,
      {c: self.collectives.get(c, 0) + other.collectives.get(c, 0) for c in names},
    )

  def times(self, factor: float) -> "Work":
    """The work of doing it `factor` times."""
    scaled = {c: factor * n for c, n in self.collectives.items()}
    return Work(factor * self.flops, factor * self.num_bytes, scaled)


class Count(NamedTuple):
  """A program's work, and what could not be known about it."""

  work: Work
  unknown_loops: int  # whose trips depend on values, taken to be one
  uncounted_calls: tuple[str, ...]  # of the compiler's own kernels


def count_work(text: str, *, steps_per_call: int = 1) -> Count:
  """Counts what one device does in one call of a compiled program.

  A loop's body is multiplied by its trips, however deeply nested. Of a conditional the
  branch counts that does more. `compiled.cost_analysis()` does neither.

  Args:
    text: the optimised program, `compiled.as_text()`.
    steps_per_call: the trips of outermost loops that end by a value: the loop over
      training steps, whose number is an argument.

  Returns:
    The Count. One property: a scan of 10 products has 10 times the operations of one.
  """
  counter = _Counter(parse_module(text), steps_per_call)
  work = counter.of_computation(counter.module.entry, in_loop=False)
  return Count(work, counter.unknown_loops, tuple(sorted(counter.uncounted)))


class _Counter:
  """Walks the computations, each once for where it is called from."""

  def __init__(self, module: Module, steps_per_call: int):
    self.module, self.steps_per_call = module, steps_per_call
    self.unknown_loops, self.uncounted = 0, set[str]()
    self._known: dict[tuple[str, bool, bool], Work] = {}

  def of_computation(self, name: str, *, in_loop: bool, fused: bool = False) -> Work:
    """The work of a computation; what is fused moves no bytes of its own."""
    place = (name, in_loop, fused)
    if place not in self._known:
      inside = self.module.computations[name]
      work = Work()
      for instruction in inside.instructions.values():
        work += self._of_instruction(inside, instruction, in_loop, fused)
      self._known[place] = work
    return self._known[place]

  def _of_instruction(
    self, inside: Computation, instruction: Instruction, in_loop: bool, fused: bool
  ) -> Work:
    opcode = instruction.opcode
    work = Work(
      product_flops(inside, instruction),
      0 if fused else moved_bytes(self.module, inside, instruction),
      collective_bytes(inside, instruction, self.module.num_devices),
    )
    if opcode == "while":
      return work + self._loop(inside, instruction, in_loop)
    if opcode == "conditional":
      branches = ("branch_computations", "true_computation", "false_computation")
      called = instruction.called(*branches)
      return work + max(
        (self.of_computation(n, in_loop=in_loop, fused=fused) for n in called),
        key=lambda each: (each.flops, each.num_bytes),
      )
    if opcode in ("fusion", "call", "async-start"):
      within = fused or opcode == "fusion"
      for name in instruction.called("calls", "to_apply", "called_computations"):
        work += self.of_computation(name, in_loop=in_loop, fused=within)
    if opcode == "custom-call":
      self._note_call(instruction)
    return work

  def _loop(self, inside: Computation, loop: Instruction, in_loop: bool) -> Work:
    trips = trip_count(self.module, inside, loop)
    if trips is None and in_loop:
      self.unknown_loops += 1
      trips = 1
    elif trips is None:
      trips = self.steps_per_call
    body, condition = (loop.called(name)[0] for name in ("body", "condition"))
    once = self.of_computation(body, in_loop=True)
    return (once + self.of_computation(condition, in_loop=True)).times(trips)

  def _note_call(self, call: Instruction) -> None:
    found = re.search(r'custom_call_target="([^"]*)"', call.attributes)
    target = found.group(1) if found else "?"
    if not target.startswith(_NO_WORK):
      self.uncounted.add(target)
