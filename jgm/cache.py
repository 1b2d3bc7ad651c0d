"""Where jgm keeps what it can make again: prepared data, compiled programs, judges."""

import os
import pathlib


def cache_dir(*parts: str) -> pathlib.Path:
  """A folder under `$JGM_CACHE` (default `~/.cache/jgm`), created when missing.

  Everything in it can be deleted at any time; it is made again when needed.

  Args:
    *parts: the folder's path below the cache, such as `"xla"`.

  Returns:
    The folder's path.
  """
  root = os.environ.get("JGM_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "jgm"
  )
  path = pathlib.Path(root, *parts)
  path.mkdir(parents=True, exist_ok=True)
  return path
