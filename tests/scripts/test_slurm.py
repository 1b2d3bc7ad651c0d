"""scripts/slurm.sh, with an srun, a scancel and a scontrol that do as Slurm's do."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from jgm.cli.processes import HEARTBEAT_SECONDS

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts/slurm.sh"
# Two tasks, as the test says. As srun does, it kills them at TERM and, where it is told
# to, when one of them ends badly; it ends with the worst of their statuses.
SRUN = """#!/bin/bash
echo "srun $* with $SRUN_CPUS_PER_TASK" >> said
trap 'xargs kill -KILL < tasks' TERM
task() {
  bash -c 'echo $$ >> tasks; . ./task'
  local status=$?
  echo $status >> statuses
  [[ $status -eq 0 || $srun != *--kill-on-bad-exit=1* ]] || xargs kill -KILL < tasks
}
srun="$*"
for SLURM_PROCID in 0 1; do export SLURM_PROCID; task & done
until wait; do :; done
exit $(sort -n statuses | tail -n 1)
"""
# As scancel does to a step, it hands the signal to the tasks, past srun.
SCANCEL = """#!/bin/bash
echo "scancel $*" >> said
[[ $2 != 7.0 ]] || xargs kill "-${1#--signal=}" < tasks
"""
ENDS_BY_ITSELF = "exit {status}"
# The first takes longer to save than the second.
WAITS = """
trap '((SLURM_PROCID)) || sleep 0.5; echo saved >> said; exit {status}' TERM
echo up >> said
while true; do sleep 0.05; done
"""
COMMAND = ["python", "-m", "experiments.ddpm", "--config.x=a b"]
SRUN_FLAGS = "--kill-on-bad-exit=0 --wait=90"
STARTED = f"srun {SRUN_FLAGS} python -m experiments.ddpm --config.x=a b with 8"
ASKED = [STARTED, "up", "up", "scancel --signal=TERM 7.0", "saved", "saved"]


def read(file):
  return file.read_text() if file.exists() else ""


@pytest.fixture
def cluster(tmp_path):
  """A function: (task, the signal it gets) -> the status, and what was said."""
  programs = {
    "srun": SRUN,
    "scancel": SCANCEL,
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

  def job(task, number=None):
    (tmp_path / "task").write_text(task)
    words = [SCRIPT, *COMMAND]
    process = subprocess.Popen(words, cwd=tmp_path, env=env, start_new_session=True)
    try:
      if number is not None:
        deadline = time.monotonic() + 10
        while read(said).count("up") < 2 and time.monotonic() < deadline:
          time.sleep(0.02)
        process.send_signal(number)
      return process.wait(timeout=10), read(said).splitlines()
    finally:
      with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what a broken script leaves behind
      process.wait()

  return job


@pytest.mark.parametrize("status", [0, 1])
def test_a_run_that_ends_is_not_begun_again(cluster, status):
  assert cluster(ENDS_BY_ITSELF.format(status=status)) == (status, [STARTED])


def test_a_run_that_is_out_of_time_saves_and_is_queued_again(cluster):
  ended = cluster(WAITS.format(status=1), signal.SIGUSR1)
  assert ended == (1, [*ASKED, "scontrol requeue 7"])


def test_a_run_that_ends_in_the_last_minutes_is_not_queued_again(cluster):
  assert cluster(WAITS.format(status=0), signal.SIGUSR1) == (0, ASKED)


def test_a_job_that_is_cancelled_is_not_queued_again(cluster):
  ended = cluster(WAITS.format(status=1), signal.SIGTERM)
  assert ended == (-signal.SIGTERM, [STARTED, "up", "up"])


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
  # To the shell alone (B:), which hands it on and knows then why the run has ended; not
  # TERM, which it gets too when the job is cancelled.
  (seconds,) = re.fullmatch(r"B:USR1@(\d+)", directives["signal"]).groups()
  # JAX ends by itself those that a dead one leaves: srun waits for that, and no longer
  # than there is time.
  assert HEARTBEAT_SECONDS < int(SRUN_FLAGS.split("--wait=")[1]) < int(seconds)
  assert directives["requeue"] == "" and directives["open-mode"] == "append"
  # Slurm reads none after the first command.
  first = next(i for i, line in enumerate(lines) if line and line[0] != "#")
  assert not any(line.startswith("#SBATCH") for line in lines[first:])
