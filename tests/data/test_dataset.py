"""What every embedded dataset promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jgm.data import EMBEDDED, DatasetError, make_dataset

embedded = pytest.mark.parametrize("name", EMBEDDED)


def make(name, **options):
  return make_dataset(name, **{"batch_size": 16, "seed": 0, "flip": True, **options})


def run(data, batch, *steps):
  arrays = data.arrays(0, 1)
  return [jax.device_get(batch(arrays, jnp.int32(step))) for step in steps]


def equal(a, b):
  return all(np.array_equal(a[key], b[key]) for key in a)


@embedded
def test_the_contract(name):
  data = make(name)
  arrays = data.arrays(0, 10)
  assert data.arrays(990, 7) is arrays and data.batch_axis is None
  assert data.arrays(0, 1, rows=np.array([2, 5])) is arrays
  assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(arrays))

  batch = jax.jit(data.batch)
  first, again, second, late = run(data, batch, 3, 3, 4, 10**7)
  assert equal(first, again) and not equal(first, second) and not equal(first, late)
  for leaves, number in (
    (first, 16),
    (late, 16),
    (data.split("train"), data.spec.num_train),
    (data.split("test"), data.spec.num_test),
  ):
    assert leaves.keys() == {"x", "label"}  # images and points go by the same name
    x, label = leaves["x"], leaves["label"]
    assert x.shape == (number, *data.spec.shape) and x.dtype == np.float32
    assert label.shape == (number,) and label.dtype == np.int32
    assert label.min() >= 0 and label.max() < data.spec.num_classes
    if data.spec.levels is not None:
      assert x.min() >= data.spec.low and x.max() <= data.spec.high
  assert not np.array_equal(data.split("train")["x"], data.split("test")["x"])
  with pytest.raises(ValueError, match="unknown split"):
    data.split("validation")


@embedded
def test_the_shapes_are_those_of_the_arrays(name):
  data = make(name)
  assert data.shapes(7) == jax.eval_shape(lambda tree: tree, data.arrays(0, 7))


@pytest.mark.parametrize("name", ["digits", "photos", "checkerboard"])
def test_another_seed_gives_another_order_of_the_same_data(name):
  data, other = make(name), make(name, seed=1)
  batches = [run(each, jax.jit(each.batch), 3)[0] for each in (data, other)]
  assert not equal(*batches)
  assert equal(data.split("test"), other.split("test"))


@pytest.mark.parametrize("name", ["digits", "photos", "moons"])
def test_batches_do_not_depend_on_the_number_of_devices(name):
  data = make(name)
  mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
  over_data = NamedSharding(mesh, PartitionSpec("data"))
  everywhere = NamedSharding(mesh, PartitionSpec())
  arrays, step = jax.device_put((data.arrays(0, 1), np.int32(3)), everywhere)
  eight = jax.device_get(jax.jit(data.batch, out_shardings=over_data)(arrays, step))
  one = run(data, jax.jit(data.batch), 3)[0]
  for key in one:
    np.testing.assert_allclose(eight[key], one[key], rtol=1e-6, atol=1e-6)


def test_points_in_the_plane_lie_about_where_the_spec_says():
  for name in ("moons", "rings", "checkerboard", "gaussian_mixture"):
    data = make(name)
    x = data.split("train")["x"]
    assert np.mean((x >= data.spec.low) & (x <= data.spec.high)) > 0.999
    assert np.abs(x).max() > 0.8 * data.spec.high


def test_the_grid_is_the_other_arrangement():
  data = make("gaussian_mixture", arrangement="grid")
  assert data.spec.num_classes == 25
  assert len(np.unique(data.split("train")["label"])) == 25
  with pytest.raises(DatasetError, match="ring, grid"):
    make("gaussian_mixture", arrangement="heap")


def test_the_pair_is_one_of_few_and_one_of_many():
  data = make("gaussian_mixture", arrangement="pair")
  x, label = data.split("train")["x"], data.split("train")["label"]
  np.testing.assert_array_equal(label == 1, x.sum(1) > 0)  # 14 deviations apart
  assert abs(label.mean() - 0.8) < 4 * 0.4 / np.sqrt(len(label))
  assert np.mean((x >= data.spec.low) & (x <= data.spec.high)) > 0.995


def test_a_batch_may_be_larger_than_the_dataset():
  data = make("digits", batch_size=3000, flip=False)
  batch = run(data, jax.jit(data.batch), 5)[0]
  images = batch["x"].reshape(3000, -1)
  assert len(np.unique(images[:1297], axis=0)) == 1297
  assert len(np.unique(images[1297:2594], axis=0)) == 1297


@pytest.mark.parametrize("batch_size", [0, -8])
@embedded
def test_an_empty_batch_is_refused(name, batch_size):
  with pytest.raises(DatasetError, match=f"batch_size is {batch_size}"):
    make(name, batch_size=batch_size)


@embedded
def test_building_reads_nothing(name, monkeypatch):
  def refuse(*_, **__):
    raise AssertionError("something was read")

  monkeypatch.setattr("builtins.open", refuse)
  monkeypatch.setenv("JGM_CACHE", "/dev/null/nowhere")
  data = make(name)
  assert data.spec.shape and isinstance(data.shapes(7), dict)
