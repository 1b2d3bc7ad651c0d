"""Programs compiled for a topology, kept in files: compiling takes minutes."""

import gzip
import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from jgm.cache import write_whole
from jgm.plan.topology import Topology


class DoesNotFit(Exception):
  """XLA found no way to fit the program into the chip's memory; what it says of it."""


class Memory(NamedTuple):
  """Bytes of one device's memory, the padding of its arrays included."""

  arguments: int  # the state, the data, and the state that a call returns
  temporaries: int
  total: int


class Compiled(NamedTuple):
  """What the compiler makes of a program."""

  memory: Memory
  text: str  # the optimised program


def compile_call(lowered: jax.stages.Lowered) -> Compiled:
  """Compiles a program, which takes minutes.

  Args:
    lowered: of `Program.lower`.

  Returns:
    The Compiled.

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
  return Compiled(_memory(compiled.memory_analysis()), compiled.as_text() or "")


def kept_name(
  lowered: jax.stages.Lowered, topology: Topology, options: Mapping[str, str]
) -> str:
  """A file's name that is this program's alone, compiled for this by these versions."""
  versions = [jax.__version__, _version("jaxlib"), _version("libtpu")]
  said = "\n".join([topology.name, *versions, *map(str, options.items())])
  said += lowered.as_text()
  return f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.json.gz"


def keep(compiled: Compiled, path: pathlib.Path) -> None:
  """Writes it to a file, whole or not at all; a program of 20 MB takes about one."""
  content = {"memory": compiled.memory._asdict(), "text": compiled.text}
  write_whole(path, gzip.compress(json.dumps(content).encode()))


def read_kept(path: pathlib.Path) -> Compiled:
  """The inverse of `keep`."""
  read = json.loads(gzip.decompress(path.read_bytes()))
  return Compiled(Memory(**read["memory"]), read["text"])


def _memory(analysis: Any) -> Memory:
  """What is written over an argument, as a donated state is, needs no room again."""
  arguments = analysis.argument_size_in_bytes
  results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
  code = analysis.generated_code_size_in_bytes
  temporaries = analysis.temp_size_in_bytes
  return Memory(arguments, temporaries, arguments + results + temporaries + code)


def _version(package: str) -> str:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return "none"
