"""How the seconds before a first step are told apart; nothing is trained."""

import json
import pathlib

import pytest

from benchmarks import first_step
from benchmarks.first_step_worker import covered, phases


def test_a_moment_counts_once():
  assert covered([]) == 0
  assert covered([(0, 4), (1, 2), (3, 6), (8, 9)]) == 7
  assert covered([(8, 9), (3, 6), (1, 2), (0, 4)]) == 7


def test_what_is_compiled_while_tracing_is_compilation():
  events = [
    ("jaxpr_trace_duration", (0.0, 10.0)),
    ("jaxpr_trace_duration", (1.0, 3.0)),  # a jitted function within
    ("backend_compile_duration", (4.0, 6.0)),
    ("jaxpr_to_mlir_module_duration", (10.0, 11.0)),
    ("backend_compile_duration", (11.0, 31.0)),
    ("cache_retrieval_time_sec", (11.0, 12.0)),
  ]
  assert phases(events) == {"tracing": 9.0, "compile": 22.0}


def test_a_cold_start_has_the_data_and_no_programs(tmp_path, monkeypatch):
  kept = tmp_path / "kept"
  for part in ("xla", "tfds"):
    (kept / part).mkdir(parents=True)
    (kept / part / "file").touch()
  monkeypatch.setattr(first_step, "cache_dir", lambda: kept)
  for _ in range(2):  # the second finds the first one's links
    caches = first_step.caches_in(tmp_path / "cold")
  cache = pathlib.Path(caches["JGM_CACHE"])
  assert (cache / "tfds" / "file").exists() and not (cache / "xla").exists()
  assert not list(pathlib.Path(caches["JGM_CACHE"]).glob("xla*"))


def test_a_start_is_a_process_whose_last_answer_counts(tmp_path, monkeypatch):
  monkeypatch.setattr(first_step, "cache_dir", lambda: tmp_path / "kept")
  (tmp_path / "kept").mkdir()
  (tmp_path / "says.py").write_text(
    "import json, sys\n"
    "job = json.loads(sys.argv[1])\n"
    "print('a library talks')\n"
    "print(json.dumps({'wall': job['answer']}))\n"
    "sys.exit(job['code'])\n"
  )
  monkeypatch.setenv("PYTHONPATH", str(tmp_path))
  job = "jgm", "says", {"answer": 3.0, "code": 0}
  assert first_step.start(job, tmp_path / "cache") == json.loads('{"wall": 3.0}')
  with pytest.raises(RuntimeError, match="says ended"):
    first_step.start(("jgm", "says", {"answer": 3.0, "code": 1}), tmp_path / "cache")
