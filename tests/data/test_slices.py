"""A batch cut into batches of several steps: which rows go where, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from einops import rearrange
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jgm.data.slices import shuffled_slices, slice_size, slices


def batch_of(n):
  x = jnp.arange(n * 6.0).reshape(n, 2, 3)
  return {"x": x, "label": jnp.arange(n)}


@pytest.mark.parametrize("n", [1, 2, 4, 12])
def test_slice_i_has_every_nth_row_from_the_ith(n):
  batch = batch_of(12)
  cut = slices(batch, n)
  assert cut["x"].shape == (n, 12 // n, 2, 3) and cut["label"].shape == (n, 12 // n)
  for i in range(n):
    np.testing.assert_array_equal(cut["label"][i], np.arange(12)[i::n])
  expected = rearrange(np.asarray(batch["x"]), "(b n) h w -> n b h w", n=n)
  np.testing.assert_array_equal(cut["x"], expected)


def test_a_device_keeps_the_rows_that_it_has():
  """Four devices hold 3 rows each; of every slice they hold one of these."""
  mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
  rows = jax.device_put(jnp.arange(12), NamedSharding(mesh, PartitionSpec("data")))
  by_slice = NamedSharding(mesh, PartitionSpec(None, "data"))
  cut = jax.jit(lambda rows: slices({"x": rows}, 3)["x"], out_shardings=by_slice)(rows)
  held = {
    shard.device: set(np.asarray(shard.data)) for shard in rows.addressable_shards
  }
  for shard in cut.addressable_shards:
    assert set(np.asarray(shard.data).ravel()) == held[shard.device]


def test_shuffled_each_row_is_in_one_slice_with_all_of_its_leaves(key):
  cut = shuffled_slices({"x": jnp.arange(12.0), "label": jnp.arange(12)}, 3, key)
  assert cut["x"].shape == cut["label"].shape == (3, 4)
  np.testing.assert_array_equal(cut["x"], cut["label"])
  np.testing.assert_array_equal(np.sort(cut["label"], axis=None), np.arange(12))
  assert (cut["label"] != slices({"label": jnp.arange(12)}, 3)["label"]).any()


@pytest.mark.parametrize("n", [5, 24, 0, -2])
def test_a_batch_that_cannot_be_cut_so_is_refused(n):
  with pytest.raises(ValueError, match=f"12 cannot be cut into n={n} equal"):
    slices(batch_of(12), n)


def test_the_message_names_the_number_as_the_config_does():
  assert slice_size(12, 3, what="config.n_critic") == 4
  with pytest.raises(ValueError, match=r"a multiple of config\.n_critic"):
    slice_size(12, 5, what="config.n_critic")
  with pytest.raises(ValueError, match="cannot be cut"):
    slice_size(0, 1)
