"""`--mode=sample`: a picture and the samples themselves."""

import inspect
from typing import Any

import jax
import numpy as np

from jgm.cli.console import print_message
from jgm.cli.errors import UserError
from jgm.cli.flags import Options
from jgm.cli.run import Run, of_seed, restore_whole
from jgm.core.program import base_key
from jgm.eval.pictures import sample_picture, write_png


def sample(run: Run, options: Options) -> None:
  """Draws samples from the newest checkpoint into the run's folder `samples/`.

  Args:
    run: the run.
    options: how many, the seed, and the conditions.

  Raises:
    UserError: for a condition that the experiment does not take.
  """
  known = list(inspect.signature(run.experiment.sample).parameters)[3:]
  for name in options.conditions:
    if name not in known:
      raise UserError(f"{run.name} has no {name} to choose: it has {', '.join(known)}")
  restored = restore_whole(run, print_message)
  state = of_seed(run, restored.state, 0)
  key = base_key(options.seed, "sample")
  try:
    samples = run.experiment.sample(
      state, key, options.num_samples, **options.conditions
    )
  except ValueError as error:
    raise UserError(str(error)) from error
  facts: dict[str, Any] = {"step": restored.step, "seed": options.seed}
  arrays = {"samples": jax.device_get(samples), **facts, **options.conditions}
  path = run.folder.samples / "samples.npz"
  with path.open("wb") as file:
    np.savez_compressed(file, **{k: np.asarray(v) for k, v in arrays.items()})  # type: ignore[arg-type]
  print_message(f"{options.num_samples} samples of step {restored.step}:\n  {path}")
  if run.experiment.data is not None:
    picture = path.with_suffix(".png")
    write_png(picture, sample_picture(arrays["samples"], run.experiment.data.spec))
    print_message(f"  {picture}")
