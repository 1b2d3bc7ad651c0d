import http.server
import json
import pathlib
import shutil
import sys
import threading
import urllib.parse

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data import DatasetError, make_dataset
from jgm.data.digits import SPEC, prepare_digits
from jgm.data.prepare import main, prepare
from jgm.data.tfds import make_tfds_dataset, quiet


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  """A folder of prepared datasets, which holds the digits."""
  folder = tmp_path_factory.mktemp("tfds")
  prepare_digits(folder)
  return str(folder)


def digits(data_dir, **options):
  options = {"batch_size": 16, "seed": 3, "data_dir": data_dir, "flip": True, **options}
  return make_tfds_dataset("digits", **options)


@pytest.fixture(scope="module")
def in_memory(data_dir):
  """step -> the batch of the digits that live whole on the device."""
  data = digits(data_dir, in_memory=True)
  batch = jax.jit(data.batch)
  return lambda step: batch(data.arrays(0, 1), jnp.int32(step))


def assert_same(batch, expected):
  assert batch.keys() == expected.keys()
  for key, leaf in batch.items():
    np.testing.assert_array_equal(leaf, expected[key])


def test_the_builder_gives_the_spec(data_dir):
  assert digits(data_dir).spec == SPEC


# Whole calls, calls that end early, a jump ahead, back, and a resumed run.
@pytest.mark.parametrize("starts", [[0, 5, 10], [0, 2, 3, 8], [0, 100], [9, 4], [81]])
def test_what_is_read_ahead_is_what_is_in_memory(data_dir, in_memory, starts):
  data = digits(data_dir)
  assert data.batch_axis == 1
  batch = jax.jit(data.batch)
  for first in starts:
    arrays = data.arrays(first, 5)
    assert all(leaf.shape[:2] == (5, 16) for leaf in jax.tree.leaves(arrays))
    assert data.shapes(5) == jax.eval_shape(lambda tree: tree, arrays)
    assert arrays["image"].dtype == np.uint8
    for step in range(first, first + 5):
      assert_same(batch(arrays, jnp.int32(step)), in_memory(step))


def test_rows_that_are_read_apart_are_those_of_the_whole(data_dir):
  data = digits(data_dir)
  whole = data.arrays(7, 3)
  assert "mirrored" in whole
  order = np.random.default_rng(0).permutation(16)
  parts = [np.sort(part) for part in np.split(order, [1, 6])]
  apart = [data.arrays(7, 3, rows) for rows in parts]
  joined = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *apart)
  assert_same(joined, {k: x[:, np.concatenate(parts)] for k, x in whole.items()})
  assert_same(data.arrays(7, 3), whole)  # one process's windows are not another's


@pytest.mark.parametrize("rows", [[], [16], [-1, 2], [3, 2], [2, 2], [[1]]])
def test_rows_that_are_not_of_the_batch_are_refused(data_dir, rows):
  with pytest.raises(ValueError, match="do not ascend within a batch of 16"):
    digits(data_dir).arrays(0, 1, np.array(rows, np.int64))


def test_half_of_the_images_are_mirrored(in_memory, data_dir):
  straight = digits(data_dir, in_memory=True, flip=False)
  batch = jax.jit(straight.batch)
  mirrored = []
  for step in range(40):
    plain = np.asarray(batch(straight.arrays(0, 1), jnp.int32(step))["x"])
    flipped = np.asarray(in_memory(step)["x"])
    same = (plain == flipped).all((1, 2, 3))
    assert (same | (plain[:, :, ::-1] == flipped).all((1, 2, 3))).all()
    mirrored.append(~same)
  assert abs(np.mean(mirrored) - 0.5) < 4 * 0.5 / np.sqrt(640)


def test_the_whole_splits_are_the_digits(data_dir):
  expected = make_dataset("digits", batch_size=1, seed=0)
  for split in ("train", "test"):
    assert_same(digits(data_dir).split(split), expected.split(split))
  with pytest.raises(ValueError, match="unknown split 'valid'"):
    digits(data_dir).split("valid")


@pytest.fixture
def png_builder():
  sys.path.insert(0, str(pathlib.Path(__file__).parent))
  try:
    import png_builder
  finally:
    sys.path.pop(0)
  return png_builder


def test_image_features_are_decoded_without_tensorflow(
  tmp_path, png_builder, monkeypatch, capfd
):
  # as if TensorFlow were there, which this builder does not need
  monkeypatch.setattr("jgm.data.prepare.has_tensorflow", lambda: True)
  with quiet():
    prepare("png_test_set", str(tmp_path))
  data = make_dataset("png_test_set", batch_size=5, seed=0, data_dir=str(tmp_path))
  assert data.spec.shape == (4, 6, 3) and data.spec.levels == 256
  assert (data.spec.num_classes, data.spec.num_train, data.spec.num_test) == (0, 10, 10)
  arrays = data.arrays(0, 2)  # an epoch
  assert capfd.readouterr() == ("", "")
  seen = {image.tobytes() for image in arrays["image"].reshape(10, 4, 6, 3)}
  assert seen == {image.tobytes() for image in png_builder.PIXELS[:10]}
  assert not arrays["label"].any()
  assert len(data.split("test")["x"]) == 10
  assert "tensorflow" not in sys.modules


def read_first(name, data_dir):
  return make_dataset(name, batch_size=4, seed=0, data_dir=data_dir).arrays(0, 1)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "imagenet2012", "mnist:3.0.1"])
def test_a_dataset_that_is_not_prepared_names_the_command(data_dir, name):
  with pytest.raises(DatasetError) as error:
    read_first(name, data_dir)
  command = f"python -m jgm.data.prepare {name} --data_dir={data_dir}"
  assert command in str(error.value) and "pip install -e '.[tfds]'" in str(error.value)


