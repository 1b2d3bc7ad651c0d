"""`python -m experiments.NAME` with shorter patience and, if asked, a full disk.

`run.py NAME FLAGS...`; JGM_TEST_FILE_BYTES is the largest file that it may write.
"""

import os
import resource
import runpy
import sys

from jgm.cli import processes

processes.HEARTBEAT_SECONDS = 10
processes.MARK_SECONDS = 2
if limit := os.environ.get("JGM_TEST_FILE_BYTES"):
  resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
sys.argv = sys.argv[1:]
runpy.run_module(f"experiments.{sys.argv[0]}", run_name="__main__")
