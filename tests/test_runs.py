"""Whole runs from the command line: what they leave, and what bad input gets."""

import functools
import json
import os
import pathlib
import re
import shutil
import signal
import socket

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from experiments import __main__ as listing
from experiments import ddpm
from jgm.cli.console import Progress
from jgm.cli.log import read_rows
from jgm.cli.main import main
from jgm.cli.opening import existing_run
from jgm.core import (
  Aux,
  Dataset,
  Evaluation,
  Experiment,
  Scalar,
  checkpoint,
  gradient_step,
  new_state,
  with_ema,
)

SMOKE = ("--config=configs/ddpm.py:smoke", "--config.parallel.data_devices=1")


ARRAYS = {"x": np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)}


def measure_size(state, key):
  size = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(state.ema_params))
  return Evaluation({"size": Scalar(float(size))}, {})


def make_toy(config):
  """Linear regression with noise on its inputs: it compiles in no time."""
  tx = optax.adam(0.1)

  def toy_batch(arrays, step):
    return {"x": jax.lax.dynamic_slice_in_dim(arrays["x"], 16 * (step % 4), 16)}

  def objective(params, state, batch, key):
    noise = 0.1 * jax.random.normal(key, (16,))
    return jnp.mean((batch["x"] @ params["w"] + noise - 1.0) ** 2), Aux({})

  def init(key, pretrained):
    key_params, key_state = jax.random.split(key)
    params = {"w": jax.random.normal(key_params, (3,))}
    return new_state(key_state, params, tx.init(params), ema=True)

  return Experiment(
    data=Dataset("toy", None, 16, lambda step, n, rows=None: ARRAYS, toy_batch, None),
    init=init,
    step=with_ema(gradient_step(objective, tx), config.ema_decay),
    evaluate=measure_size,
    sample=None,
  )


def changed(make, **changes):
  """`make`, with some of the experiment's functions replaced by what each makes."""

  @functools.wraps(make)  # keeps the module, whose docstring heads the report
  def make_changed(config):
    experiment = make(config)
    new = {name: change(experiment) for name, change in changes.items()}
    return experiment._replace(**new)

  return make_changed


# The evaluation of images takes longer than all the steps: most tests do without.
quick = changed(ddpm.make, evaluate=lambda experiment: measure_size)


def command(workdir, *arguments, make=quick):
  main(make, [f"--workdir={workdir}", *SMOKE, *arguments])


def refusal(capsys, workdir, *arguments, make=quick):
  """The one error of a command that ends with 1."""
  capsys.readouterr()
  with pytest.raises(SystemExit) as exit:
    command(workdir, *arguments, make=make)
  assert exit.value.code == 1
  error = capsys.readouterr().err
  assert error.startswith("error: ") and "Traceback" not in error
  return error.removeprefix("error: ").strip()


def saved_steps(workdir):
  return checkpoint.steps(str(workdir / "checkpoints"))


def saved_state(workdir, make=make_toy, step=None):
  run = existing_run(workdir, make)
  directory = str(run.folder.checkpoints)
  return checkpoint.restore(directory, run.program.abstract, step=step).state


def timeless_rows(workdir):
  return [
    {name: value for name, value in row.items() if not name.startswith("time/")}
    for row in read_rows(workdir / "metrics.jsonl")
  ]


def assert_same_bits(one, other):
  def bits(leaf):
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

  jax.tree.map(lambda a, b: np.testing.assert_array_equal(bits(a), bits(b)), one, other)


