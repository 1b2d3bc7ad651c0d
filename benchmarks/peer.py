"""The peer's own environment, so that PyTorch never enters jgm's."""

import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).parents[1]
REQUIREMENTS = ROOT / "benchmarks" / "requirements-peer.txt"
ENVIRONMENT = ROOT / ".bench" / "peer"


def peer_python() -> pathlib.Path:
  """The interpreter of the peer's environment; the first call makes it (minutes).

  Returns:
    The path of the interpreter, in `.bench/`, which git ignores.
  """
  python = ENVIRONMENT / "bin" / "python"
  installed = ENVIRONMENT / "requirements-peer.txt"
  wanted = REQUIREMENTS.read_text()
  if installed.exists() and installed.read_text() == wanted:
    return python
  print(
    "making the peer's environment (PyTorch, diffusers) in .bench/", file=sys.stderr
  )
  venv.create(ENVIRONMENT, with_pip=True, clear=True)
  install = [python, "-m", "pip", "install", "--quiet", "--no-deps"]
  subprocess.run([*install, "-r", REQUIREMENTS], check=True)
  subprocess.run([python, "-m", "pip", "check"], check=True)  # the list is complete
  installed.write_text(wanted)
  return python
