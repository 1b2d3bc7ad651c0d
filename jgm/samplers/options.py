"""What a config may say to a sampler, checked before anything is trained."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

# Keywords that are no option: whoever walks gives them, or they change what comes back.
GIVEN = ("timesteps", "num_frames", "with_evaluations")


def check_options(
  options: Mapping[str, Mapping[str, Any]], samplers: Mapping[str, Callable[..., Any]]
) -> None:
  """Raises where a sampler is given a keyword that it does not take.

  Args:
    options: keywords by the sampler's name.
    samplers: functions by name; a keyword-only argument that is not among `GIVEN` is an
      option.

  Raises:
    ValueError: for a name that is no sampler's, or no option's; it names the nearest.
  """
  for name, given in options.items():
    if name not in samplers:
      near = _nearest(name, samplers)
      raise ValueError(f"options for an unknown sampler {name!r}.{near}")
    known = [
      parameter.name
      for parameter in inspect.signature(samplers[name]).parameters.values()
      if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in GIVEN
    ]
    for option in given:
      if option not in known:
        raise ValueError(
          f"sampler {name!r} has no option {option!r}: they are "
          f"{', '.join(known) or 'none'}.{_nearest(option, known)}"
        )


def _nearest(word: str, known: Any) -> str:
  near = difflib.get_close_matches(word, known, n=1)
  return f" Did you mean {near[0]!r}?" if near else ""
