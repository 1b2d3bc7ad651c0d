"""Finding prepared TFDS datasets, and saying how to get one that is missing."""

import os
import pathlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from jgm.core.choice import nearest
from jgm.data.errors import DatasetError
from jgm.data.no_prompt import NO_PROMPT
from jgm.data.remote import is_remote, mirror
from jgm.data.spec import DataSpec
from jgm.data.toys import TOYS

EMBEDDED = ("digits", "photos", "digits_over_photos", *TOYS)
EMBEDDED_TEXT = ("docs",)
INFO = "dataset_info.json"


class Name(NamedTuple):
  """A dataset as TFDS writes it: `name`, `name/config`, `name/config:1.0.0`."""

  dataset: str
  config: str
  version: str

  def __str__(self) -> str:
    config = f"/{self.config}" if self.config else ""
    return self.dataset + config + (f":{self.version}" if self.version else "")


# A plan needs shapes and has no data: these are known without reading anything.
KNOWN = {
  "mnist": DataSpec((28, 28, 1), 256, -1, 1, 10, 60_000, 10_000),
  "fashion_mnist": DataSpec((28, 28, 1), 256, -1, 1, 10, 60_000, 10_000),
  "kmnist": DataSpec((28, 28, 1), 256, -1, 1, 10, 60_000, 10_000),
  "cifar10": DataSpec((32, 32, 3), 256, -1, 1, 10, 50_000, 10_000),
  "cifar100": DataSpec((32, 32, 3), 256, -1, 1, 100, 50_000, 10_000),
  "svhn_cropped": DataSpec((32, 32, 3), 256, -1, 1, 10, 73_257, 26_032),
}


def parse_name(name: str) -> Name:
  """A dataset's name in its parts.

  Raises:
    DatasetError: if it is not of the form `name[/config][:version]`.
  """
  match = re.fullmatch(r"([\w-]+)(?:/([\w.-]+))?(?::([\d.]+))?", name)
  if not match:
    raise DatasetError(f"bad dataset name {name!r}: it is name[/config][:version]")
  return Name(*(part or "" for part in match.groups()))


def default_data_dir() -> str:
  """Where TFDS keeps datasets: `$TFDS_DATA_DIR` or `~/tensorflow_datasets`."""
  given = os.environ.get("TFDS_DATA_DIR")
  return given or os.path.expanduser("~/tensorflow_datasets")


def find_prepared(name: Name, data_dir: str, *, records: bool = False) -> pathlib.Path:
  """The folder of the newest prepared version; the network is asked only for a URL.

  Args:
    name: the dataset.
    data_dir: where datasets are kept; of a URL, what describes them is copied here.
    records: whether the examples themselves are needed, and copied too.

  Returns:
    The folder that holds `dataset_info.json`.

  Raises:
    DatasetError: if it is not there (names the command that prepares it), or the bucket
      cannot be read.
  """
  if is_remote(data_dir):
    url = f"{data_dir.rstrip('/')}/{name.dataset}"
    folder = mirror(url, suffix=".json")
  else:
    folder = pathlib.Path(data_dir).expanduser() / name.dataset
  found = [path.parent for path in (folder / name.config).glob(f"*/{INFO}")]
  if name.version:
    found = [path for path in found if path.name == name.version]
  if not found:
    raise DatasetError(_not_found(name, data_dir, folder))
  newest = max(found, key=lambda path: [int(x) for x in re.findall(r"\d+", path.name)])
  if records and is_remote(data_dir):
    mirror(url, prefix=f"{newest.relative_to(folder)}/")
  return newest


def _not_found(name: Name, data_dir: str, folder: pathlib.Path) -> str:
  configs = sorted(path.parent.parent.name for path in folder.glob(f"*/*/{INFO}"))
  if configs and not name.config:
    choices = ", ".join(f"{name.dataset}/{config}" for config in configs)
    return f"dataset {name.dataset!r} has several configs in {data_dir}: {choices}"
  prepared = [path.parent.parent.name for path in folder.parent.glob(f"*/*/{INFO}")]
  embedded = (*EMBEDDED, *EMBEDDED_TEXT, NO_PROMPT)
  known = {*embedded, *prepared, *catalogue()}
  if name.dataset not in known:
    return (
      f"{unknown(name.dataset, known)} Embedded: {', '.join(embedded)}; "
      f"prepared in {data_dir}: {', '.join(sorted(prepared)) or 'none'}"
    )
  return (
    f"dataset {str(name)!r} is not prepared in {data_dir}"
    + (" (if there is such a bucket)" if is_remote(data_dir) else "")
    + ". Where there is a network, prepare it with\n  pip install -e '.[tfds]'\n"
    f"{_how_to_prepare(name, data_dir)}\n"
    "(or name the folder that holds it as config.data.data_dir)"
  )


def _how_to_prepare(name: Name, data_dir: str) -> str:
  if not is_remote(data_dir):
    return f"  python -m jgm.data.prepare {name} --data_dir={data_dir}"
  # ArrayRecords are written to files of this machine alone.
  there = f"{data_dir.rstrip('/')}/{name.dataset}"
  return (
    f"  python -m jgm.data.prepare {name} --data_dir=data\n"
    f"  gcloud storage rsync --recursive data/{name.dataset} {there}"
  )


def unknown(dataset: str, known: Iterable[str]) -> str:
  """What is said of a dataset's name that is none; names the nearest one."""
  near = nearest(dataset, known)
  return f"unknown dataset {dataset!r}" + (
    f": did you mean {near!r}?" if near is not None else "."
  )


def catalogue() -> list[str]:
  """The names of the datasets that TFDS can prepare; a list that it ships with."""
  import tensorflow_datasets as tfds

  return tfds.list_builders(with_community_datasets=False)
