"""Checkpoints: what is saved comes back bit for bit, or an error says why not."""

import contextlib
import json
import logging
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jgm.core import checkpoint, manifest, storage
from jgm.core.checkpoint import CheckpointDamaged, CheckpointError, CheckpointMismatch
from jgm.core.state import new_state

DTYPES = (
  *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int4"),
  *("float16", "bfloat16", "float32", "float8_e4m3fn", "float8_e5m2", "complex64"),
)
HERE = pathlib.Path(__file__).parent


class Extra(NamedTuple):
  chains: jax.Array
  nothing: None
  empty: tuple


def bits(leaf):
  leaf = jax.random.key_data(leaf) if manifest.is_key(leaf) else leaf
  return np.asarray(leaf).tobytes()


def same(tree, other):
  """Whether two trees have the same structure, dtypes, shapes and bits."""
  leaves, others = jax.tree.leaves(tree), jax.tree.leaves(other)
  return jax.tree.structure(tree) == jax.tree.structure(other) and all(
    (a.shape, a.dtype, bits(a)) == (b.shape, b.dtype, bits(b))
    for a, b in zip(leaves, others, strict=True)
  )


def shapes(tree):
  return jax.eval_shape(lambda: tree)


def small(step):
  generator = np.random.default_rng(step)
  return {
    "a": jnp.asarray(generator.normal(size=(50, 40)), jnp.float32),
    "b": {"c": jnp.arange(step, step + 7, dtype=jnp.int8), "d": jnp.array(step)},
    "key": jax.random.key(step),
  }


LIKE = shapes(small(0))
TX = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))


def train_state(key, width=3):
  params = {"down_0": {"kernel": jax.random.normal(key, (2, width))}}
  extra = Extra(jnp.ones((4, 2), jnp.bfloat16), None, ())
  return new_state(key, params, TX.init(params), ema=True, extra=extra)


def overwrite(path, change):
  data = bytearray(path.read_bytes())
  path.write_bytes(change(data))


def flip(place, bit=0):
  def change(data):
    data[place % len(data)] ^= 1 << bit
    return data

  return change


def files(folder):
  return sorted(path for path in folder.rglob("*") if path.is_file())


