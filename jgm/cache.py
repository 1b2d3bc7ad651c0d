"""Where jgm keeps what it can make again: prepared data, compiled programs, judges."""

import os
import pathlib
import tempfile


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


def write_whole(path: pathlib.Path, content: bytes) -> None:
  """Writes a file of the cache, whole or not at all, whoever else writes it too.

  Args:
    path: the file, in a folder that is there.
    content: what is to be in it.

  Raises:
    OSError: if it cannot be written; nothing is left of it then.
  """
  with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
    try:
      file.write(content)
      file.flush()
      os.replace(file.name, path)
    except BaseException:
      os.unlink(file.name)
      raise
