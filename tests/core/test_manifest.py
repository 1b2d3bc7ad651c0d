"""The manifest: names, differences, its own hash, and the checksum of an array."""

import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jgm.core import manifest
from jgm.core.manifest import Entry

DTYPES = (
  *("bool", "int8", "uint8", "int16", "uint16", "float16", "bfloat16", "float8_e4m3fn"),
  *("int32", "uint32", "float32", "complex64"),
)


def arbitrary(shape, dtype, seed=0):
  """Arbitrary bits (0 or 1 for bool) of this dtype."""
  generator = np.random.default_rng(seed)
  if dtype == "bool":
    return generator.integers(0, 2, shape).astype(bool)
  dtype = jnp.dtype(dtype)
  bits = generator.bytes(int(np.prod(shape)) * dtype.itemsize)
  return np.frombuffer(bits, dtype).reshape(shape)


def reference_checksum(array):
  """The definition, word by word in Python's integers."""
  size = array.dtype.itemsize
  words = array.reshape(-1).view(np.uint32 if size >= 4 else f"u{size}").tolist()
  total = 0
  for position, word in enumerate(words):
    mixed = (position * 0x9E3779B1 % 2**32) ^ word
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B % 2**32
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 % 2**32
    total += mixed ^ mixed >> 16
  return total % 2**32


@pytest.mark.parametrize("dtype", DTYPES)
def test_checksum_is_its_definition(dtype):
  for shape in [(), (1,), (7,), (3, 1, 5), (2, 3, 2, 2), (0, 3)]:
    array = arbitrary(shape, dtype)
    assert manifest.checksum(array) == reference_checksum(array)
    assert manifest.checksum(array.T) == reference_checksum(np.array(array.T))


def test_checksum_of_many_blocks_is_its_definition():
  for shape in [(70_001, 3), (2, 99_999), (3, 300, 300)]:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert manifest.checksum(array) == reference_checksum(array)


def test_checksum_stays_what_old_checkpoints_hold():
  assert manifest.checksum(np.arange(1000, dtype=np.float32)) == 1985292490


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_flipped_bit_changes_the_checksum(dtype):
  array = arbitrary((3, 4), dtype, seed=1)
  before = manifest.checksum(array)
  data = np.frombuffer(array.tobytes(), np.uint8)
  # A byte of a bool is 0 or 1: only its lowest bit can flip.
  for place in range(0, 8 * data.size, 8 if dtype == "bool" else 1):
    flipped = data.copy()
    flipped[place // 8] ^= 1 << place % 8
    assert manifest.checksum(flipped.view(array.dtype).reshape(3, 4)) != before


def test_checksum_sees_what_moved():
  # Numbers with few significant bits, where a plain weighted sum is blind.
  array = np.repeat(np.float32([0, 1, 2, 4]), 256)
  others = [np.roll(array, 256), array[::-1], np.sort(array)[::-1], 0 * array]
  sums = {manifest.checksum(np.array(x)) for x in [array, *others]}
  assert len(sums) == 4  # the reversed one and the sorted one are the same array


@pytest.mark.parametrize(
  "spec",
  [
    PartitionSpec(),
    PartitionSpec("data"),
    PartitionSpec("model"),
    PartitionSpec(None, "data"),
    PartitionSpec("model", "data"),
    PartitionSpec(("model", "data")),
    PartitionSpec(None, None, "model"),
  ],
)
def test_checksum_does_not_depend_on_the_sharding(spec):
  auto = (jax.sharding.AxisType.Auto,) * 2
  mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=auto)
  for dtype in ("float32", "bfloat16", "complex64"):
    array = arbitrary((8, 12, 6), dtype)
    sharded = jax.device_put(array, NamedSharding(mesh, spec))
    assert manifest.checksum(sharded) == manifest.checksum(array)


class Pair(NamedTuple):
  left: jax.Array
  right: dict


def test_leaves_are_named_by_their_path():
  tree = Pair(jnp.zeros(2), {"down_0": {"kernel": jnp.ones(1)}, "list": (None, 1, {})})
  assert list(manifest.named_leaves(tree)) == [
    "left",
    "right/down_0/kernel",
    "right/list/1",
  ]
  assert list(manifest.named_leaves(tree.left)) == ["value"]
  assert list(manifest.named_leaves(tree.left, "step")) == ["step"]
  assert list(manifest.named_leaves(Pair(0, None), "a")) == ["a/left"]


def test_two_leaves_of_one_name_are_refused():
  with pytest.raises(ValueError, match="both called a/b"):
    manifest.named_leaves({"a/b": 1, "a": {"b": 2}})


def test_the_difference_names_the_first_leaf_and_both_shapes():
  found = {
    "a": Entry((2,), "float32", None, 1),
    "b": Entry((64, 192), "float32", None, 2),
    "c": Entry((2,), "float32"),
    "gone": Entry((), "int32"),
  }
  wanted = {
    "a": Entry((2,), "float32"),
    "b": Entry((32, 96), "float32"),
    "c": Entry((2,), "bfloat16"),
    "new": Entry((3,), "int8"),
  }

  def of(*names):
    pick = lambda entries: {name: entries[name] for name in names if name in entries}
    return manifest.difference(pick(found), pick(wanted))

  assert of("a") is None
  assert of("a", "b") == "b: checkpoint (64, 192), this run (32, 96)"
  assert of("c") == "c: checkpoint (2,) float32, this run (2,) bfloat16"
  assert of("new") == "new: checkpoint has none, this run (3,) int8"
  assert of("gone") == "gone: checkpoint () int32, this run has none"
  assert manifest.difference(found, wanted).startswith("b: ")
  assert manifest.difference(found, wanted).endswith("(3 other leaves differ)")


def sealed_text(**metadata):
  leaves = {"w": Entry((2, 3), "float32", None, 7), "k": Entry((), "key<fry>", "x", 8)}
  return json.dumps(manifest.seal(step=5, metadata=metadata, leaves=leaves))


def test_a_manifest_comes_back_as_it_was():
  body = manifest.unseal(sealed_text(loss=0.1, nothing=None, pair=(1, 2), nan=np.nan))
  assert body.step == 5
  assert body.leaves["w"] == Entry((2, 3), "float32", None, 7)
  assert body.leaves["k"] == Entry((), "key<fry>", "x", 8)
  assert np.isnan(body.metadata.pop("nan"))
  assert body.metadata == {"loss": 0.1, "nothing": None, "pair": [1, 2]}


def test_metadata_with_integer_keys_still_matches_its_hash():
  assert manifest.unseal(sealed_text(by_step={2: 1, 10: 2})).metadata == {
    "by_step": {"2": 1, "10": 2}
  }


def test_metadata_that_is_not_json_is_refused():
  with pytest.raises(TypeError, match="not JSON serializable"):
    sealed_text(array=np.zeros(2))


def test_every_flipped_bit_of_a_manifest_is_seen_or_harmless():
  text = sealed_text(config="abc")
  whole, data = manifest.unseal(text), text.encode()
  for place in range(8 * len(data)):
    flipped = bytearray(data)
    flipped[place // 8] ^= 1 << place % 8
    try:
      assert manifest.unseal(flipped.decode()) == whole
    except ValueError:
      continue


def test_a_later_format_is_not_taken_for_damage(monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(manifest, "FORMAT", manifest.FORMAT + 1)
    text = sealed_text()
  with pytest.raises(manifest.CheckpointError, match="later jgm"):
    manifest.unseal(text)
