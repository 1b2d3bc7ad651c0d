"""Names of devices, and what is said where there are none."""

import importlib.util

import jax
import pytest

from jgm.plan.topology import TopologyError, find_topology, prepare


def refusal(name):
  with pytest.raises(TopologyError) as error:
    find_topology(name)
  return str(error.value)


def test_cpu_devices_are_those_that_there_are():
  prepare("cpu:8")  # too late to change anything, and no error
  assert find_topology("cpu:8").devices == jax.devices()
  assert len(find_topology("cpu:2").devices) == 2
  assert find_topology("cpu").chip is None
  assert "there are 8 here" in refusal("cpu:9")


@pytest.mark.parametrize("name", ["v9:2x2", "cpu:0", "cpu:many", "", "tpu"])
def test_no_such_topology_lists_those_that_there_are(name):
  said = refusal(name)
  assert "v5e:4x4" in said and "v4:2x2x1" in said and "cpu:N" in said


def test_a_shape_that_is_not_lent_lists_those_of_the_chip():
  said = refusal("v5e:3x5")
  assert "v5e:2x4" in said and "v4" not in said


def test_without_the_compiler_the_command_that_installs_it(monkeypatch):
  find_spec = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util, "find_spec", lambda n: None if n == "libtpu" else find_spec(n)
  )
  assert "pip install -e '.[tpu]'" in refusal("v5e:2x4")


def test_no_gpu_here():
  said = refusal("gpu")
  assert "no gpu" in said and "pip install -e '.[gpu]'" in said
