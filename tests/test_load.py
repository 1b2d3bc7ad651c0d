"""A run in a notebook: what it evaluates is what its report says."""

import sys

import jax
import jax.numpy as jnp
import optax

import jgm
from jgm.cli.log import read_rows
from jgm.cli.main import main
from jgm.core import Aux, Evaluation, Experiment, Scalar, gradient_step, new_state


def make(config):
  """Its evaluation is a draw."""
  tx = optax.sgd(0.1)

  def objective(params, state, batch, key):
    return jnp.mean(params["w"] ** 2), Aux()

  def init(key, pretrained):
    params = {"w": jnp.ones(3)}
    return new_state(key, params, tx.init(params))

  def evaluate(state, key):
    return Evaluation({"draw": Scalar(float(jax.random.normal(key)))}, {})

  return Experiment(None, init, gradient_step(objective, tx), evaluate, None)


def test_it_is_evaluated_by_the_seed_of_its_report(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "experiments.test_load", sys.modules[__name__])
  workdir = tmp_path / "run"
  spec = "--config=configs/ddpm.py:smoke"
  main(make, [spec, f"--workdir={workdir}", "--config.eval.seed=7"])
  run = jgm.load(workdir)
  reported = read_rows(workdir / "metrics.jsonl")[-1]["eval/draw"]
  draw = lambda **options: run.evaluate(**options).scalars["draw"].value
  assert draw() == draw(seed=7) == reported
  assert draw(seed=0) != reported
