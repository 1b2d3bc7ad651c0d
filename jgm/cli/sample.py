"""`--mode=sample`: a picture and the samples themselves."""

import itertools
from typing import Any

import jax
import numpy as np
from etils import epath

from jgm.cli.console import print_message
from jgm.cli.errors import for_the_user
from jgm.cli.flags import Options
from jgm.cli.run import Run, of_seed, restore_whole
from jgm.core.program import base_key
from jgm.eval.pictures import sample_picture, write_png


def sample(run: Run, options: Options) -> None:
  """Draws samples from the newest checkpoint into `samples/samples.npz` and `.png`.

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
  facts: dict[str, Any] = {"step": restored.step, "seed": options.seed}
  arrays = {"samples": jax.device_get(samples), **facts, **options.conditions}
  _keep_earlier(run.folder.samples)
  path = run.folder.samples / "samples.npz"
  with path.open("wb") as file:
    np.savez_compressed(file, **{k: np.asarray(v) for k, v in arrays.items()})  # type: ignore[arg-type]
  print_message(f"{options.num_samples} samples of step {restored.step}:\n  {path}")
  if run.experiment.data is not None:
    picture = path.with_suffix(".png")
    write_png(picture, sample_picture(arrays["samples"], run.experiment.data.spec))
    print_message(f"  {picture}")


def _keep_earlier(folder: epath.Path) -> None:
  """Moves samples.npz and samples.png out of the way, to the first free number."""
  is_free = lambda i: not (folder / f"samples-{i}.npz").exists()
  number = next(filter(is_free, itertools.count(1)))
  for kind in ("npz", "png"):
    if (path := folder / f"samples.{kind}").exists():
      path.rename(folder / f"samples-{number}.{kind}")
