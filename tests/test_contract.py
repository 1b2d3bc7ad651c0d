"""What every file in experiments/ is held to. A new one is held to it unasked.

Each experiment is built from its `smoke` preset, and its compiled step is shared by all
of its checks; so is that of the same experiment under gradient descent, with which ways
to compute one run are compared. The checks over many devices run here for one
experiment per training structure, and for all of them in `make test-all`.
"""

import functools
import importlib
import inspect
import os
import pathlib
import string
import subprocess
import sys
import types
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from experiments.__main__ import describe, names
from jgm.cli.config import load_config
from jgm.cli.run import name_of
from jgm.core import (
  Evaluation,
  Experiment,
  LogProb,
  Pretrained,
  checkpoint,
  make_program,
  new_state,
)
from jgm.core.finite import must_be_finite
from jgm.core.loop import train
from jgm.core.program import base_key, batched_leaves
from jgm.core.replicas import make_replica, merge_replicas, split_replicas

COMMANDS = {"compare"}  # it trains experiments and is none: it has no `make`
NAMES = [name for name in names() if name not in COMMANDS]
STRUCTURES = {  # one experiment per training structure
  "ddpm",  # a gradient step
  "dcgan",  # two players in turn, with batch statistics
  "cartpole",  # a rollout, then epochs; its episodes are cut over the devices
  "color_transfer",  # an update without a gradient
  "dpo",  # beside another run's parameters, which stay as they are
}
EVERYWHERE = [
  name if name in STRUCTURES else pytest.param(name, marks=pytest.mark.slow)
  for name in NAMES
]
CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


GRADIENT_DESCENT = {
  "algorithm": "sgd",
  "learning_rate": 0.01,
  "warmup_steps": 0,
  "decay": "constant",
  "clip_norm": None,
  "weight_decay": 0.0,
  "accumulate_steps": 1,
}
STEPS_PER_CALL = 100  # how many there are decides nothing: a call may take fewer


class Built:
  """An experiment from its smoke preset, and the program its checks share."""

  def __init__(self, module, config):
    self.module, self.config = module, config
    self.traces = 0
    self.experiment = self._counting(module.make(config))
    self.pretrained = pretrained_of(self.experiment)
    self.program = self.make_program(data_devices=1)

  def _counting(self, experiment: Experiment) -> Experiment:
    def step(state, batch, key):
      self.traces += 1
      return experiment.step(state, batch, key)

    return experiment._replace(step=step)

  def make_program(self, *, steps_per_call=STEPS_PER_CALL, **options):
    return make_program(
      self.experiment, self.pretrained, steps_per_call=steps_per_call, **options
    )

  def arrays(self):
    data = self.experiment.data
    return data.arrays(0, STEPS_PER_CALL) if data else {}

  def run(self, num_steps, state=None, program=None, seed=0, stop_every=()):
    """The running state and the metrics after `num_steps` steps."""
    program = program or self.program
    state = program.init(seed) if state is None else state
    chunks = train(
      self.experiment, program, state, total_steps=num_steps, stop_every=stop_every
    )
    rows = []
    for chunk in chunks:
      state = chunk.state
      rows.append(chunk.metrics)
    return state, jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)

  def steps(self, num_steps, program=None, **options):
    """The whole state and the metrics after `num_steps` steps."""
    program = program or self.program
    state, metrics = self.run(num_steps, program=program, **options)
    return program.whole(state), metrics


def pretrained_of(experiment: Experiment):
  """In the place of other runs that were trained: their states as they begin."""
  return {name: beginning_of(need) for name, need in experiment.pretrained.items()}


@functools.cache
def beginning_of(need: Pretrained):
  base = module_of(need.experiment).make(load_config(need.config))
  state = jax.jit(base.init)(base_key(0), pretrained_of(base))
  return getattr(state, need.field)


def by_gradient_descent(config):
  """The same config without Adam, which turns a gradient's rounding into steps.

  A natural gradient does so too where there is no reward, and by each further step of
  its conjugate gradients: there is a reward for most letters, and one such step.
  """
  if "trust_region" in config:
    config.trust_region.iterations = 1
    config.rule.letters = string.ascii_letters[2:] + string.punctuation + " \n"
  for section in config.values():
    if isinstance(section, ConfigDict) and "algorithm" in section:
      section.update(GRADIENT_DESCENT)
  return config


def check_is_gradient_descent(built):
  second_moments = optax.tree.get_all_with_path(built.program.abstract.opt_state, "nu")
  assert not second_moments, (
    f"{built.module.__name__} still divides by the gradient's size: give the section "
    "of its config that makes the optimiser the key `algorithm`, as configs/base.py has"
  )


