"""Inception against pytorch-fid's own network, and what a wrong file gets."""

import importlib.util
import pathlib
import sys
import types

import numpy as np
import pytest

from jgm.data.spec import DataSpec
from jgm.eval import inception
from jgm.eval.convert_inception import convert, main
from jgm.eval.images import make_image_evaluation
from jgm.eval.inception import load_inception, read_tensors, tensor_shapes, to_input
from jgm.eval.inception_layers import layer_shapes

HERE = pathlib.Path(__file__).parent
SPEC = DataSpec((20, 28, 3), levels=256)

# What tests/eval/reference_inception.py printed.
REFERENCE = [
  [0.162834, 0.262875, 0.670951, 0.297113, 1.697942, 3.512324, 3.538866, 4.993204],
  [0.266396, 0.282512, 0.770943, 0.352394, 1.725038, 3.316253, 3.442613, 4.840730],
]


@pytest.fixture(scope="module")
def drawn():
  """The script that the reference came from, for its weights and images."""
  spec = importlib.util.spec_from_file_location(
    "drawn", HERE / "reference_inception.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope="module")
def state_dict(drawn):
  return drawn.drawn_state_dict(layer_shapes())


@pytest.fixture(scope="module")
def tensors(state_dict):
  return convert(state_dict)


@pytest.fixture(scope="module")
def path(tensors, tmp_path_factory):
  path = tmp_path_factory.mktemp("inception") / "weights.npz"
  np.savez(path, **tensors)
  return path


def test_converted_weights_give_pytorch_fids_features(path, drawn, monkeypatch):
  monkeypatch.setattr(inception, "BATCH_SIZE", 2)
  images = drawn.drawn_images() / np.float32(127.5) - 1
  features = load_inception(path, SPEC)(images)
  assert features.shape == (2, 2048)
  np.testing.assert_allclose(drawn.fingerprint(features), REFERENCE, rtol=2e-5)


def test_layers_and_parameters_are_as_many_as_torchvisions():
  """27,161,264 with the auxiliary classifier's 3,326,696 and the last layer's."""
  shapes = layer_shapes()
  assert len(shapes) == 94
  parameters = sum(np.prod(shape) + 2 * shape[-1] for shape in shapes.values())
  assert parameters + 2049 * 1000 + 3_326_696 == 27_161_264
  assert shapes["Mixed_7c.branch3x3dbl_3b"] == (3, 1, 384, 384)
  assert shapes["Mixed_6b.branch7x7_2"] == (1, 7, 128, 128)


def test_grey_images_get_three_equal_channels_in_range():
  grey = np.array([0, 255, 0, 255], np.uint8).reshape(1, 2, 2, 1)
  x = np.asarray(to_input(grey))
  assert x.shape == (1, 299, 299, 3)
  np.testing.assert_array_equal(x[..., 0], x[..., 2])
  assert x.min() == -1 and x.max() == 1
  with pytest.raises(ValueError, match="1 or 3 channels; got 2"):
    to_input(np.zeros((1, 2, 2, 2), np.uint8))


def test_made_smaller_without_smoothing():
  """At a third of the size each output is one input: the centres coincide."""
  image = np.random.default_rng(0).integers(0, 256, (1, 897, 897, 1), np.uint8)
  expected = image[:, 1::3, 1::3, 0] / 127.5 - 1
  np.testing.assert_allclose(to_input(image)[..., 0], expected, atol=1e-4)


def test_a_missing_misshapen_or_spoilt_tensor_is_named(tensors, tmp_path):
  name = "Mixed_6c.branch7x7dbl_3/scale"
  path = tmp_path / "weights.npz"
  small = dict.fromkeys(tensors, np.zeros(1, np.float32))
  np.savez(path, **small)
  with pytest.raises(ValueError, match=r"Conv2d_1a_3x3/kernel is \(1,\); expected"):
    load_inception(path, SPEC)
  for change, message in (
    ({}, f"lacks the tensor {name}"),
    ({name: np.full(160, np.nan)}, f"{name} holds values that are not finite"),
  ):
    kept = {k: v for k, v in tensors.items() if k != name}
    np.savez(path, **kept, **change)
    with pytest.raises(ValueError, match=message):
      load_inception(path, SPEC)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_what_is_no_such_file_is_refused(tmp_path, content):
  path = tmp_path / "weights.npz"
  with pytest.raises(FileNotFoundError, match=r"config.eval.inception: .*weights.npz"):
    load_inception(path, SPEC)
  path.write_bytes(content)
  with pytest.raises(ValueError, match="no file of Inception's weights"):
    load_inception(path, SPEC)


def test_a_wrong_path_is_told_before_anything_is_trained(tmp_path):
  class Data:
    name = "images"
    spec = SPEC._replace(num_classes=2, num_train=100, num_test=50)
    split = staticmethod(lambda _: pytest.fail("data were read"))

  def make(path):
    options = {"num_samples": 50, "seed": 0, "chunk_size": 50, "inception": str(path)}
    return make_image_evaluation(Data(), pytest.fail, **options)

  with pytest.raises(FileNotFoundError, match=r"config.eval.inception: .*none.npz"):
    make(tmp_path / "none.npz")
  # A plan makes the experiment too: it must not take 90 MB and two seconds.
  weights = tmp_path / "weights.npz"
  weights.write_bytes(b"never read here")
  make(weights)


def test_converter_refuses_other_weights(state_dict):
  kernel = "Conv2d_1a_3x3.conv.weight"
  with pytest.raises(ValueError, match=f"lack the tensor {kernel}"):
    convert({k: v for k, v in state_dict.items() if k != kernel})
  with pytest.raises(ValueError, match=rf"{kernel} is \(3, 3, 3, 31\)"):
    convert({**state_dict, kernel: state_dict[kernel][:31]})
  with pytest.raises(ValueError, match=r"1000 classes apart[^$]*1008"):
    convert({**state_dict, "fc.bias": np.zeros(1000)})


def test_converter_writes_what_is_read(state_dict, tensors, tmp_path, monkeypatch):
  """The command, with PyTorch's reader in place of a file that only it can write."""
  tensor = lambda array: types.SimpleNamespace(numpy=lambda: array)
  load = lambda path, **_: {k: tensor(v) for k, v in state_dict.items()}
  monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load))
  target = tmp_path / "weights.of.2015"
  main(["weights.pth", str(target)])
  found = read_tensors(target)
  assert found.keys() == tensors.keys()
  assert all(np.array_equal(found[name], tensors[name]) for name in tensors)
  monkeypatch.setitem(sys.modules, "torch", None)
  with pytest.raises(SystemExit):
    main(["weights.pth", str(target)])


def test_layout_is_as_documented(state_dict, tensors):
  assert tensors.keys() == tensor_shapes().keys()
  source = state_dict["Mixed_5b.branch5x5_2.conv.weight"]
  assert tensors["Mixed_5b.branch5x5_2/kernel"][1, 2, 3, 4] == source[4, 3, 1, 2]
