"""Measured numbers as a person reads them: digits, floors, plain words."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jgm.core.experiment import Scalar

WORDS = {
  "lower": "lower is better",
  "higher": "higher is better",
  "equal to floor": "best at the floor",
}


class Result(NamedTuple):
  """One row of the table of results, ready to print."""

  name: str
  value: str  # with its spread where several seeds were run
  floor: str
  ceiling: str
  better: str
  note: str
  place: float | None  # 0 at the ceiling, 1 at the floor; None where either is missing


def format_number(x: float | None) -> str:
  """A number with the digits that matter: four, three of those that are below 0.1.

  Thousands are grouped, whole numbers have no point, None is a dash. A test holds that
  reading it back is within 0.5% of the number.
  """
  if x is None:
    return "–"
  if math.isnan(x):
    return "NaN"
  if math.isinf(x):
    return "∞" if x > 0 else "-∞"
  if x == int(x) and abs(x) < 1e15:
    text = f"{int(x):,}"
  elif 1e-4 <= abs(x) < 1e15:
    digits = 4 if abs(x) >= 0.1 else 3
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(x))))
    text = f"{x:,.{decimals}f}"
  else:
    mantissa, exponent = f"{x:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"
  return text


def format_values(values: Sequence[float]) -> str:
  """One value, or the mean ± standard deviation over several seeds."""
  mean = _mean(values)
  if len(values) < 2:
    return format_number(mean)
  variance = sum((x - mean) ** 2 for x in values) / (len(values) - 1)
  spread = math.sqrt(variance) if math.isfinite(variance) else variance
  return f"{format_number(mean)} ± {format_spread(spread)}"


def format_spread(x: float) -> str:
  """An uncertainty: two digits, for more would claim too much."""
  return f"{x:.2g}" if 1e-4 <= x < 100 or x == 0 else format_number(x)


def results(
  scalars: Mapping[str, Scalar] | Sequence[Mapping[str, Scalar]],
) -> list[Result]:
  """The rows of the table of results, of one evaluation or of one per seed.

  Args:
    scalars: name -> Scalar, or a sequence of these, one for each seed.

  Returns:
    A Result for each name of the first seed, in its order.
  """
  seeds = [scalars] if isinstance(scalars, Mapping) else list(scalars)
  return [_result(name, [seed[name] for seed in seeds]) for name in seeds[0]]


def _result(name: str, seeds: Sequence[Scalar]) -> Result:
  first = seeds[0]
  value = _mean([seed.value for seed in seeds])
  floor, ceiling = (
    None if getattr(first, bound) is None else _mean([getattr(s, bound) for s in seeds])
    for bound in ("floor", "ceiling")
  )
  return Result(
    name=name.replace("_", " "),
    value=format_values([seed.value for seed in seeds]),
    floor=format_number(floor),
    ceiling=format_number(ceiling),
    better=WORDS[first.better],
    note=first.note,
    place=_place(value, floor, ceiling),
  )


def _place(value: float, floor: float | None, ceiling: float | None) -> float | None:
  if floor is None or ceiling is None or floor == ceiling:
    return None
  place = (value - ceiling) / (floor - ceiling)
  return min(1.0, max(0.0, place)) if math.isfinite(place) else None


def _mean(values: Sequence[float]) -> float:
  # In plain Python: infinities of both signs give a NaN here, not a warning.
  return sum(float(x) for x in values) / len(values)
