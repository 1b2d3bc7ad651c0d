"""A plan from the command line, on simulated devices."""

import json
import types
from typing import Any

import jax
import pytest

from experiments import gan, gpt
from jgm.cli.config import load_config
from jgm.cli.errors import UserError
from jgm.cli.flags import parse
from jgm.cli.plan import plan
from jgm.cli.plan_table import print_plan
from jgm.cli.run import make_config_program
from jgm.data import DatasetError, make_dataset
from jgm.data.shapes import shapes_of
from jgm.plan import Topology, make_plan
from jgm.plan.chips import CHIPS
from jgm.plan.compiled import Compiled, Memory, keep, read_kept
from jgm.plan.count import Collective, Work
from jgm.plan.plan import Measured

MEASURED = Measured(
  Memory(arguments=4 * 10**9, temporaries=3 * 10**9, total=8 * 10**9),
  Work(2e12, 3e9, {Collective("all-reduce", 8): 4e8}),
  1,
  ("SomeKernel",),
)


@pytest.fixture
def command(tmp_path, monkeypatch):
  monkeypatch.setenv("JGM_CACHE", str(tmp_path / "cache"))

  def run(*arguments):
    words = ["--config=configs/gan.py:smoke", "--mode=plan", f"--workdir={tmp_path}/w"]
    plan(parse(gan.make, [*words, *arguments]), gan.make)
    return json.loads((tmp_path / "w" / "plan.json").read_text())

  return run


def test_a_plan_is_printed_and_written_and_kept(command, capsys):
  first = command("--topology=cpu:8")
  said = capsys.readouterr().out
  assert "compiling for cpu:8" in said and "parameters" in said
  assert "no estimate of the time" in said
  assert first["num_devices"] == 8 and first["work"]["flops"] > 0
  assert first["estimate"] is None and first["fits"] is None
  assert "all-reduce" in [c["kind"] for c in first["work"]["collectives"]]
  assert command("--topology=cpu:8") == first
  assert "compiling" not in capsys.readouterr().out


def test_a_mesh_must_be_of_the_devices(command):
  with pytest.raises(UserError, match="3 x 1 devices is not the 8 of cpu:8"):
    command("--topology=cpu:8", "--config.parallel.data_devices=3")


def test_flags_of_planning(command):
  with pytest.raises(UserError, match="--topology=v5e:4x4"):
    command()
  with pytest.raises(UserError, match="flag of --mode=plan"):
    parse(gan.make, ["--topology=cpu:8"])


def test_topologies_that_are_none(command):
  with pytest.raises(UserError, match="v5e:16x16"):
    command("--topology=v5e:5x5")


def planned(batch_size=512, memory=MEASURED.memory, **options):
  """Of a million parameters, four steps a call."""
  params = {"w": jax.ShapeDtypeStruct((1000, 1000), "float32")}
  program: Any = types.SimpleNamespace(
    steps_per_call=4,
    num_seeds=1,
    batch_devices=2,
    abstract=types.SimpleNamespace(params=params),
  )
  topology = Topology("v5e:2x4", [None] * 8, CHIPS["v5e"])
  measured = MEASURED._replace(memory=memory)
  return make_plan(
    program, measured, topology, batch_size=batch_size, total_steps=1000, **options
  )


def test_a_plan_is_of_one_step():
  made = planned(price_per_chip_hour=2.0)
  assert made.parameters == 10**6 and made.work.flops == 0.5e12
  assert made.estimate.bound == "compute"
  assert made.estimate.cost == pytest.approx(made.estimate.hours * 8 * 2)


def test_the_largest_batch_is_the_one_that_fills_the_memory(
  command, monkeypatch, capsys
):
  """48 fill it. So it is found from programs of 32 and of 16."""
  memory = command("--topology=cpu:8", "--config.data.batch_size=48")["memory"]
  chip = CHIPS["v5e"]._replace(memory=memory["total"])  # as if it were published
  topology = Topology("chips", jax.devices()[:8], chip)
  monkeypatch.setattr("jgm.cli.plan.find_topology", lambda name: topology)
  made = command("--topology=cpu:8", "--config.data.batch_size=32")
  said = capsys.readouterr().out
  assert "a batch of 32" in said and "a batch of 16" in said
  assert "fits: about 48" in said
  assert made["fits"] and made["largest_batch"] == 48


