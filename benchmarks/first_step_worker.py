"""jgm's side: a process that does what `python -m experiments.NAME` does until a step.

It tells, as one line of JSON, how long after its start the step was done, and of that
the imports, the tracing and the compilation (or the reading of what is kept of it).
"""

import importlib
import json
import sys
import time
from collections.abc import Iterable, Sequence

TRACING = ("jaxpr_trace_duration", "jaxpr_to_mlir_module_duration")
COMPILE = ("backend_compile_duration",)
PHASES = (TRACING, COMPILE)

Interval = tuple[float, float]
Event = tuple[str, Interval]


def main() -> None:
  job = json.loads(sys.argv[1])
  name = job["experiment"]
  make = importlib.import_module(f"experiments.{name}").make
  imported = time.time()
  import jax

  from jgm.cli.flags import parse
  from jgm.cli.opening import run_to_train
  from jgm.core.loop import train
  from jgm.xla import configure_jax

  events: list[Event] = []

  def listen(event: str, seconds: float, **_) -> None:
    now = time.time()
    events.append((event.rsplit("/", 1)[-1], (now - seconds, now)))

  jax.monitoring.register_event_duration_secs_listener(listen)
  flags = [f"--config=configs/{name}.py", f"--workdir={job['workdir']}/run"]
  configure_jax()
  run = run_to_train(parse(make, flags), make)
  state = run.program.init(run.config.seed)
  chunk = next(train(run.experiment, run.program, state, total_steps=1))
  jax.block_until_ready(chunk.state)
  wall, imports = time.time() - job["started"], imported - job["started"]
  print(json.dumps({"wall": wall, "imports": imports, **phases(events)}), flush=True)


def phases(events: Sequence[Event]) -> dict[str, float]:
  """Seconds of tracing and of compilation; what is compiled while tracing is not both.

  Args:
    events: (the last part of JAX's name, (when it began, when it ended)).
  """
  spans = {name: [span for event, span in events if event in name] for name in PHASES}
  either = covered([span for name in PHASES for span in spans[name]])
  compiling = covered(spans[COMPILE])
  return {"tracing": either - compiling, "compile": compiling}


def covered(spans: Iterable[Interval]) -> float:
  """Seconds that lie in any of the intervals: one within another counts once."""
  total, end = 0.0, -float("inf")
  for start, stop in sorted(spans):
    total += max(0.0, stop - max(start, end))
    end = max(end, stop)
  return total


if __name__ == "__main__":
  main()