@pytest.fixture(scope="module", params=NAMES)
def built(request):
  return Built(module_of(request.param), smoke(request.param))


@pytest.fixture(scope="module", params=EVERYWHERE)
def descending(request):
  config = by_gradient_descent(smoke(request.param))
  built = Built(module_of(request.param), config)
  check_is_gradient_descent(built)
  return built


@pytest.fixture(scope="module", params=EVERYWHERE)
def replicated(request):
  """As pmap has it: `make` gives its networks the name of the replicas' axis."""
  config = by_gradient_descent(smoke(request.param))
  config.parallel.strategy = "pmap"
  return Built(module_of(request.param), config)


def assert_same_run(a, b):
  """Parameters after 5 steps of gradient descent, to 1e-5 of their leaf's size."""

  def check(x, y):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * (np.abs(x).max() + 1e-6))

  jax.tree.map(check, jax.device_get(a.params), jax.device_get(b.params))


def assert_same_metrics(a, b):
  """The first step's metrics (loss, reduced gradient's norm) to 1e-5.

  A mean of signed numbers, as of an untrained critic's scores, may come out at about 0:
  1e-8 is the rounding of what it is the mean of. In nats these are differences of
  log-probabilities of a whole completion, 20 or so, whose rounding is 2e-6.
  """
  for name in a:
    atol = 2e-6 if name.endswith("_nats") else 1e-8
    np.testing.assert_allclose(
      a[name][0], b[name][0], rtol=1e-5, atol=atol, err_msg=name
    )


def assert_replicas_agree(experiment, state):
  """Every leaf of a state [R, ...] that has no batch axis is the same on all."""
  batched = batched_leaves(experiment, state)
  for (path, leaf), has_batch_axis in zip(
    jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(batched), strict=True
  ):
    if not has_batch_axis:
      bits = bits_of(leaf)
      np.testing.assert_array_equal(
        bits, np.broadcast_to(bits[:1], bits.shape), jax.tree_util.keystr(path)
      )


def bits_of(leaf):
  is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
  return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def frozen_of(built, state):
  """The fields of `extra` that hold what the experiment was given."""
  held = [name for name in built.pretrained if hasattr(state.extra, name)]
  return {name: jax.device_get(getattr(state.extra, name)) for name in held}


def check_a_few_steps(built):
  """What a step may change, and what it may not."""
  before = built.program.init(0)
  after, metrics = built.steps(7)
  chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
  assert int(after.step) == 7
  np.testing.assert_array_equal(bits_of(before.key), bits_of(after.key))
  for name, rows in metrics.items():
    assert rows.shape == (7,), name
    assert np.all(np.isfinite(rows)) or not must_be_finite(name), name
  changed = jax.tree.map(
    lambda x, y: not np.array_equal(x, y), before.params, after.params
  )
  assert all(jax.tree.leaves(changed)), f"not trained: {changed}"
  given = {name: built.pretrained[name] for name in frozen_of(built, after)}
  chex.assert_trees_all_equal(jax.device_get(given), frozen_of(built, after))


def test_a_few_steps_change_what_they_may(built):
  check_a_few_steps(built)


def test_a_step_is_traced_once(built):
  built.steps(7, stop_every=[5])
  built.steps(3)
  assert built.traces == 1