def set_in_config_json(workdir, section, key, value):
  file = workdir / "config.json"
  facts = json.loads(file.read_text())
  facts["config"][section][key] = value
  file.write_text(json.dumps(facts))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A run of 8 steps with checkpoints at 4 and 8, evaluated as users have it."""
  workdir = tmp_path_factory.mktemp("finished") / "ddpm"
  command(workdir, make=ddpm.make)
  return workdir


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory):
  """The run of 16 steps that nothing interrupts."""
  workdir = tmp_path_factory.mktemp("sixteen") / "toy"
  command(workdir, "--config.total_steps=16", make=make_toy)
  return workdir


@pytest.fixture
def eight(tmp_path):
  """A run that has taken 8 steps, with checkpoints at 4 and 8."""
  command(tmp_path / "eight", make=make_toy)
  return tmp_path / "eight"


@pytest.fixture
def copied(finished, tmp_path):
  return pathlib.Path(shutil.copytree(finished, tmp_path / "copied"))


# What a run leaves, and what can be done with it.


def test_the_folder_holds_what_a_person_looks_for(finished):
  facts = json.loads((finished / "config.json").read_text())
  assert facts["experiment"] == "ddpm" and facts["config"]["total_steps"] == 8
  assert facts["versions"]["jax"] == jax.__version__
  assert "cpu" in facts["device"].lower() and "git_commit" in facts
  assert facts["command"].startswith("python -m experiments.ddpm --workdir=")
  rows = read_rows(finished / "metrics.jsonl")
  assert [row["step"] for row in rows] == [4, 8, 8]
  assert {"loss", "gradient_norm"} <= rows[0].keys()
  assert {"eval/bits_per_dim_bound", "eval/frechet_distance"} <= rows[-1].keys()
  assert saved_steps(finished) == [4, 8]
  assert len(list(finished.glob("events.out.tfevents.*"))) == 1
  pictures = sorted(path.name for path in (finished / "samples").glob("*-00000008.png"))
  assert len(pictures) == 3, pictures
  page = (finished / "report.html").read_text()
  assert f"<span>--workdir={finished}</span>" in page
  assert "frechet distance" in page.lower()


def test_a_finished_run_is_left_as_it_is(copied, capsys):
  before = timeless_rows(copied), saved_state(copied, quick)
  command(copied)
  assert "resuming from step 8" in capsys.readouterr().out
  assert timeless_rows(copied) == before[0]
  assert_same_bits(saved_state(copied, quick), before[1])


def test_samples_are_a_picture_and_arrays(copied, capsys):
  def samples(*arguments):
    command(copied, "--mode=sample", "--num_samples=5", *arguments)
    with np.load(copied / "samples" / "samples.npz") as file:
      return dict(file)

  first = samples("--seed=1", "--sampler=ddim", "--steps=3")
  assert first["samples"].shape == (5, 8, 8, 1)
  assert (first["step"], first["seed"], first["num_steps"]) == (8, 1, 3)
  assert str(first["sampler"]) == "ddim" and np.ptp(first["samples"]) > 0.1
  with Image.open(copied / "samples" / "samples.png") as picture:
    assert min(picture.size) >= 8
  assert "5 samples of step 8:" in capsys.readouterr().out
  again = samples("--seed=1", "--sampler=ddim", "--steps=3")["samples"]
  np.testing.assert_array_equal(first["samples"], again)
  other = samples("--seed=2", "--sampler=ddim", "--steps=3")["samples"]
  assert np.any(first["samples"] != other)


def test_samples_drawn_before_are_kept(copied):
  folder = copied / "samples"
  for seed in range(3):
    command(copied, "--mode=sample", "--num_samples=2", f"--seed={seed}")
  for name, seed in [("samples", 2), ("samples-1", 0), ("samples-2", 1)]:
    with np.load(folder / f"{name}.npz") as file:
      assert file["seed"] == seed
    assert (folder / f"{name}.png").exists()


def test_a_finished_run_is_evaluated_again(eight, capsys):
  before = (eight / "metrics.jsonl").read_bytes()
  capsys.readouterr()
  report = eight / "report.html"
  report.unlink()
  command(eight, "--mode=evaluate", make=make_toy)
  assert report.exists()
  printed = capsys.readouterr().out
  assert "evaluating at step 8" in printed and "\nsize" in printed
  assert (eight / "metrics.jsonl").read_bytes() == before


def test_an_evaluation_beside_training_leaves_its_files_alone(eight):
  draws = lambda _: (
    lambda state, key: Evaluation({}, {"black": np.zeros((4, 4, 3), np.uint8)})
  )
  with open(eight / "metrics.jsonl", "ab") as file:
    file.write(b'{"step": 9, "lo')  # a row that is being written
  own = [eight / "metrics.jsonl", *eight.glob("events.out.tfevents.*")]
  before = [path.read_bytes() for path in own]
  command(eight, "--mode=evaluate", make=changed(make_toy, evaluate=draws))
  assert [path.read_bytes() for path in own] == before and len(own) == 2
  assert [*eight.glob("events.out.tfevents.*")] == own[1:]
  assert (eight / "samples" / "black-00000008.png").exists()


def test_a_class_can_be_asked_of_a_model_that_knows_classes(tmp_path, capsys):
  workdir = tmp_path / "run"
  asked = ("--mode=sample", "--num_samples=2", "--steps=1", "--class_label=3")
  command(workdir, "--config.class_conditional=true", "--config.total_steps=0")
  run = existing_run(workdir, quick)  # of a model that is as it began
  state = run.program.init(0)
  checkpoint.save(str(run.folder.checkpoints), state, step=0, metadata={})
  command(workdir, *asked)
  with np.load(workdir / "samples" / "samples.npz") as file:
    assert file["samples"].shape == (2, 8, 8, 1) and file["class_label"] == 3
  wrong = refusal(capsys, workdir, *asked[:-1], "--class_label=10")
  assert wrong == ("sampling: class 10: there are 0 to 9 (JGM_TRACEBACK=1 shows where)")


def test_several_seeds_are_told_by_mean_and_spread(tmp_path, capsys):
  command(tmp_path / "run", "--config.num_seeds=2", make=make_toy)
  printed = capsys.readouterr().out
  size = next(line for line in printed.splitlines() if line.startswith("size"))
  assert "±" in size
  rows = read_rows(tmp_path / "run" / "metrics.jsonl")
  (first, second) = rows[0]["loss"]
  assert first != second and len(rows[-1]["eval/size"]) == 2
  assert f"loss {(first + second) / 2:.4f} ±" in printed


def test_early_stopping_names_the_best(tmp_path, capsys):
  values = iter([3.0, 1.0, 2.0, 2.5, 9.0, 9.0])
  falls_and_rises = lambda _: (
    lambda state, key: Evaluation({"size": Scalar(next(values))}, {})
  )
  workdir = tmp_path / "run"
  stop = ("--config.stop.metric=eval/size", "--config.stop.patience=2")
  periods = ("--config.total_steps=40", "--config.eval.every_steps=4")
  command(workdir, *stop, *periods, make=changed(make_toy, evaluate=falls_and_rises))
  printed = capsys.readouterr().out
  assert "no better eval/size in 2 evaluations; the best, 1, was at step 8" in printed
  # each once: a step saved again would have a folder 00000016_1 in its place
  folders = sorted(path.name for path in (workdir / "checkpoints").iterdir())
  assert folders == ["00000008", "00000012", "00000016"]


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--config.stop.metric=losss"], "is not measured. Did you mean 'loss'?"),
    (["--config.stop.metric=size"], "is not measured. What an evaluation measures is"),
    (
      ["--config.stop.metric=eval/sise", "--config.eval.every_steps=4"],
      "is not measured. Did you mean 'eval/size'?",
    ),
  ],
)
def test_a_metric_that_is_not_measured_cannot_stop(
  arguments, message, tmp_path, capsys
):
  error = refusal(capsys, tmp_path / "run", *arguments, make=make_toy)
  assert message in error and len(read_rows(tmp_path / "run" / "metrics.jsonl")) < 2


def test_early_stopping_that_could_never_act_leaves_nothing(tmp_path, capsys):
  stop = "--config.stop.metric=eval/size"
  error = refusal(capsys, tmp_path / "run", stop, make=make_toy)
  assert "would be measured at the end only" in error
  assert not (tmp_path / "run").exists()


def test_the_experiments_are_listed(capsys, monkeypatch):
  monkeypatch.setenv("COLUMNS", "160")
  listing.main()
  printed = capsys.readouterr().out
  assert "ddpm" in printed and "arxiv.org/abs/2006.11239" in printed
  for preset in (":smoke", ":photos", ":mnist", ":cifar10"):
    assert preset in printed


# What bad input gets.


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (
      ["--config.optimizer.learning_rat=1"],
      "there is no config key 'optimizer.learning_rat'. "
      "Did you mean 'optimizer.learning_rate'?",
    ),
    (["--wrokdir=x"], "there is no flag --wrokdir. Did you mean 'workdir'?"),
    (["--seed=1"], "--seed is a flag of --mode=sample; did you mean --config.seed?"),
    (["--config.total_steps=ten"], "a value of type int is wanted"),
    (["--config.loss=squared_eror"], "Did you mean 'squared_error'?"),
    (["--config.schedule=liner"], "Did you mean 'linear'?"),
    (["--config.dtype=flot32"], "it is one of float32, bfloat16"),
    (
      ["--config.model.channel_multipliers=(1,1,1,1,1)"],
      "the U-Net halves its images 4 times, so height and width must be multiples of "
      "16; got 8 x 8",
    ),
    (
      ["--config.parallel.data_devices=8", "--config.data.batch_size=12"],
      "a batch of 12 does not divide over 8 devices: make config.data.batch_size a "
      "multiple of 8",
    ),
    (["--config.parallel.data_devices=9"], "a mesh of 9 x 1 devices: there are 8"),
  ],
)
def test_a_wrong_config_is_one_line_and_leaves_nothing(
  arguments, message, tmp_path, capsys
):
  error = refusal(capsys, tmp_path / "run", *arguments)
  assert message in error and "\n" not in error
  assert not (tmp_path / "run").exists()


def test_a_dataset_that_is_not_there_names_the_command(tmp_path, capsys, monkeypatch):
  def connect(*_):
    raise AssertionError("the network was asked")

  monkeypatch.setattr(socket.socket, "connect", connect)
  monkeypatch.setattr(socket, "getaddrinfo", connect)
  data_dir = f"--config.data.data_dir={tmp_path}"
  error = refusal(capsys, tmp_path / "run", "--config.data.name=mnist", data_dir)
  assert f"dataset 'mnist' is not prepared in {tmp_path}" in error
  assert f"python -m jgm.data.prepare mnist --data_dir={tmp_path}" in error
  assert not (tmp_path / "run").exists()
  error = refusal(capsys, tmp_path / "run", "--config.data.name=minst", data_dir)
  assert "did you mean 'mnist'?" in error


def test_a_run_of_another_config_is_refused(copied, capsys):
  before = (copied / "config.json").read_bytes()
  error = refusal(capsys, copied, "--config.model.channels=16", "--config.seed=3")
  assert f"{copied} holds a run of another config:" in error
  assert "\n  model.channels: 8 there, 16 here\n  seed: 0 there, 3 here\n" in error
  assert (copied / "config.json").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
  (tmp_path / "file").touch()
  error = refusal(capsys, tmp_path / "file" / "run")
  assert f"the run folder {tmp_path}/file/run cannot be written: " in error


@pytest.mark.parametrize(("key", "value"), [("channels", 16), ("num_blocks", 2)])
def test_a_checkpoint_of_another_model_is_never_loaded_in_part(
  key, value, copied, capsys
):
  set_in_config_json(copied, "model", key, value)
  for mode in ("train", "sample"):
    change = [f"--config.model.{key}={value}"] if mode == "train" else []
    error = refusal(capsys, copied, f"--mode={mode}", *change)
    assert f"{copied}/checkpoints/00000008 does not fit this run: params/" in error
    assert re.search(r"params/\S+: checkpoint (\(\d|has none).*, this run \(\d", error)
  assert saved_steps(copied) == [4, 8]


def raises(*_):
  raise ValueError("eta is 7: at most 1")


def test_a_value_that_the_step_cannot_take_leaves_nothing(tmp_path, capsys):
  make = changed(make_toy, step=lambda experiment: raises)
  error = refusal(capsys, tmp_path / "run", make=make)
  assert error == (
    "tracing the step: eta is 7: at most 1 (JGM_TRACEBACK=1 shows where)"
  )
  assert not (tmp_path / "run").exists()


def test_a_value_that_the_evaluation_cannot_take_costs_no_step(tmp_path, capsys):
  make = changed(make_toy, evaluate=lambda experiment: raises)
  message = "evaluating: eta is 7: at most 1 (JGM_TRACEBACK=1 shows where)"
  assert refusal(capsys, tmp_path, make=make) == message
  assert saved_steps(tmp_path) == [4, 8]
  assert refusal(capsys, tmp_path, "--mode=evaluate", make=make) == message


def test_a_run_of_another_experiment_is_not_read(eight, capsys):
  error = refusal(capsys, eight, "--mode=evaluate")
  assert error == f"{eight} holds a run of test_runs, not of ddpm"


def test_a_decay_that_ends_elsewhere_is_said(tmp_path, capsys):
  decay = "--config.optimizer.decay=cosine"
  command(tmp_path, decay, make=make_toy)
  command(tmp_path, decay, make=make_toy)
  assert "total_steps" not in capsys.readouterr().out
  command(tmp_path, decay, "--config.total_steps=12", make=make_toy)
  assert (
    "total_steps was 8 and is 12: the learning rate's cosine decay now ends at step "
    "12, so the rate jumps here\n"
  ) in capsys.readouterr().out


def test_a_metric_of_what_did_not_happen_is_left_out_of_the_mean(tmp_path):
  def with_episodes(experiment):
    def step(state, batch, key):
      state_after, metrics = experiment.step(state, batch, key)
      ends = state.step % 2 == 0
      metrics["return"] = jnp.where(ends, state.step.astype(jnp.float32), jnp.nan)
      return state_after, metrics | {"nothing": jnp.array(jnp.nan)}

    return step

  command(tmp_path, make=changed(make_toy, step=with_episodes))
  rows = read_rows(tmp_path / "metrics.jsonl")
  assert [row["return"] for row in rows[:2]] == [1.0, 5.0]  # of 0, 2 and of 4, 6
  assert np.isnan(rows[0]["nothing"])


def test_no_run_and_no_checkpoint_are_told_apart(tmp_path, capsys, finished):
  missing = tmp_path / "missing"
  error = refusal(capsys, missing, "--mode=sample")
  assert error == f"there is no run in {missing}: it has no config.json"
  assert not missing.exists()
  missing.mkdir()
  shutil.copy(finished / "config.json", missing)
  error = refusal(capsys, missing, "--mode=sample")
  assert error == f"{missing} has no checkpoint yet: train it first"


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--class_label=3"], "the model was trained without classes"),
    (["--sampler=ddmi"], "unknown sampler 'ddmi': it is one of ancestral, "),
    (["--steps=21"], "20"),
  ],
)
def test_samples_that_cannot_be_drawn(arguments, message, finished, capsys):
  error = refusal(capsys, finished, "--mode=sample", *arguments)
  assert message in error and "\n" not in error


def test_a_flipped_byte_costs_one_checkpoint_and_no_bit(eight, sixteen, capsys):
  newest = eight / "checkpoints" / "00000008" / "arrays"
  largest = max((newest / "d").iterdir(), key=lambda path: path.stat().st_size)
  content = bytearray(largest.read_bytes())
  content[len(content) // 2] ^= 1
  largest.write_bytes(content)
  command(eight, "--config.total_steps=16", make=make_toy)
  printed = capsys.readouterr().out
  assert "00000008 is damaged: " in printed
  assert "Going back to the one before it." in printed
  assert "resuming from step 4" in printed
  assert_same_bits(saved_state(eight), saved_state(sixteen))
  assert timeless_rows(eight) == timeless_rows(sixteen)


def test_what_may_change_goes_on_and_ends_the_same(eight, sixteen, capsys):
  command(
    eight,
    "--config.total_steps=16",
    "--config.parallel.steps_per_call=3",
    "--config.log.every_steps=8",
    "--config.eval.every_steps=16",
    make=make_toy,
  )
  assert "resuming from step 8" in capsys.readouterr().out
  assert_same_bits(saved_state(eight), saved_state(sixteen))


def test_signals_save_and_the_run_goes_on_bit_for_bit(
  tmp_path, sixteen, capsys, monkeypatch
):
  signals = {6: signal.SIGINT, 10: signal.SIGTERM}  # each between two saves
  update = Progress.update

  def interrupted_update(self, step, metrics=None):
    update(self, step, metrics)
    if step in signals:
      os.kill(os.getpid(), signals.pop(step))

  monkeypatch.setattr(Progress, "update", interrupted_update)
  workdir = tmp_path / "run"
  arguments = ("--config.total_steps=16", "--config.parallel.steps_per_call=2")
  handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
  for name, step in [("SIGINT", 6), ("SIGTERM", 10)]:
    error = refusal(capsys, workdir, *arguments, make=make_toy)
    assert error == f"{name}: saved at step {step}; run it again to go on"
  assert handlers == tuple(map(signal.getsignal, (signal.SIGINT, signal.SIGTERM)))
  command(workdir, *arguments, make=make_toy)
  assert "resuming from step 10" in capsys.readouterr().out
  assert_same_bits(saved_state(workdir), saved_state(sixteen))
  assert timeless_rows(workdir) == timeless_rows(sixteen)


def test_a_loss_that_turns_nan_stops_and_keeps_what_was_good(tmp_path, eight, capsys):
  def breaks_at_step_7(experiment):
    def step(state, batch, key):
      nan = jnp.where(state.step == 6, jnp.nan, 1.0)
      return experiment.step(state, {"x": batch["x"] * nan}, key)

    return step

  workdir = tmp_path / "run"
  error = refusal(capsys, workdir, make=changed(make_toy, step=breaks_at_step_7))
  assert error == (
    "step 7 is not finite: the first leaf that is not finite is params/w"
  )
  assert saved_steps(workdir) == [4]
  assert_same_bits(saved_state(workdir), saved_state(eight, step=4))
  assert timeless_rows(workdir) == timeless_rows(eight)[:1]
