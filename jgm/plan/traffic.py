"""Bytes that an instruction moves to and from a device's main memory."""

from jgm.plan.collectives import KINDS, goes_on
from jgm.plan.hlo import Computation, Instruction, Module, Shape

# These only name or pass on what is there, or are counted by what they call.
_MOVES_NOTHING = {
  "parameter",
  "constant",
  "tuple",
  "get-tuple-element",
  "bitcast",
  "while",
  "conditional",
  "call",
  "after-all",
  "partition-id",
  "replica-id",
  "opt-barrier",
  "domain",
}
# Where a collective goes on: what it has so far. What it moves counts where it begins.
_PASSED_ON = ("parameter", "tuple", "custom-call", *KINDS)
_READS_A_PART = ("dynamic-slice", "gather", "slice")


def moved_bytes(module: Module, inside: Computation, instruction: Instruction) -> int:
  """Bytes read and written by an instruction that is not in a fusion.

  Each operand is read once and each result written once; of what is sliced, gathered
  or updated in place, only the part. What lies in a chip's small fast memory does not
  count, nor does the padding of a layout.

  Args:
    module: the program.
    inside: the computation that the instruction is in.
    instruction: any; a fusion counts as one.

  Returns:
    The bytes.
  """
  opcode = instruction.opcode
  if opcode in _MOVES_NOTHING or opcode.endswith(("-done", "-update")):
    return 0
  if opcode == "async-start":
    return 0
  if opcode == "copy-start":  # its result names both ends
    return sum(map(_stored, instruction.shapes))
  if opcode == "fusion":
    return _fusion_bytes(module, inside, instruction)
  operands = inside.shapes_of(instruction.operands)
  if opcode in _READS_A_PART:
    return _part_of(operands[0], instruction.shapes[0]) + _stored(instruction.shapes[0])
  if opcode == "dynamic-update-slice":
    return _stored(operands[1]) + _part_of(operands[0], operands[1])
  return sum(map(_stored, [*operands, *instruction.shapes]))


def _fusion_bytes(module: Module, inside: Computation, fusion: Instruction) -> int:
  body = module.computations[fusion.called("calls")[0]]
  read = sum(
    min(_read_of(module, body, parameter, shape), _stored(shape))
    for parameter, operand in zip(_parameters(body), fusion.operands, strict=True)
    for shape in inside.shapes_of((operand,))
  )
  root = body.instructions[body.root]
  results = root.operands if root.opcode == "tuple" else (root.name,)
  if len(results) != len(fusion.shapes):
    return read + sum(map(_stored, fusion.shapes))
  return read + sum(
    min(_written(body, name, shape), _stored(shape))
    for name, shape in zip(results, fusion.shapes, strict=True)
  )


def _parameters(body: Computation) -> list[str]:
  """The names of a computation's arguments, in order."""
  found = [each for each in body.instructions.values() if each.opcode == "parameter"]
  return [each.name for each in sorted(found, key=lambda each: int(each.literal))]


def _read_of(module: Module, body: Computation, name: str, whole: Shape) -> int:
  """Bytes that a fusion reads of one of its arguments, at most those it has."""
  read = 0
  for user in body.instructions.values():
    for position, operand in enumerate(user.operands):
      if operand == name:
        read += _read_by(module, body, user, position, whole)
  return min(read, whole.num_bytes)


def _read_by(
  module: Module, body: Computation, user: Instruction, position: int, whole: Shape
) -> int:
  """Bytes of `whole` that an instruction reads, which is its operand `position`."""
  if user.opcode in _PASSED_ON and goes_on(body):
    return 0
  if user.opcode == "bitcast":
    return _read_of(module, body, user.name, whole)
  if user.opcode == "fusion":
    inner = module.computations[user.called("calls")[0]]
    return _read_of(module, inner, _parameters(inner)[position], whole)
  if user.opcode in _READS_A_PART and position == 0:
    return user.shapes[0].num_bytes
  if user.opcode == "dynamic-update-slice" and position == 0:
    return 0  # in place
  return whole.num_bytes


def _written(body: Computation, name: str, shape: Shape) -> int:
  """Bytes that a fusion writes of one of its results."""
  made_by = body.instructions[name]
  if made_by.opcode in _PASSED_ON and goes_on(body):
    return 0
  while made_by.opcode in ("bitcast", "copy"):
    made_by = body.instructions[made_by.operands[0]]
  if made_by.opcode == "dynamic-update-slice":
    return body.shapes_of(made_by.operands[1:2])[0].num_bytes
  return shape.num_bytes


def _stored(shape: Shape) -> int:
  return shape.num_bytes if shape.in_main_memory else 0


def _part_of(whole: Shape, part: Shape) -> int:
  return part.num_bytes if whole.in_main_memory else 0
