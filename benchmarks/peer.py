"""Each peer's own environment, so that PyTorch or another jax never enters jgm's."""

import pathlib
import subprocess
import sys
import venv
from collections.abc import Iterable

ROOT = pathlib.Path(__file__).parents[1]
# What pip fetches for each, in MB: by `pip download`, on Linux with Python 3.11 and the
# build of PyTorch for CPUs, of 200 MB. Where pip takes the one for CUDA it is more.
DOWNLOAD_MB = {
  "geomloss": 244,
  "gymnasium": 17,
  "ott": 131,
  "peer": 231,
  "pot": 82,
  "rlax": 143,
  "transformers": 238,
  "trl": 302,
}

_failed: dict[str, str] = {}  # so that pip is not asked again for each problem


class PeerError(RuntimeError):
  """A peer's environment cannot be made."""


def python_of(name: str) -> str:
  """The interpreter of a contestant's environment: this one is "jgm"'s.

  Args:
    name: "jgm", or as in `peer_python`.

  Returns:
    The path of the interpreter.

  Raises:
    PeerError: if the environment cannot be made.
  """
  return sys.executable if name == "jgm" else str(peer_python(name))


def peer_python(name: str = "peer") -> pathlib.Path:
  """The interpreter of a peer's environment; the first call makes it (minutes).

  Args:
    name: what the list of its packages, `requirements-NAME.txt`, is called: "peer"
      (PyTorch and diffusers), "transformers", "trl", "rlax", "gymnasium", "ott", "pot"
      or "geomloss".

  Returns:
    The path of the interpreter, in `.bench/`, which git ignores.

  Raises:
    PeerError: if it cannot be made; says what pip said.
  """
  python = _environment(name) / "bin" / "python"
  if is_installed(name):
    return python
  if name in _failed:
    raise PeerError(_failed[name])
  print(f"making the environment .bench/{name}", file=sys.stderr)
  try:
    _install(name, python)
  except (OSError, subprocess.CalledProcessError) as error:
    _failed[name] = f".bench/{name} could not be made: {_last_words(error)}"
    raise PeerError(_failed[name]) from error
  return python


def is_installed(name: str) -> bool:
  """Whether a peer's environment is there, as its list of packages is now."""
  installed = _environment(name) / _requirements(name).name
  return installed.exists() and installed.read_text() == _requirements(name).read_text()


def downloads(names: Iterable[str]) -> list[str]:
  """One line for each environment: there already, or how much is to be downloaded.

  Args:
    names: as in `peer_python`.

  Returns:
    The lines, and the sum.
  """
  missing = [name for name in names if not is_installed(name)]
  there = [name for name in names if name not in missing]
  lines = [f".bench/{name}: is there" for name in there]
  lines += [f".bench/{n}: about {DOWNLOAD_MB[n]} MB to download" for n in missing]
  total = sum(DOWNLOAD_MB[name] for name in missing)
  return [*lines, f"in all about {total} MB" if missing else "nothing to download"]


def _install(name: str, python: pathlib.Path) -> None:
  venv.create(_environment(name), with_pip=True, clear=True)
  pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
  packages = ["install", "--quiet", "--no-deps", "-r", str(_requirements(name))]
  for command in (packages, ["check"]):  # the list is complete
    subprocess.run([*pip, *command], check=True, capture_output=True, text=True)
  installed = _environment(name) / _requirements(name).name
  installed.write_text(_requirements(name).read_text())


def _last_words(error: Exception) -> str:
  """The last line of what a process said, or the error itself."""
  said = [str(getattr(error, pipe, None) or "") for pipe in ("stdout", "stderr")]
  lines = "\n".join(said).strip().splitlines()
  return lines[-1] if lines else str(error)


def _environment(name: str) -> pathlib.Path:
  return ROOT / ".bench" / name


def _requirements(name: str) -> pathlib.Path:
  return ROOT / "benchmarks" / f"requirements-{name}.txt"
