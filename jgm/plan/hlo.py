"""The text of a compiled program (HLO), as computations of instructions."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_SHAPE = re.compile(r"\b([a-z]+\d*\w*)\[([\d,<=]*)\](?:\{([^}]*)\})?")
_HEADER = re.compile(r"^(ENTRY )?%?([^\s(]+) \(.*\) -> .*\{$")
_NAME = re.compile(r"%([^\s,(){}]+)")
_KNOWN_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


class Shape(NamedTuple):
  """An array's."""

  dtype: str  # "f32", "bf16", "pred"
  dims: tuple[int, ...]
  in_main_memory: bool  # not in a chip's small fast one

  @property
  def size(self) -> int:
    """Its elements."""
    return math.prod(self.dims)

  @property
  def num_bytes(self) -> int:
    """Its bytes, without padding; 0 for what is no array."""
    bits = {"pred": 8, "token": 0, "opaque": 0}.get(self.dtype)
    if bits is None:
      found = re.search(r"\d+", self.dtype)
      bits = int(found.group()) if found else 0
    return math.ceil(self.size * bits / 8)


class Instruction(NamedTuple):
  """One line of a computation."""

  name: str
  opcode: str
  shapes: tuple[Shape, ...]  # of its result: several for a tuple
  operands: tuple[str, ...]  # names
  literal: str  # what is between the parentheses: a constant's value
  attributes: str

  def attribute(self, name: str) -> str | None:
    """An attribute's text up to a comma or a space; None where there is none."""
    found = re.search(rf"\b{name}=([^\s,]+)", self.attributes)
    return found.group(1) if found else None

  def called(self, *names: str) -> list[str]:
    """The computations that attributes of these names point to."""
    found = []
    for name in names:
      for text in re.findall(rf"\b{name}=(\{{[^}}]*\}}|[^\s,]+)", self.attributes):
        found += _NAME.findall(text)
    return found


class Computation(NamedTuple):
  """A function of the program."""

  name: str
  instructions: Mapping[str, Instruction]  # by name, in order
  root: str

  def shapes_of(self, names: tuple[str, ...]) -> list[Shape]:
    """The shapes of what these instructions give, one after the other."""
    return [shape for name in names for shape in self.instructions[name].shapes]


class Module(NamedTuple):
  """A program."""

  computations: Mapping[str, Computation]
  entry: str
  num_devices: int


def parse_module(text: str) -> Module:
  """Reads the text of an optimised program, `compiled.as_text()`.

  Args:
    text: HLO.

  Returns:
    The Module.

  Raises:
    ValueError: if there is no entry computation in it.
  """
  computations, entry = {}, None
  lines = iter(text.splitlines())
  for line in lines:
    if header := _HEADER.match(line):
      name = header.group(2)
      computations[name] = _parse_computation(name, lines)
      entry = name if header.group(1) else entry
  if entry is None:
    raise ValueError("no HLO: there is no entry computation")
  head = text.partition("\n")[0]
  sizes = re.findall(r"\b(?:num_partitions|replica_count)=(\d+)", head)
  return Module(computations, entry, math.prod(map(int, sizes)))


def trip_count(module: Module, caller: Computation, loop: Instruction) -> int | None:
  """How often a `while` runs its body; None where that depends on values.

  By what XLA wrote down, or else by a condition `index < constant` and an index that
  begins at a constant and, as all of jax's do, grows by 1.
  """
  if known := _KNOWN_TRIPS.search(loop.attributes):
    return int(known.group(1))
  found = _index_and_limit(module, loop)
  if found is None:
    return None
  position, limit = found
  start = caller.instructions[loop.operands[0]]
  if start.opcode != "tuple" or position >= len(start.operands):
    return None
  first = caller.instructions[start.operands[position]]
  while first.opcode in ("copy", "bitcast"):
    first = caller.instructions[first.operands[0]]
  return max(limit - int(first.literal), 0) if first.opcode == "constant" else None


def _index_and_limit(module: Module, loop: Instruction) -> tuple[int, int] | None:
  """Of a condition `index < limit`: where the index is in the loop's tuple, and 10."""
  condition = module.computations[loop.called("condition")[0]]
  root = condition.instructions[condition.root]
  compare, operands = root, root.operands
  if root.opcode == "fusion":  # of the comparison alone, in the order of its arguments
    fused = module.computations[root.called("calls")[0]]
    compare = fused.instructions[fused.root]
    arguments = [fused.instructions[name] for name in compare.operands]
    if any(each.opcode != "parameter" for each in arguments):
      return None
    operands = tuple(root.operands[int(each.literal)] for each in arguments)
  if compare.opcode != "compare" or compare.attribute("direction") != "LT":
    return None
  index, limit = (condition.instructions[name] for name in operands)
  if index.opcode != "get-tuple-element" or limit.opcode != "constant":
    return None
  return int(index.attribute("index") or 0), int(limit.literal)


def _parse_computation(name: str, lines: Iterator[str]) -> Computation:
  instructions, root = {}, ""
  for line in lines:
    if line.startswith("}"):
      break
    if " = " not in line:
      continue
    instruction = _parse_instruction(line)
    instructions[instruction.name] = instruction
    if line.lstrip().startswith("ROOT "):
      root = instruction.name
  return Computation(name, instructions, root)


def _parse_instruction(line: str) -> Instruction:
  left, _, right = line.partition(" = ")
  end = _closing(right, 0) if right.startswith("(") else right.index(" ")
  open_at = right.index("(", end)
  close_at = _closing(right, open_at)
  inside = right[open_at + 1 : close_at - 1]
  return Instruction(
    name=left.split()[-1].lstrip("%"),
    opcode=right[end:open_at].strip(),
    shapes=tuple(_parse_shapes(right[:end])),
    operands=tuple(_NAME.findall(inside)),
    literal=inside,
    attributes=right[close_at:],
  )


def _closing(text: str, start: int) -> int:
  """Behind the parenthesis that closes the one at `start`."""
  depth = 0
  for position in range(start, len(text)):
    depth += {"(": 1, ")": -1}.get(text[position], 0)
    if depth == 0:
      return position + 1
  raise ValueError(f"no HLO: an open parenthesis in {text[:80]!r}")


def _parse_shapes(text: str) -> Iterator[Shape]:
  for dtype, dims, layout in _SHAPE.findall(text):
    numbers = tuple(int(d.lstrip("<=")) for d in dims.split(",") if d)
    yield Shape(dtype, numbers, not re.search(r"S\([1-9]", layout or ""))
