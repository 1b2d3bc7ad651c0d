"""One of several processes: `task.py COORDINATOR NUM_PROCESSES PROCESS TASKS OUT`.

Each task is {"name", "experiment", ...}: steps on a mesh of all devices. What it found
is printed as JSON, for the tests to compare with what other numbers of processes have
found, and its parameters are written to OUT-PROCESS-NAME.npz.
"""

import importlib
import json
import sys

import jax
import numpy as np

from jgm.cli.config import load_config
from jgm.cli.processes import start_processes
from jgm.core import checkpoint, sharding
from jgm.core.parallel import make_program
from jgm.core.placing import gathered
from jgm.data.digits import SPEC, read_digits
from jgm.data.read_ahead import make_read_ahead_dataset

SGD = ("algorithm=sgd", "warmup_steps=0", "flatten=False")
# A game spreads what differs by rounding: its steps are short.
RATES = {
  "gpt": {"optimizer": 0.1},
  "ddpm": {"optimizer": 0.1},
  "dcgan": {"generator_optimizer": 0.01, "critic_optimizer": 0.01},
}


def digits_read_ahead(batch_size):
  """Digits as a large dataset is read: each process its own rows."""
  levels = read_digits("train")
  read = lambda chosen: {name: leaf[chosen] for name, leaf in levels.items()}
  return make_read_ahead_dataset(
    "digits", SPEC, read, read_digits, batch_size=batch_size, seed=3, flip=True
  )


def run(task, out):
  """Takes the steps of a task; returns what can be compared."""
  name = task["experiment"]
  overrides = [
    f"{section}.{value}"
    for section, rate in RATES[name].items()
    for value in (*SGD, f"learning_rate={rate}")
  ]
  config = load_config(f"configs/{name}.py:smoke", overrides)
  experiment = importlib.import_module(f"experiments.{name}").make(config)
  if task.get("read_ahead"):
    experiment = experiment._replace(data=digits_read_ahead(config.data.batch_size))
  program = make_program(experiment, steps_per_call=1, **task.get("parallel", {}))
  state, first = program.init(0), 0
  if "load" in task:
    state, first, _ = checkpoint.restore(task["load"], program.abstract)
  found = {"rows": program.rows, "metrics": []}
  for step in range(first, first + task["steps"]):
    arrays = experiment.data.arrays(step, 1, program.rows)
    state, metrics, _ = program.run(state, program.place(arrays), 1)
    row = {name: float(np.asarray(values)[0]) for name, values in metrics.items()}
    found["metrics"].append(dict(sorted(row.items())))
  if "save" in task:
    checkpoint.save(task["save"], state, step=first + task["steps"])
  begun = jax.device_get(gathered(program.init(0).params))
  params = jax.device_get(gathered(state.params))
  moved = jax.tree.map(lambda new, old: new - old, params, begun)
  np.savez(f"{out}-{jax.process_index()}-{task['name']}", *jax.tree.leaves(moved))
  return found


if __name__ == "__main__":
  coordinator, num_processes, process, tasks, out = sys.argv[1:]
  jax.config.update("jax_threefry_partitionable", True)
  sharding.SMALL = 100  # elements: so that a tiny network is cut
  if int(num_processes) > 1:
    start_processes(coordinator, int(num_processes), int(process))
  for each in json.loads(tasks):
    print("FOUND", json.dumps({each["name"]: run(each, out)}), file=sys.stderr)
