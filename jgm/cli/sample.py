"""`--mode=sample`: a picture or a text, and the samples themselves."""

import io
import itertools
from typing import Any

import jax
import numpy as np
from etils import epath

from jgm.cli.console import print_message, print_text
from jgm.cli.errors import for_the_user
from jgm.cli.flags import Options
from jgm.cli.processes import is_first
from jgm.cli.run import Run, of_seed, restore_whole
from jgm.cli.storage import replace_file
from jgm.core.program import base_key
from jgm.data.text_spec import TextSpec
from jgm.eval.passages import sample_text
from jgm.eval.pictures import png_bytes, sample_picture


def sample(run: Run, options: Options) -> None:
  """Draws samples from the newest checkpoint into `samples/samples.npz` and `.png`.

  Samples of text are written as `.txt` and at the terminal, and not as a picture.

  Those that were drawn before stay, as `samples-1`, `samples-2`, ...: each file says of
  which step, seed and conditions its samples are.

  Args:
    run: the run.
    options: how many, the seed, and the conditions.

  Raises:
    UserError: for a value of a condition that the experiment does not take.
  """
  restored = restore_whole(run, print_message)
  state = of_seed(run, restored.state, 0)
  key = base_key(options.seed, "sample")
  with for_the_user(ValueError, doing="sampling"):
    samples = run.experiment.sample(
      state, key, options.num_samples, **options.conditions
    )
  if not is_first():
    return
  facts: dict[str, Any] = {"step": restored.step, "seed": options.seed}
  arrays = {"samples": jax.device_get(samples), **facts, **options.conditions}
  _keep_earlier(run.folder.samples)
  path = run.folder.samples / "samples.npz"
  file = io.BytesIO()
  np.savez_compressed(file, **{k: np.asarray(v) for k, v in arrays.items()})  # type: ignore[arg-type]
  replace_file(path, file.getvalue())
  print_message(f"{options.num_samples} samples of step {restored.step}:\n  {path}")
  if run.experiment.data is not None:
    _show(arrays["samples"], run.experiment.data.spec, path, options)


def _show(samples: Any, spec: Any, path: epath.Path, options: Options) -> None:
  """Writes what a person can look at beside `path`: a picture or a text."""
  if isinstance(spec, TextSpec):
    text = sample_text(samples, spec.tokenizer, options.conditions.get("prompt", ""))
    shown = path.with_suffix(".txt")
    replace_file(shown, f"{text}\n".encode())
    print_message(f"  {shown}")
    print_text("samples", text)
  else:
    shown = path.with_suffix(".png")
    replace_file(shown, png_bytes(sample_picture(samples, spec)))
    print_message(f"  {shown}")


def _keep_earlier(folder: epath.Path) -> None:
  """Moves samples.npz and what shows them out of the way, to the first free number."""
  is_free = lambda i: not (folder / f"samples-{i}.npz").exists()
  number = next(filter(is_free, itertools.count(1)))
  for kind in ("npz", "png", "txt"):
    if (path := folder / f"samples.{kind}").exists():
      path.rename(folder / f"samples-{number}.{kind}")
