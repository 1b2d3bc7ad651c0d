"""One of two processes that save and restore together, as those of a pod do.

Run by test_checkpoint.py: `pod_checkpoint.py DIRECTORY PORT PROCESS`.
"""

import pathlib
import sys

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from jgm.core import checkpoint, storage

directory, port, process = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(f"localhost:{port}", 2, process)
mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
specs = {"sharded": PartitionSpec("data"), "whole": PartitionSpec()}
host = {
  "sharded": np.random.default_rng(0).normal(size=(8, 500)).astype(np.float32),
  "whole": np.arange(7, dtype=np.int32),
}
state = {
  name: jax.make_array_from_callback(
    array.shape,
    NamedSharding(mesh, specs[name]),
    lambda index, array=array: array[index],
  )
  for name, array in host.items()
}
like = jax.tree.map(
  lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding),
  state,
)
for step in (1, 2, 2):
  checkpoint.save(directory, state, step=step, metadata={"step": step})
assert checkpoint.steps(directory) == [1, 2]


def goes_back(reason):
  said: list[str] = []
  restored = checkpoint.restore(directory, like, warn=said.append)
  assert restored.step == 1 and restored.metadata == {"step": 1}
  assert len(said) == (process == 0) and all(reason in line for line in said), said
  for name, array in restored.state.items():
    assert array.sharding == state[name].sharding
    for shard in array.addressable_shards:
      np.testing.assert_array_equal(shard.data, host[name][shard.index])


def refuse_the_newest(path, wanted):
  if path.name == "00000002_1":
    raise OSError("this process cannot read it")
  return read_arrays(path, wanted)


read_arrays = storage.read_arrays
if process == 1:
  storage.read_arrays = refuse_the_newest
goes_back("another process cannot read it")
storage.read_arrays = read_arrays

if process == 0:
  for path in (directory / "00000002_1" / "arrays").rglob("d/*"):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
multihost_utils.sync_global_devices("damaged")
goes_back("is damaged")
print("went back twice")