@pytest.mark.parametrize(
  ("name", "overrides", "devices"),
  [
    ("gan", (), 8),
    ("gan", ("num_seeds=8",), 1),  # each device has some seeds, and the whole batch
    ("gan", ("num_seeds=3",), 8),
    ("gan", ("parallel.strategy=pmap",), 8),
    ("gpt", ("parallel.model_devices=2",), 4),
  ],
)
def test_a_batch_is_spread_over_the_devices_of_its_axis(name, overrides, devices):
  config = load_config(f"configs/{name}.py:smoke", overrides)
  experiment = {"gan": gan, "gpt": gpt}[name].make(config)
  assert make_config_program(experiment, config, {}).batch_devices == devices


def test_the_largest_batch_is_of_as_many_rows_as_are_cut(command, monkeypatch):
  """13 fill a device. With seeds over the devices each has all of a batch."""
  chip = CHIPS["v5e"]._replace(memory=1000 + 13 * 10)
  topology = Topology("chips", jax.devices()[:8], chip)
  monkeypatch.setattr("jgm.cli.plan.find_topology", lambda name: topology)

  def measure(call, topology):
    rows = call.batch_size // call.program.batch_devices
    memory = MEASURED.memory._replace(total=1000 + 10 * rows)
    return MEASURED._replace(memory=memory)

  monkeypatch.setattr("jgm.cli.plan._measure", measure)
  arguments = "--topology=cpu:8", "--config.data.batch_size=32"
  assert command(*arguments)["largest_batch"] == 8 * 13
  assert command(*arguments, "--config.num_seeds=8")["largest_batch"] == 13


def test_nothing_is_left_of_a_program_that_cannot_be_kept(tmp_path, monkeypatch):
  compiled = Compiled(MEASURED.memory, "text")
  with monkeypatch.context() as full:
    full.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
      keep(compiled, tmp_path / "kept")
  assert not list(tmp_path.iterdir())
  keep(compiled, tmp_path / "kept")
  assert read_kept(tmp_path / "kept") == compiled


def test_all_that_is_known_is_printed(capsys):
  print_plan(planned(price_per_chip_hour=2.0))
  said = capsys.readouterr().out
  assert "512, 256 a device" in said  # `model` takes the others
  words = ("fits", "at least", "all-reduce", "MFU", "cost", "SomeKernel")
  for word in words:
    assert word in said


def test_images_that_are_not_here_have_shapes_all_the_same(tmp_path):
  options = {"batch_size": 16, "seed": 0, "data_dir": str(tmp_path)}
  whole = shapes_of(make_dataset("cifar10", in_memory=True, **options), 4)
  assert whole["image"].shape == (50_000, 32, 32, 3)
  data = make_dataset("cifar10", **options)
  streamed = shapes_of(data, 4)
  assert streamed["image"].shape == (4, 16, 32, 32, 3)
  mirrored = shapes_of(make_dataset("cifar10", flip=True, **options), 4)
  assert mirrored.keys() == {"image", "label", "mirrored"}


def test_no_data_has_no_arrays():
  assert shapes_of(None, 4) == {}


def test_data_that_must_be_read_are_missed(tmp_path):
  options = {"batch_size": 16, "seed": 0, "data_dir": str(tmp_path), "in_memory": True}
  data = make_dataset("tiny_shakespeare", context=8, **options)
  with pytest.raises(DatasetError, match="not prepared"):
    shapes_of(data, 4)


def test_a_text_that_is_not_here_is_planned_by_fsdp(tmp_path):
  """Small but for its text: no merges of its 50,304 tokens are learnt."""
  small = ("model.num_layers=1", "model.features=64", "model.max_length=32")
  here = (f"data.data_dir={tmp_path}", "data.context=32")
  config = load_config("configs/gpt.py:gpt2_medium", (*small, *here))
  assert config.parallel.fsdp and config.data.vocab_size % 128 == 0
  experiment = gpt.make(config)
  program = make_config_program(experiment, config, {})
  lowered = program.lower(shapes_of(experiment.data, program.steps_per_call))
  assert "tensor<100x256x33xui16>" in lowered.as_text()
