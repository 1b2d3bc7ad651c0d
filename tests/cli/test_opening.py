"""A run that needs what another run has learnt."""

import json
import os
import shutil
import signal
import sys
import types
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from etils import epath

from jgm.cli.main import main
from jgm.cli.opening import existing_run
from jgm.core import (
  Aux,
  Evaluation,
  Experiment,
  Pretrained,
  Scalar,
  checkpoint,
  gradient_step,
  new_state,
)

SPEC = "configs/ddpm.py:smoke"


class Extra(NamedTuple):
  base: Any = ()


def make_experiment(start, pretrained=None):
  tx = optax.sgd(0.1)

  def objective(params, state, batch, key):
    noise = jax.random.normal(key, params["w"].shape)
    return jnp.mean((params["w"] - 0.1 * noise) ** 2), Aux()

  def init(key, given):
    key_params, key_state = jax.random.split(key)
    params = start(key_params, given)
    return new_state(key_state, params, tx.init(params), extra=Extra(**given))

  def evaluate(state, key):
    return Evaluation({"size": Scalar(float(jnp.sum(state.params["w"] ** 2)))}, {})

  step = gradient_step(objective, tx)
  return Experiment(None, init, step, evaluate, None, pretrained=pretrained or {})


def make(config):
  """The base: it draws its parameters."""
  size = config.model.channels
  return make_experiment(lambda key, _: {"w": jax.random.normal(key, (size,))})


@pytest.fixture
def tuned(tmp_path, monkeypatch):
  """The experiment that goes on from the base, which lies in tmp_path / "base"."""
  module = sys.modules[__name__]
  monkeypatch.setitem(sys.modules, "experiments.test_opening", module)
  need = Pretrained("test_opening", SPEC, "params", workdir=str(tmp_path / "base"))

  def make_tuned(config):
    copy = lambda _, given: jax.tree.map(jnp.copy, given["base"])
    return make_experiment(copy, {"base": need})

  return make_tuned


def run(make, workdir, *arguments):
  main(make, [f"--config={SPEC}", f"--workdir={workdir}", *arguments])


def saved(workdir, make):
  existing = existing_run(epath.Path(workdir), make)
  directory = str(existing.folder.checkpoints)
  return checkpoint.restore(directory, existing.program.abstract).state


def test_a_base_that_is_missing_is_trained_first(tmp_path, tuned, capsys):
  run(tuned, tmp_path / "tuned")
  printed = capsys.readouterr().out
  assert f"base: training test_opening in {tmp_path}/base first" in printed
  assert f"base: params of {tmp_path}/base at step 8" in printed
  base, state = saved(tmp_path / "base", make), saved(tmp_path / "tuned", tuned)
  np.testing.assert_array_equal(state.extra.base["w"], base.params["w"])
  assert np.any(state.params["w"] != base.params["w"])
  run(tuned, tmp_path / "again")
  assert "training" not in capsys.readouterr().out


def test_a_signal_while_a_base_is_evaluated_ends_all(tmp_path, tuned, capsys):
  signals = [signal.SIGTERM]

  def make_signalled(config):
    experiment = make(config)

    def evaluate(state, key):
      if signals:
        os.kill(os.getpid(), signals.pop())
      return experiment.evaluate(state, key)

    return experiment._replace(evaluate=evaluate)

  sys.modules["experiments.test_opening"] = types.SimpleNamespace(make=make_signalled)
  with pytest.raises(SystemExit):
    run(tuned, tmp_path / "tuned")
  told = f"SIGTERM: {tmp_path}/base has ended; run it again to go on"
  assert told in capsys.readouterr().err
  assert not (tmp_path / "tuned" / "checkpoints").exists()
  run(tuned, tmp_path / "tuned")
  assert "first" not in capsys.readouterr().out


def test_a_run_that_has_begun_needs_no_base(tmp_path, tuned, capsys):
  run(tuned, tmp_path / "tuned")
  shutil.rmtree(tmp_path / "base")
  run(tuned, tmp_path / "tuned", "--mode=evaluate")
  run(tuned, tmp_path / "tuned", "--config.total_steps=12")
  assert "resuming from step 8" in capsys.readouterr().out
  assert int(saved(tmp_path / "tuned", tuned).step) == 12
  assert not (tmp_path / "base").exists()


def test_of_a_base_of_many_seeds_the_first_is_taken(tmp_path, tuned):
  run(make, tmp_path / "base", "--config.num_seeds=2")
  run(tuned, tmp_path / "tuned")
  base, state = saved(tmp_path / "base", make), saved(tmp_path / "tuned", tuned)
  assert base.params["w"].shape == (2, 8)
  np.testing.assert_array_equal(state.extra.base["w"], base.params["w"][0])


def test_a_base_is_taken_as_it_was_configured(tmp_path, tuned):
  run(make, tmp_path / "base", "--config.model.channels=5")
  run(tuned, tmp_path / "tuned")
  assert saved(tmp_path / "tuned", tuned).params["w"].shape == (5,)


@pytest.mark.parametrize(
  ("own", "left_at", "ends_at"),
  [
    (["--config.total_steps=4"], 4, 4),  # and not at the 8 of its config
    (["--config.total_steps=12"], 12, 12),
    # what is lost after step 4 is taken again, to its own end
    (["--config.total_steps=12", "--config.model.channels=5"], 4, 12),
    (["--config.stop.metric=eval/size", "--config.eval.every_steps=2"], 4, 4),
  ],
)
def test_the_end_of_a_base_is_its_own(tmp_path, tuned, capsys, own, left_at, ends_at):
  patience = ["--config.stop.patience=1", "--config.stop.mode=max"]
  command = [*own, *patience]
  run(make, tmp_path / "base", *command)
  for folder in (tmp_path / "base" / "checkpoints").iterdir():
    if int(folder.name) > left_at:
      shutil.rmtree(folder)
  facts = (tmp_path / "base" / "config.json").read_text()
  capsys.readouterr()
  run(tuned, tmp_path / "tuned")
  assert ("first" in capsys.readouterr().out) == (left_at < ends_at)
  assert int(saved(tmp_path / "base", make).step) == ends_at
  assert json.loads((tmp_path / "base" / "config.json").read_text()) == json.loads(
    facts
  )