def test_the_state_is_data_only(built):
  for leaf in jax.tree.leaves(built.program.abstract):
    assert isinstance(leaf, jax.ShapeDtypeStruct)
  first, second = (built.module.make(built.config) for _ in range(2))
  structures = [
    jax.tree.structure(jax.eval_shape(e.init, base_key(0), built.pretrained))
    for e in (first, second)
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
  one_by_one, _ = built.steps(5, stop_every=[1])
  five, _ = built.steps(5)
  chex.assert_trees_all_equal(jax.device_get(one_by_one), jax.device_get(five))


def test_steps_per_call_changes_no_bit(descending):
  program = descending.make_program(data_devices=1, steps_per_call=1)
  one_by_one, _ = descending.steps(5, program=program)
  five, _ = descending.steps(5)
  chex.assert_trees_all_equal(jax.device_get(one_by_one), jax.device_get(five))


def test_eight_devices_are_one(descending):
  eight = descending.make_program(data_devices=8)
  one_state, one_metrics = descending.steps(5)
  eight_state, eight_metrics = descending.steps(5, program=eight)
  assert_same_metrics(one_metrics, eight_metrics)
  assert_same_run(one_state, eight_state)


def test_pmap_is_the_replica_step_under_vmap(replicated):
  pmap = replicated.make_program(strategy="pmap")
  experiment = replicated.experiment
  replicas, mapped_metrics = replicated.run(5, program=pmap)
  assert_replicas_agree(experiment, replicas)
  call, _ = make_replica(experiment, 8, steps_per_call=STEPS_PER_CALL)
  state = split_replicas(experiment, replicated.program.init(0), 8)
  over_replicas = jax.vmap(call, in_axes=(0, None, None), axis_name="data")
  state, metrics, _ = jax.jit(over_replicas)(state, replicated.arrays(), jnp.array(5))
  assert_replicas_agree(experiment, state)
  assert_same_metrics(mapped_metrics, jax.tree.map(lambda m: m[0], metrics))
  assert_same_run(pmap.whole(replicas), merge_replicas(experiment, state))


def test_four_seeds_are_four_runs(descending):
  together = descending.make_program(num_seeds=4, data_devices=1)
  four, four_metrics = descending.steps(5, program=together)
  for i in range(4):
    single, metrics = descending.steps(5, seed=i)
    assert_same_metrics(metrics, {n: m[:, i] for n, m in four_metrics.items()})
    assert_same_run(single, jax.tree.map(lambda leaf, i=i: leaf[i], four))


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


# What the checks themselves are held to.


class Held(NamedTuple):
  base: Any


def holding(change):
  """An experiment that holds what DDPM has learnt, which its step changes so."""

  def init(key, given):
    return new_state(key, {"w": jnp.zeros(3)}, (), extra=Held(given["base"]))

  def step(state, batch, key):
    params = jax.tree.map(lambda w: w + 1, state.params)
    extra = jax.tree.map(change, state.extra)
    return state.replace(params=params, extra=extra), {"return": jnp.array(jnp.nan)}

  need = Pretrained("ddpm", "configs/ddpm.py:smoke", "ema_params")
  experiment = Experiment(None, init, step, None, None, pretrained={"base": need})
  return Built(types.SimpleNamespace(make=lambda config: experiment), smoke("ddpm"))


def test_what_is_held_of_another_run_may_not_change():
  check_a_few_steps(holding(lambda leaf: leaf))
  with pytest.raises(AssertionError):
    check_a_few_steps(holding(lambda leaf: leaf * (1 + 1e-6)))


def test_replicas_that_drift_apart_are_seen():
  built = holding(lambda leaf: leaf)
  state = split_replicas(built.experiment, built.program.init(0), 2)
  assert_replicas_agree(built.experiment, state)
  for field in ("opt_state", "model_state", "ema_params"):
    drifted = state.replace(**{field: jnp.arange(2.0)})
    with pytest.raises(AssertionError):
      assert_replicas_agree(built.experiment, drifted)


def test_adam_is_not_taken_for_gradient_descent():
  built = Built(module_of("ddpm"), smoke("ddpm"))
  with pytest.raises(AssertionError, match="still divides by the gradient's size"):
    check_is_gradient_descent(built)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_reads_as_the_others(name):
  title, paper, presets = describe(name)
  assert title.endswith(".") and "http" in paper
  assert "smoke" in [preset for preset, _ in presets]
  module = module_of(name)
  assert name_of(module.make) == name
  assert list(inspect.signature(module.make).parameters) == ["config"]
  assert f"python -m experiments.{name} --config=configs/{name}.py" in module.__doc__
  parameters = inspect.signature(module.make(smoke(name)).sample).parameters
  assert list(parameters)[:3] == ["state", "key", "n"]
  assert {p.kind for p in list(parameters.values())[3:]} <= {
    inspect.Parameter.KEYWORD_ONLY  # or it is no flag of --mode=sample
  }


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_makes_an_experiment_without_reading(name, monkeypatch):
  module = module_of(name)
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


def test_making_an_experiment_computes_nothing():
  """Or processes could not meet any more, nor a plan choose its platform."""
  program = (
    "import importlib\n"
    "from jgm.cli.config import load_config\n"
    f"for name, preset in {all_presets()}:\n"
    "  make = importlib.import_module(f'experiments.{name}').make\n"
    "  make(load_config(f'configs/{name}.py:{preset}'))\n"
  )
  # A platform that there is not: the first thing that is computed fails.
  env = {**os.environ, "JAX_PLATFORMS": "nowhere", "PYTHONPATH": str(CONFIGS.parent)}
  command = [sys.executable, "-c", program]
  ended = subprocess.run(command, env=env, capture_output=True, text=True)
  assert ended.returncode == 0, ended.stderr[-2000:]


def all_presets():
  return [(name, preset) for name in NAMES for preset, _ in describe(name)[2]]


def test_configs_and_experiments_are_one_to_one():
  configs = {file.stem for file in CONFIGS.glob("[!_]*.py")} - {"base"}
  assert configs == set(names())


def module_of(name):
  return importlib.import_module(f"experiments.{name}")


def smoke(name):
  return load_config(f"configs/{name}.py:smoke")
