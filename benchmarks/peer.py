"""Each peer's own environment, so that PyTorch or another jax never enters jgm's."""

import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).parents[1]


def peer_python(name: str = "peer") -> pathlib.Path:
  """The interpreter of a peer's environment; the first call makes it (minutes).

  Args:
    name: what the list of its packages, `requirements-NAME.txt`, is called: "peer"
      (PyTorch and diffusers), "transformers", "trl", "rlax", "gymnasium", "ott", "pot"
      or "geomloss".

  Returns:
    The path of the interpreter, in `.bench/`, which git ignores.
  """
  requirements = ROOT / "benchmarks" / f"requirements-{name}.txt"
  environment = ROOT / ".bench" / name
  python = environment / "bin" / "python"
  installed = environment / requirements.name
  wanted = requirements.read_text()
  if installed.exists() and installed.read_text() == wanted:
    return python
  print(f"making the environment .bench/{name}", file=sys.stderr)
  venv.create(environment, with_pip=True, clear=True)
  install = [python, "-m", "pip", "install", "--quiet", "--no-deps"]
  subprocess.run([*install, "-r", requirements], check=True)
  subprocess.run([python, "-m", "pip", "check"], check=True)  # the list is complete
  installed.write_text(wanted)
  return python