@pytest.mark.parametrize(
  "name, nearest",
  [("mnsit", "mnist"), ("digit", "digits"), ("cifar-10", "cifar10"), ("ring", "rings")],
)
def test_a_misspelt_name_gets_the_nearest_right_one(data_dir, name, nearest):
  with pytest.raises(DatasetError, match=f"did you mean '{nearest}'"):
    read_first(name, data_dir)


def test_the_default_folder_is_tfds_own(data_dir, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", data_dir)
  assert make_tfds_dataset("digits", batch_size=2, seed=0).spec == SPEC


def test_versions_and_configs_are_found(data_dir, tmp_path):
  source = pathlib.Path(data_dir, "digits", "1.0.0")
  for version in ("1.0.0", "9.0.0", "10.0.0"):
    shutil.copytree(source, tmp_path / "mine" / "small" / version)
  info = tmp_path / "mine" / "small" / "9.0.0" / "dataset_info.json"
  info.write_text(info.read_text().replace('"1297"', '"97"'))
  for name, examples in (("mine/small", 1297), ("mine/small:9.0.0", 97)):
    data = make_dataset(name, batch_size=2, seed=0, data_dir=str(tmp_path))
    assert data.spec.num_train == examples
  with pytest.raises(DatasetError, match=r"several configs.*: mine/small"):
    read_first("mine", str(tmp_path))


def test_a_known_name_with_other_contents_is_refused(data_dir, tmp_path):
  shutil.copytree(pathlib.Path(data_dir, "digits"), tmp_path / "mnist")
  with pytest.raises(DatasetError, match=r"mnist in .*\(8, 8, 1\).*\(28, 28, 1\)"):
    read_first("mnist", str(tmp_path))


def test_files_that_need_tensorflow_are_refused(data_dir, tmp_path):
  shutil.copytree(pathlib.Path(data_dir, "digits"), tmp_path / "mine")
  info = tmp_path / "mine" / "1.0.0" / "dataset_info.json"
  info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
  with pytest.raises(DatasetError, match="prepared as tfrecord"):
    read_first("mine", str(tmp_path))


class Bucket(http.server.BaseHTTPRequestHandler):
  """Of Google Cloud Storage's interface, what it takes to list and to read."""

  root: pathlib.Path
  requests: list[str]

  def do_GET(self):
    url = urllib.parse.urlparse(self.path)
    query = urllib.parse.parse_qs(url.query)
    bucket, _, name = url.path.partition("/o")
    name = urllib.parse.unquote(name.lstrip("/"))
    self.requests.append(name)
    if "lent" not in bucket:
      return self.answer(403, b'{"error": {"message": "this bucket is private"}}')
    if name:
      file = self.root / name
      found = file.is_file()
      return self.answer(200 if found else 404, file.read_bytes() if found else b"")
    first, end = (query.get(key, [""])[0] for key in ("startOffset", "endOffset"))
    files = [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
    items = [{"name": file} for file in files if first <= file < end]
    return self.answer(200, json.dumps({"items": items}).encode())

  def answer(self, status, body):
    self.send_response(status)
    self.send_header("content-length", str(len(body)))
    self.send_header("x-goog-generation", "1")
    self.end_headers()
    self.wfile.write(body)

  def log_message(self, *_):
    pass


@pytest.fixture
def bucket(data_dir, tmp_path, monkeypatch):
  """A server of a bucket `lent` that holds the digits; returns what it was asked."""
  handler = type("Lent", (Bucket,), {"root": pathlib.Path(data_dir), "requests": []})
  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
  thread = threading.Thread(target=server.serve_forever)
  thread.start()
  address = f"http://127.0.0.1:{server.server_port}"
  monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", address)
  monkeypatch.setenv("JGM_CACHE", str(tmp_path / "cache"))
  yield handler.requests
  server.shutdown()
  thread.join()
  server.server_close()


def test_a_bucket_is_read_once_and_like_a_folder(bucket, data_dir, in_memory):
  data = digits("gs://lent/")
  assert data.spec == SPEC
  assert not any("array_record" in name for name in bucket)  # a plan needs no examples
  batch = jax.jit(data.batch)
  assert_same(batch(data.arrays(20, 2), jnp.int32(21)), in_memory(21))
  read = [name for name in bucket if "array_record" in name]
  assert len(read) == 2
  assert_same(digits("gs://lent/").split("test"), digits(data_dir).split("test"))
  assert [name for name in bucket if "array_record" in name] == read


def test_what_a_bucket_does_not_hold_is_named(bucket):
  """And prepared here, to be copied there: ArrayRecords are local files."""
  with pytest.raises(DatasetError, match=r"prepare mnist --data_dir=data\n") as error:
    read_first("mnist", "gs://lent")
  assert "rsync --recursive data/mnist gs://lent/mnist" in str(error.value)


def test_a_bucket_without_access_is_an_error(bucket):
  with pytest.raises(DatasetError, match="gs://closed/mnist cannot be read") as error:
    read_first("mnist", "gs://closed")
  assert "this bucket is private" in str(error.value)


def test_the_prepare_command(tmp_path, capsys):
  main(["digits", f"--data_dir={tmp_path}"])
  assert str(tmp_path / "digits" / "1.0.0") in capsys.readouterr().out
  assert digits(str(tmp_path)).spec == SPEC
  install = r"needs TensorFlow.*pip install -e '\.\[tfds\]'"
  with pytest.raises(SystemExit, match=install):
    main(["mnist", f"--data_dir={tmp_path}"])
  with pytest.raises(SystemExit, match="'mnsit': did you mean 'mnist'"):
    main(["mnsit", f"--data_dir={tmp_path}"])
