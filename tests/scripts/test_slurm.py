"""scripts/slurm.sh, with an srun and a scontrol that say what they were asked."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts/slurm.sh"
# As srun does, it hands a signal on to its task; the task is what the test says.
SRUN = """#!/bin/bash
echo "srun $* with $SRUN_CPUS_PER_TASK" >> said
trap 'kill -TERM $task' TERM
bash task & task=$!
wait $task || status=$?
[[ ${status:-0} -le 128 ]] || { wait $task; status=$?; }
exit ${status:-0}
"""
ENDS_BY_ITSELF = "exit {status}"
WAITS = "trap 'echo saved >> said; exit {status}' TERM; echo up >> said\n" + (
  "while true; do sleep 0.05; done"
)
COMMAND = ["python", "-m", "experiments.ddpm", "--config.x=a b"]
STARTED = "srun --kill-on-bad-exit=1 python -m experiments.ddpm --config.x=a b with 8"


def read(file):
  return file.read_text() if file.exists() else ""


@pytest.fixture
def cluster(tmp_path):
  """A function: (task, whether the time runs out) -> the status, and what was said."""
  programs = {
    "srun": SRUN,
    "scontrol": '#!/bin/bash\necho "scontrol $*" >> said\n',
    ".venv/bin/activate": "",
  }
  for name, text in programs.items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    (tmp_path / name).chmod(0o755)
  given = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "8"}
  env = {**os.environ, **given, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
  said = tmp_path / "said"

  def job(task, out_of_time):
    (tmp_path / "task").write_text(task)
    words = [SCRIPT, *COMMAND]
    process = subprocess.Popen(words, cwd=tmp_path, env=env, start_new_session=True)
    try:
      if out_of_time:
        deadline = time.monotonic() + 10
        while "up" not in read(said) and time.monotonic() < deadline:
          time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
      return process.wait(timeout=10), read(said).splitlines()
    finally:
      with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what a broken script leaves behind
      process.wait()

  return job


@pytest.mark.parametrize("status", [0, 1])
def test_a_run_that_ends_is_not_begun_again(cluster, status):
  ended = cluster(ENDS_BY_ITSELF.format(status=status), out_of_time=False)
  assert ended == (status, [STARTED])


def test_a_run_that_is_out_of_time_saves_and_is_queued_again(cluster):
  status, said = cluster(WAITS.format(status=1), out_of_time=True)
  assert status == 1
  assert said == [STARTED, "up", "saved", "scontrol requeue 7"]


def test_a_run_that_ends_in_the_last_minutes_is_not_queued_again(cluster):
  ended = cluster(WAITS.format(status=0), out_of_time=True)
  assert ended == (0, [STARTED, "up", "saved"])


def test_without_a_command_the_usage_is_said():
  done = subprocess.run([SCRIPT], capture_output=True, text=True)
  assert done.returncode == 1 and done.stderr.startswith("usage: sbatch")


def test_there_is_one_task_for_each_gpu_and_a_signal_before_the_end():
  lines = SCRIPT.read_text().splitlines()
  directives = dict(
    re.fullmatch(r"#SBATCH --([a-z-]+)=?(\S*)", line).groups()
    for line in lines
    if line.startswith("#SBATCH")
  )
  assert directives["gpus-per-node"] == directives["ntasks-per-node"]
  # To the shell alone (B:), which hands it on and knows then why the run has ended.
  assert re.fullmatch(r"B:TERM@\d+", directives["signal"])
  assert directives["requeue"] == "" and directives["open-mode"] == "append"
  # Slurm reads none after the first command.
  first = next(i for i, line in enumerate(lines) if line and line[0] != "#")
  assert not any(line.startswith("#SBATCH") for line in lines[first:])
