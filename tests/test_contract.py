"""What every file in experiments/ is held to. A new one is held to it unasked.

Each experiment is built from its `smoke` preset, and its compiled step is shared by all
of its checks. The checks over many devices run here for one experiment per training
structure, and for all of them in `make test-all`.
"""

import importlib
import inspect
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.__main__ import describe, names
from jgm.cli.config import load_config
from jgm.core import Evaluation, Experiment, LogProb, checkpoint, make_program
from jgm.core.loop import train
from jgm.core.program import base_key
from jgm.core.replicas import make_replica, merge_replicas, split_replicas

NAMES = names()
STRUCTURES = {"ddpm"}  # one experiment per training structure
EVERYWHERE = [
  name if name in STRUCTURES else pytest.param(name, marks=pytest.mark.slow)
  for name in NAMES
]
CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


class Built:
  """An experiment from its smoke preset, and the program its checks share."""

  def __init__(self, name: str):
    self.name = name
    self.module = importlib.import_module(f"experiments.{name}")
    self.config = load_config(f"configs/{name}.py:smoke")
    self.traces = 0
    self.experiment = self._counting(self.module.make(self.config))
    self.program = make_program(self.experiment, data_devices=1, steps_per_call=5)

  def _counting(self, experiment: Experiment) -> Experiment:
    def step(state, batch, key):
      self.traces += 1
      return experiment.step(state, batch, key)

    return experiment._replace(step=step)

  def arrays(self):
    return self.experiment.data.arrays(0, 5) if self.experiment.data else {}

  def steps(self, num_steps, state=None, program=None, experiment=None, seed=0):
    """The whole state and the metrics after `num_steps` steps."""
    program, experiment = program or self.program, experiment or self.experiment
    state = program.init(seed) if state is None else state
    rows = []
    for chunk in train(experiment, program, state, total_steps=num_steps):
      state = chunk.state
      rows.append(chunk.metrics)
    metrics = jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)
    return program.whole(state), metrics


@pytest.fixture(scope="module", params=NAMES)
def built(request):
  return Built(request.param)


def with_sgd(name, monkeypatch) -> Built:
  """The experiment under plain gradient descent: Adam turns rounding into steps."""
  module = importlib.import_module(f"experiments.{name}")
  monkeypatch.setattr(
    module, "make_optimizer", lambda **_: optax.sgd(0.01), raising=False
  )
  return Built(name)


def assert_same_run(a, b):
  """Parameters after 5 steps of gradient descent, to 1e-5 of their leaf's size."""

  def check(x, y):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * (np.abs(x).max() + 1e-6))

  jax.tree.map(check, jax.device_get(a.params), jax.device_get(b.params))


def assert_same_metrics(a, b):
  """The first step's metrics (loss, reduced gradient's norm) to 1e-5."""
  for name in a:
    np.testing.assert_allclose(a[name][0], b[name][0], rtol=1e-5, err_msg=name)


def test_a_step_keeps_the_state_and_counts(built):
  before = built.experiment.init(base_key(0), {})
  after, metrics = built.steps(7)
  chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
  assert int(after.step) == 7
  assert jnp.array_equal(
    jax.random.key_data(before.key), jax.random.key_data(after.key)
  )
  for name, rows in metrics.items():
    assert rows.shape == (7,) and np.all(np.isfinite(rows)), name
  changed = jax.tree.map(
    lambda x, y: not np.array_equal(x, y), before.params, after.params
  )
  assert all(jax.tree.leaves(changed)), f"not trained: {changed}"


def test_a_step_is_traced_once(built):
  built.steps(6)
  built.steps(3)
  assert built.traces == 1


def test_the_state_is_data_only(built):
  for leaf in jax.tree.leaves(built.program.abstract):
    assert isinstance(leaf, jax.ShapeDtypeStruct)
  first, second = (built.module.make(built.config) for _ in range(2))
  structures = [
    jax.tree.structure(jax.eval_shape(e.init, base_key(0), {})) for e in (first, second)
  ]
  assert structures[0] == structures[1]  # a function in the state would differ


def test_saved_restored_and_continued_is_bit_exact(built, tmp_path):
  whole, _ = built.steps(7)
  halfway, _ = built.steps(4)
  checkpoint.save(str(tmp_path), halfway, step=4)
  restored = checkpoint.restore(str(tmp_path), built.program.abstract).state
  again, _ = built.steps(7, state=built.program.running(restored))
  chex.assert_trees_all_equal(jax.device_get(whole), jax.device_get(again))


def test_calls_of_one_step_change_no_bit(built):
  program = built.program
  state, arrays = program.init(0), program.place(built.arrays())
  for _ in range(5):
    state, _, ok = program.run(state, arrays, 1)
    assert bool(ok)
  five, _ = built.steps(5)
  chex.assert_trees_all_equal(
    jax.device_get(program.whole(state)), jax.device_get(five)
  )


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.parametrize("steps_per_call", [1, 100])
def test_steps_per_call_changes_no_bit(name, steps_per_call):
  built = Built(name)
  other = make_program(built.experiment, data_devices=1, steps_per_call=steps_per_call)
  five, _ = built.steps(5)
  again, _ = built.steps(5, program=other)
  chex.assert_trees_all_equal(jax.device_get(again), jax.device_get(five))


