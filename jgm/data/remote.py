"""Copies of prepared datasets that are kept in a bucket, on this machine's disk.

TFDS reads buckets through TensorFlow, which is needed for nothing else. Tensorstore,
which comes with orbax, reads them too and says soon when it cannot; a copy makes every
later read as fast as the disk.
"""

import concurrent.futures
import hashlib
import os
import pathlib
import tempfile
from typing import Any

from jgm.cache import cache_dir
from jgm.data.errors import DatasetError

TIMEOUT_SECONDS = 30  # for each answer of the bucket, its retries included


def is_remote(data_dir: str) -> bool:
  """Whether a folder's name is a URL, such as `gs://bucket/folder`."""
  return "://" in data_dir


def mirror(url: str, *, prefix: str = "", suffix: str = "") -> pathlib.Path:
  """A folder of this machine with a copy of the files below a URL.

  Files that were copied before are not read again; each appears whole or not at all.

  Args:
    url: `gs://bucket/folder`, of one dataset.
    prefix: copies only files whose names, below the URL, begin with this.
    suffix: copies only files whose names end with this.

  Returns:
    The folder, in jgm's cache.

  Raises:
    DatasetError: if the bucket cannot be read; says why and what to do.
  """
  digest = hashlib.sha256(url.encode()).hexdigest()[:16]
  folder = cache_dir("tfds-remote", digest, url.rstrip("/").rsplit("/", 1)[-1])
  try:
    store = _open(url.rstrip("/") + "/")
    names = [key.decode() for key in store.list().result(TIMEOUT_SECONDS)]
    if not names:  # so it says of a closed bucket too; a read says which it is
      store.read("dataset_info.json").result(TIMEOUT_SECONDS)
    names = [n for n in names if n.startswith(prefix) and n.endswith(suffix)]
    wanted = [n for n in names if not (folder / n).exists()]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
      list(threads.map(lambda name: _copy(store, name, folder / name), wanted))
  except (ValueError, TimeoutError) as error:  # what tensorstore raises
    raise DatasetError(
      f"{url} cannot be read: {error or 'no answer'}. Check the address, the network, "
      "and that this machine may read the bucket (`gcloud auth application-default "
      "login`); or copy the folder here and name it as data_dir"
    ) from error
  return folder


def _open(url: str) -> Any:
  import tensorstore

  retries = {"max_retries": 3, "initial_delay": "500ms", "max_delay": "2s"}
  context = tensorstore.Context({"gcs_request_retries": retries})
  return tensorstore.KvStore.open(url, context=context).result(TIMEOUT_SECONDS)


def _copy(store: Any, name: str, target: pathlib.Path) -> None:
  target.parent.mkdir(parents=True, exist_ok=True)
  content = store.read(name).result(20 * TIMEOUT_SECONDS).value
  with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
    file.write(content)
  os.replace(file.name, target)