def refuse(directory, *names):
  """Damages the arrays of these checkpoints."""
  for name in names:
    for path in (directory / name / "arrays").rglob("d/*"):
      overwrite(path, flip(path.stat().st_size // 2))


@pytest.fixture
def two(tmp_path):
  """A folder with good checkpoints of steps 10 and 20."""
  for step in (10, 20):
    checkpoint.save(tmp_path, small(step), step=step, metadata={"loss": step / 7})
  return tmp_path


# --- what is saved comes back --------------------------------------------------------


def test_every_dtype_comes_back_bit_for_bit(tmp_path, capfd):
  payload = np.array([0x7FC00001, 0x80000000, 0xFF800000, 1], np.uint32)
  state = {name: jnp.arange(-6, 6).reshape(3, 4).astype(name) for name in DTYPES}
  state |= {
    "nan, -0, -inf, denormal": jnp.asarray(payload.view(np.float32)),
    "scalar": jnp.array(0.1),
    "numpy": np.arange(3, dtype=np.float32),
    "no rows": jnp.zeros((0, 3), jnp.bfloat16),
    "threefry": jax.random.split(jax.random.key(1), (2, 3)),
    "rbg": jax.random.key(2, impl="rbg"),
    "raw": jax.random.PRNGKey(3),
  }
  checkpoint.save(tmp_path, state, step=3, metadata={"a": (1, None)})
  restored = checkpoint.restore(tmp_path, shapes(state))
  assert same(state, restored.state)
  assert (restored.step, restored.metadata) == (3, {"a": [1, None]})
  assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seeds", [(), (3,)])
def test_a_train_state_comes_back_and_its_step_can_be_donated(tmp_path, key, seeds):
  make = jax.vmap(train_state) if seeds else train_state
  state = jax.jit(make)(jax.random.split(key, seeds) if seeds else key)

  @jax.jit
  def grads(state):
    return jax.tree.map(lambda x: jnp.sin(7 * x), state.params)

  def step(state):
    update = jax.vmap(TX.update) if seeds else TX.update
    updates, opt_state = update(grads(state), state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return state.replace(step=state.step + 1, params=params, opt_state=opt_state)

  step = jax.jit(step, donate_argnums=0)
  state = step(state)
  checkpoint.save(tmp_path, state, step=1)
  like = shapes(state)
  straight = step(state)
  assert state.params["down_0"]["kernel"].is_deleted()
  resumed = checkpoint.restore(tmp_path, like).state
  assert same(step(resumed), straight)


def test_a_state_may_be_one_array_or_none(tmp_path):
  for step, state in enumerate([jnp.arange(3), {}, jnp.zeros((0, 2))]):
    checkpoint.save(tmp_path, state, step=step)
    assert same(checkpoint.restore(tmp_path, shapes(state)).state, state)


def test_what_is_no_array_is_refused_by_name(tmp_path):
  for leaf in (np.zeros(2), 3, "text", jnp.sin):
    with pytest.raises(TypeError, match=r"params/w is a .* not a jax array"):
      checkpoint.save(tmp_path, {"params": {"w": leaf}}, step=1)
  assert checkpoint.steps(tmp_path) == []


def test_the_file_format_is_plain_arrays_by_name(tmp_path, key):
  import orbax.checkpoint as ocp

  checkpoint.save(tmp_path, train_state(key), step=7)
  with ocp.PyTreeCheckpointer() as checkpointer:
    plain = checkpointer.restore(tmp_path / "00000007" / "arrays")
  assert type(plain) is dict
  assert plain["params/down_0/kernel"].shape == (2, 3)
  assert plain["opt_state/1/0/mu/down_0/kernel"].shape == (2, 3)
  assert plain["key"].tolist() == [0, 0]


def test_orbax_says_nothing_however_much_is_logged(tmp_path, caplog):
  with caplog.at_level(logging.INFO, logger="absl"):
    checkpoint.save(tmp_path, small(1), step=1)
    assert same(checkpoint.restore(tmp_path, LIKE).state, small(1))
    assert caplog.records == []
    assert logging.getLogger("absl").level == logging.INFO


def test_one_field_is_read_alone(tmp_path, key):
  state = train_state(key)
  checkpoint.save(tmp_path, state, step=7, metadata={"config": "abc"})
  like = shapes(state)
  restored = checkpoint.restore(tmp_path, like.ema_params, field="ema_params")
  assert same(restored.state, state.ema_params)
  assert restored.metadata == {"config": "abc"}
  restored = checkpoint.restore(tmp_path, like.step, field="step")
  assert same(restored.state, state.step)
  wider = jax.eval_shape(lambda key: train_state(key, 9), key).ema_params
  with pytest.raises(CheckpointMismatch, match="ema_params/down_0/kernel: checkpoint"):
    checkpoint.restore(tmp_path, wider, field="ema_params")
  with pytest.raises(
    CheckpointMismatch, match="ema/down_0/kernel: checkpoint has none"
  ):
    checkpoint.restore(tmp_path, like.ema_params, field="ema")


def mesh(devices):
  auto = (jax.sharding.AxisType.Auto,) * 2
  return jax.make_mesh(
    (devices // 2 or 1, min(devices, 2)),
    ("data", "model"),
    axis_types=auto,
    devices=jax.devices()[:devices],
  )


@pytest.mark.parametrize("write", [8, 1])
def test_written_on_one_mesh_and_read_on_another(tmp_path, write):
  state = {
    "w": jax.random.normal(jax.random.key(0), (8, 6)),
    "keys": jax.random.split(jax.random.key(1), 8),
    "n": jnp.array(3),
    "no rows": jnp.zeros((0, 4)),
  }
  specs = {
    "w": PartitionSpec("data", "model"),
    "keys": PartitionSpec("data"),
    "n": PartitionSpec(),
    "no rows": PartitionSpec(None, "model"),
  }

  def shardings(devices):
    return jax.tree.map(lambda spec: NamedSharding(mesh(devices), spec), specs)

  checkpoint.save(tmp_path, jax.device_put(state, shardings(write)), step=1)
  for read in (1, 2, 8):
    like = jax.tree.map(
      lambda leaf, sharding: jax.ShapeDtypeStruct(
        leaf.shape, leaf.dtype, sharding=sharding
      ),
      state,
      shardings(read),
    )
    restored = checkpoint.restore(tmp_path, like).state
    assert same(restored, state)
    for name, sharding in shardings(read).items():
      assert restored[name].sharding.is_equivalent_to(sharding, restored[name].ndim)


# --- another model -------------------------------------------------------------------


def test_another_width_depth_or_dtype_is_an_error_at_once(two):
  wider = {**LIKE, "a": jax.ShapeDtypeStruct((50, 41), jnp.float32)}
  checkpoint.save(two, {**small(5), "a": jnp.zeros((50, 41))}, step=25)
  cases = [
    ({**LIKE}, r"00000025 does not fit .* a: checkpoint \(50, 41\), .* \(50, 40\)$"),
    ({**wider, "key": LIKE["b"]["d"]}, r"key: .* \(\) key<fry>, this run \(\) int32$"),
    ({"a": LIKE["a"]}, r"a: .* \(3 other leaves differ\)"),
    ({**wider, "b": {"c": LIKE["b"]["c"]}}, r"b/d: .* \(\) int32, this run has none$"),
    (
      {**wider, "e": LIKE["a"]},
      r"e: checkpoint has none, this run \(50, 40\) float32$",
    ),
  ]
  # Step 20 fits the first; to go back to it would be to load the wrong run in silence.
  for like, message in cases:
    with pytest.raises(CheckpointMismatch, match=message):
      checkpoint.restore(two, like)


# --- damage --------------------------------------------------------------------------


def outcome(folder, step):
  """Restores this step alone: "damaged", or "same" with bits that must be the same."""
  try:
    restored = checkpoint.restore(folder, LIKE, step=step)
  except CheckpointDamaged:
    return "damaged"
  assert same(restored.state, small(step)), "restored other bits in silence"
  assert restored.metadata == {"loss": step / 7}
  return "same"


def test_no_flipped_byte_is_restored_in_silence(two, tmp_path_factory):
  generator = np.random.default_rng(0)
  outcomes = {}
  for path in files(two / "00000020"):
    whole = path.read_bytes()
    # Every part of the file: 20 places spread over it and 5 arbitrary ones.
    places = [
      *np.linspace(0, len(whole) - 1, 20),
      *generator.integers(len(whole), size=5),
    ]
    for place in places:
      path.write_bytes(flip(int(place), int(generator.integers(8)))(bytearray(whole)))
      outcomes.setdefault(path.relative_to(two).parts[1], []).append(outcome(two, 20))
    path.write_bytes(whole)
  assert outcome(two, 20) == "same"
  assert outcomes["manifest"].count("damaged") >= 20
  assert outcomes["arrays"].count("damaged") >= 20


@pytest.mark.parametrize("change", ["remove", "truncate", "empty"])
def test_no_lost_file_is_restored_in_silence(two, change):
  seen = []
  for path in files(two / "00000020"):
    whole = path.read_bytes()
    if change == "remove":
      path.unlink()
    else:
      path.write_bytes(whole[: len(whole) // 2] if change == "truncate" else b"")
    seen.append(outcome(two, 20))
    path.write_bytes(whole)
  assert seen.count("damaged") >= 3


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(two):
  refuse(two, "00000020")
  said = []
  restored = checkpoint.restore(two, LIKE, warn=said.append)
  assert restored.step == 10
  assert same(restored.state, small(10))
  [line] = said
  assert str(two / "00000020") in line and "is damaged" in line and "Going back" in line


def test_by_default_damage_is_told_to_the_log(two, caplog):
  refuse(two, "00000020")
  checkpoint.restore(two, LIKE)
  assert "00000020 is damaged" in caplog.text


@pytest.mark.parametrize("text", ["", "{}", "[]", "\x00", '{"sha256": 1, "body": {}}'])
def test_a_damaged_manifest_is_damage(two, text):
  (two / "00000020/manifest/manifest.json").write_text(text)
  said = []
  restored = checkpoint.restore(two, LIKE, warn=said.append)
  assert (restored.step, restored.metadata) == (10, {"loss": 10 / 7})
  assert len(said) == 1


def test_a_folder_under_another_name_is_damage(two):
  (two / "00000020").rename(two / "00000030")
  said = []
  assert checkpoint.restore(two, LIKE, warn=said.append).step == 10
  assert "of step 20" in said[0]


def test_when_none_is_whole_it_is_an_error(two):
  refuse(two, "00000010", "00000020")
  with pytest.raises(
    CheckpointDamaged, match=r"(?s)00000020.*00000010.*none to go back"
  ):
    checkpoint.restore(two, LIKE, warn=lambda _: None)
  assert checkpoint.steps(two) == [10, 20]


def test_an_array_that_was_changed_with_its_checkpoint_format_intact(two):
  """What orbax alone restores in silence: other bits, written by orbax itself."""
  arrays = {
    name: jax.random.key_data(leaf) if manifest.is_key(leaf) else leaf
    for name, leaf in manifest.named_leaves(small(20)).items()
  }
  sealed = json.loads(storage.read_manifest(two / "00000020"))
  shutil.rmtree(two / "00000020")
  arrays["a"] = arrays["a"].at[3, 4].multiply(1 + 2**-22)
  storage.write(two / "00000020", arrays, sealed)
  with pytest.raises(CheckpointDamaged, match="a is not what was written"):
    checkpoint.restore(two, LIKE, step=20)


def test_no_checkpoint_is_an_error_that_says_so(two, tmp_path):
  with pytest.raises(CheckpointError, match="no checkpoint of step 15 in"):
    checkpoint.restore(two, LIKE, step=15)
  with pytest.raises(CheckpointError, match=r"no checkpoint in .*/nowhere"):
    checkpoint.restore(tmp_path / "nowhere", LIKE)
  assert checkpoint.steps(tmp_path / "nowhere") == []


def test_no_permission_and_no_memory_are_not_damage(two, monkeypatch):
  def fail(error):
    def read_arrays(*_):
      raise error

    monkeypatch.setattr(storage, "read_arrays", read_arrays)

  fail(PermissionError("no"))
  with pytest.raises(CheckpointError, match="cannot read") as caught:
    checkpoint.restore(two, LIKE)
  assert caught.type is CheckpointError
  fail(MemoryError())
  with pytest.raises(MemoryError):
    checkpoint.restore(two, LIKE)


# --- which ones stay -----------------------------------------------------------------


def test_the_newest_and_the_protected_stay(tmp_path):
  for step in range(0, 60, 10):
    checkpoint.save(tmp_path, {"a": jnp.array(step)}, step=step, protect={10})
  assert checkpoint.steps(tmp_path) == [10, 40, 50]
  for step in (51, 52):
    checkpoint.save(tmp_path, {"a": jnp.array(step)}, step=step, max_to_keep=5)
  assert checkpoint.steps(tmp_path) == [10, 40, 50, 51, 52]
  checkpoint.save(tmp_path, {"a": jnp.array(0)}, step=60, max_to_keep=1)
  assert checkpoint.steps(tmp_path) == [60]
  with pytest.raises(ValueError, match="max_to_keep is 0"):
    checkpoint.save(tmp_path, {}, step=70, max_to_keep=0)


def test_a_later_one_that_was_refused_goes_with_the_next_save(two):
  refuse(two, "00000020")
  checkpoint.save(two, small(15), step=15, metadata={"loss": 15 / 7})
  assert checkpoint.steps(two) == [10, 15]


def test_a_step_saved_again_replaces_itself(two):
  for again in (1, 2):
    checkpoint.save(two, small(20), step=20, metadata={"again": again})
    assert checkpoint.steps(two) == [10, 20]
    restored = checkpoint.restore(two, LIKE)
    assert (restored.step, restored.metadata) == (20, {"again": again})
  assert len(list(two.iterdir())) == 2
  refuse(two, "00000020_2")
  checkpoint.save(two, small(20), step=20, metadata={"loss": 20 / 7})
  assert outcome(two, 20) == "same"


# --- saves that do not end -----------------------------------------------------------


def run(script, *commands):
  """Runs the script beside this file once per command, together; what each printed."""
  env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
  with contextlib.ExitStack() as stack:
    processes = []
    for command in commands:
      process = subprocess.Popen(
        [sys.executable, str(HERE / script), *map(str, command)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
      )
      stack.enter_context(process)
      stack.callback(process.kill)
      processes.append(process)
    outputs = [process.communicate(timeout=120) for process in processes]
  for process, (_, err) in zip(processes, outputs, strict=True):
    assert process.returncode == 0, err
    assert "absl" not in err and "Exception" not in err, err
  return [out for out, _ in outputs]


def test_a_save_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
  """With `max_to_keep=1`, where the new one and the old one are all there is."""

  def written(step):
    generator = np.random.default_rng(step)
    a = generator.normal(size=(50, 40)).astype(np.float32)
    return {"a": a, "b": np.int32(step)}

  run("killed_save.py", (tmp_path, 10))
  like = {
    name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    for name, leaf in written(0).items()
  }
  found, leftovers = [], 0
  for number, folder in enumerate(sorted(tmp_path.glob("killed_*"))):
    leftovers += len(list(folder.iterdir())) > 1
    said = []
    restored = checkpoint.restore(folder, like, warn=said.append)
    assert said == [], "what is half-written must not pass for a checkpoint"
    assert same(restored.state, written(restored.step))
    found.append(restored.step)
    if number % 2:
      checkpoint.clean_up(folder)
      assert [path.name for path in folder.iterdir()] == [f"{restored.step:08d}"]
    checkpoint.save(folder, written(3), step=3, max_to_keep=1)
    assert [path.name for path in folder.iterdir()] == ["00000003"]
  assert set(found) == {1, 2} and leftovers >= 7


@pytest.mark.parametrize("limit", [0, 300, 4000])
def test_a_full_disk_is_an_error_that_names_the_folder(two, limit):
  state = {**small(30), "a": jax.random.bits(jax.random.key(0), (9000,))}
  allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
  # No file may grow beyond the limit: the write is refused, as on a full disk.
  resource.setrlimit(resource.RLIMIT_FSIZE, (limit, allowed[1]))
  try:
    with pytest.raises(CheckpointError, match=f"step 30 in {two}: .*File too large"):
      checkpoint.save(two, state, step=30)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
  assert sorted(path.name for path in two.iterdir()) == ["00000010", "00000020"]
  assert outcome(two, 20) == outcome(two, 10) == "same"


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(CheckpointError, match=r"cannot write .*/file/run: NotADirectory"):
    checkpoint.save(tmp_path / "file" / "run", small(1), step=1)


def test_two_processes_save_and_restore_together(tmp_path):
  with socket.socket() as free:
    free.bind(("localhost", 0))
    port = free.getsockname()[1]
  commands = [(tmp_path, port, process) for process in (0, 1)]
  outputs = run("pod_checkpoint.py", *commands)
  assert [out.splitlines()[-1] for out in outputs] == ["went back twice"] * 2
  # What two processes wrote, one reads.
  like = {
    "sharded": jax.ShapeDtypeStruct((8, 500), jnp.float32),
    "whole": jax.ShapeDtypeStruct((7,), jnp.int32),
  }
  restored = checkpoint.restore(tmp_path, like, step=1).state
  expected = np.random.default_rng(0).normal(size=(8, 500)).astype(np.float32)
  chex.assert_trees_all_equal(restored, {"sharded": expected, "whole": np.arange(7)})


def test_in_a_bucket_a_file_written_last_says_what_is_complete(tmp_path, monkeypatch):
  monkeypatch.setattr(storage, "_in_bucket", lambda _: True)
  renames = []
  monkeypatch.setattr(pathlib.Path, "rename", lambda *args: renames.append(args))
  for step in (1, 2, 3):
    checkpoint.save(tmp_path, small(step), step=step)
  assert renames == []
  assert checkpoint.steps(tmp_path) == [2, 3]
  (tmp_path / "00000003" / "commit_success.txt").unlink()  # killed while it wrote
  assert checkpoint.restore(tmp_path, LIKE).step == 2
  checkpoint.clean_up(tmp_path)
  assert [path.name for path in tmp_path.iterdir()] == ["00000002"]


# --- years later ---------------------------------------------------------------------


def golden():
  """What `tests/core/golden_checkpoint` holds."""
  return {
    "step": jnp.array(12, jnp.int32),
    "key": jax.random.wrap_key_data(jnp.array([3, 4], jnp.uint32), impl="threefry2x32"),
    "params": {"kernel": jnp.arange(6, dtype=jnp.float32).reshape(2, 3) / 8},
    "extra": (jnp.array([1.5, -2], jnp.bfloat16), jnp.zeros((0, 2)), jnp.array([True])),
  }


def test_a_checkpoint_of_format_1_stays_readable(tmp_path):
  said = []
  restored = checkpoint.restore(
    HERE / "golden_checkpoint", shapes(golden()), warn=said.append
  )
  assert same(restored.state, golden())
  assert (restored.step, restored.metadata, said) == (12, {"written": "format 1"}, [])
  # What is written now is the same manifest, so that the older program reads it too.
  checkpoint.save(tmp_path, golden(), step=12, metadata={"written": "format 1"})
  old, new = (
    json.loads(storage.read_manifest(folder / "00000012"))
    for folder in (HERE / "golden_checkpoint", tmp_path)
  )
  assert old == new