@pytest.mark.parametrize("name", EVERYWHERE)
def test_eight_devices_are_one(name, monkeypatch):
  built = with_sgd(name, monkeypatch)
  eight = make_program(built.experiment, data_devices=8, steps_per_call=5)
  one_state, one_metrics = built.steps(5)
  eight_state, eight_metrics = built.steps(5, program=eight)
  assert_same_metrics(one_metrics, eight_metrics)
  assert_same_run(one_state, eight_state)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_pmap_is_the_replica_step_under_vmap(name, monkeypatch):
  built = with_sgd(name, monkeypatch)
  pmap = make_program(built.experiment, strategy="pmap", steps_per_call=5)
  mapped, mapped_metrics = built.steps(5, program=pmap)
  call, _ = make_replica(built.experiment, 8, steps_per_call=5)
  state = split_replicas(built.experiment, built.experiment.init(base_key(0), {}), 8)
  arrays = built.arrays()
  over_replicas = jax.vmap(call, in_axes=(0, None, None), axis_name="data")
  state, metrics, _ = jax.jit(over_replicas)(state, arrays, jnp.array(5))
  for leaf in jax.tree.leaves(state.params):
    np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape))
  assert_same_metrics(mapped_metrics, jax.tree.map(lambda m: m[0], metrics))
  assert_same_run(mapped, merge_replicas(built.experiment, state))


@pytest.mark.parametrize("name", EVERYWHERE)
def test_two_seeds_are_two_runs(name, monkeypatch):
  built = with_sgd(name, monkeypatch)
  both = make_program(built.experiment, num_seeds=2, data_devices=1, steps_per_call=5)
  pair, pair_metrics = built.steps(5, program=both)
  for i in range(2):
    single, metrics = built.steps(5, seed=i)
    assert_same_metrics(metrics, {n: m[:, i] for n, m in pair_metrics.items()})
    assert_same_run(single, jax.tree.map(lambda leaf, i=i: leaf[i], pair))


def test_samples_and_log_prob_have_their_shapes(built):
  state, _ = built.steps(1)
  experiment = built.experiment
  samples = experiment.sample(state, base_key(1), 3)
  if experiment.data is not None:
    assert samples.shape == (3, *experiment.data.spec.shape)
  assert np.all(np.isfinite(samples))
  if experiment.log_prob is not None:
    assert isinstance(experiment.log_prob, LogProb)
    batch = jax.tree.map(lambda rows: rows[:4], experiment.data.split("test"))
    log_prob = experiment.log_prob.fn(state, batch, base_key(2))
    assert log_prob.shape == (4,) and np.all(np.isfinite(log_prob))


def test_an_evaluation_has_numbers_and_pictures(built):
  state, _ = built.steps(1)
  evaluation = built.experiment.evaluate(state, base_key(3))
  assert isinstance(evaluation, Evaluation) and evaluation.scalars
  for name, scalar in evaluation.scalars.items():
    assert np.isfinite(scalar.value), name
    assert scalar.floor is not None or scalar.ceiling is not None, (
      f"{name} stands alone"
    )
  for caption, image in evaluation.images.items():
    assert image.dtype == np.uint8 and image.ndim == 3, caption


@pytest.mark.parametrize("name", NAMES)
def test_a_file_reads_as_the_others(name):
  title, paper, presets = describe(name)
  assert title.endswith(".") and "http" in paper
  assert "smoke" in [preset for preset, _ in presets]
  module = importlib.import_module(f"experiments.{name}")
  assert list(inspect.signature(module.make).parameters) == ["config"]
  assert f"python -m experiments.{name} --config=configs/{name}.py" in module.__doc__
  parameters = list(inspect.signature(module.make(smoke(name)).sample).parameters)
  assert parameters[:3] == ["state", "key", "n"]


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_makes_an_experiment_without_reading(name, monkeypatch):
  module = importlib.import_module(f"experiments.{name}")
  configs = [
    load_config(f"configs/{name}.py:{preset}")
    for preset in ("", *(preset for preset, _ in describe(name)[2]))
  ]

  def refuse(*args, **kwargs):
    raise AssertionError("make touched the disk")

  monkeypatch.setattr("builtins.open", refuse)
  for config in configs:
    assert config.is_locked
    assert isinstance(module.make(config), Experiment)


def test_configs_and_experiments_are_one_to_one():
  configs = {file.stem for file in CONFIGS.glob("[!_]*.py")} - {"base"}
  assert configs == set(NAMES)


def smoke(name):
  return load_config(f"configs/{name}.py:smoke")
