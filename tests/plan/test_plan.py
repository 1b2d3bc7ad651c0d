"""A plan from the command line, on simulated devices."""

import json
import types
from typing import Any

import jax
import pytest

from experiments import gan
from jgm.cli.errors import UserError
from jgm.cli.flags import parse
from jgm.cli.plan import plan
from jgm.cli.plan_table import print_plan
from jgm.core.experiment import Dataset
from jgm.data import DatasetError, make_dataset
from jgm.plan import Topology, make_plan
from jgm.plan.arrays import abstract_arrays, streamed_bytes
from jgm.plan.chips import CHIPS
from jgm.plan.count import Collective, Work
from jgm.plan.plan import Measured, Memory, measured_from_json, to_json

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
    steps_per_call=4, num_seeds=1, abstract=types.SimpleNamespace(params=params)
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


def test_the_largest_batch_fills_the_memory():
  made = planned()
  assert made.fits and made.largest_batch == 512 * 11 // 3 // 8 * 8
  streaming = planned(streamed_bytes=10**9)  # these grow with the batch too
  assert streaming.largest_batch == 512 * 12 // 4 // 8 * 8
  too_much = planned(memory=Memory(4 * 10**9, 24 * 10**9, 28 * 10**9))
  assert not too_much.fits and too_much.largest_batch == 512 // 2
  assert planned(memory=Memory(10**11, 0, 10**11)).largest_batch == 0


def test_all_that_is_known_is_printed(capsys):
  print_plan(planned(price_per_chip_hour=2.0))
  said = capsys.readouterr().out
  for word in ("fits", "at least", "all-reduce", "MFU", "cost", "SomeKernel", "GiB"):
    assert word in said


def test_what_was_measured_survives_json():
  assert measured_from_json(json.dumps(to_json(MEASURED))) == MEASURED


def test_images_that_are_not_here_have_shapes_all_the_same(tmp_path):
  options = {"batch_size": 16, "seed": 0, "data_dir": str(tmp_path)}
  whole = abstract_arrays(make_dataset("cifar10", in_memory=True, **options), 4)
  assert whole["image"].shape == (50_000, 32, 32, 3)
  data = make_dataset("cifar10", **options)
  streamed = abstract_arrays(data, 4)
  assert streamed["image"].shape == (4, 16, 32, 32, 3)
  assert streamed_bytes(data, streamed) == 4 * 16 * (32 * 32 * 3 + 4)


def test_no_data_has_no_arrays():
  assert abstract_arrays(None, 4) == {}


def test_text_that_is_not_here_is_missed():
  def missing(first_step, num_steps):
    raise DatasetError("not prepared")

  data = Dataset("text", None, 16, missing, None, None)
  with pytest.raises(DatasetError, match="not prepared"):
    abstract_arrays(data, 4)
