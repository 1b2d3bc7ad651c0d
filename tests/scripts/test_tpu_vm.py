"""What scripts/tpu_vm.sh would run, and what it does on a machine that plays a TPU."""

import os
import pathlib
import subprocess
import time

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts/tpu_vm.sh"
ROOT = str(SCRIPT.parents[1])
HERE = ("--name=small", "--zone=us-west4-a", "--project=mine")
ASKED = ["--quiet", "--zone=us-west4-a", "--project=mine"]
RUN = ["python", "-m", "experiments.ddpm", "--workdir=gs://bucket/ddpm"]


def call(*arguments, **options):
  words = [SCRIPT, *arguments]
  return subprocess.run(words, capture_output=True, text=True, **options)


def words_of(line):
  """A line's words, as the shell reads them."""
  said = subprocess.check_output(["bash", "-c", f"printf '%s\\0' {line}"], text=True)
  return said.split("\0")[:-1]


def planned(*arguments):
  """The commands of a dry run, in words, without the flags that all of them have."""
  command, *rest = arguments
  done = call(command, *HERE, "--dry_run", *rest, check=True)
  commands = [words_of(line) for line in done.stdout.splitlines()]
  for words in commands:
    if words[0] == "gcloud":
      assert words[-3:] == ASKED, words
      del words[-3:]
  return commands


def remote(*arguments):
  """What would be run on the machines, by the last command of a dry run."""
  return planned(*arguments)[-1][-1].removeprefix("--command=")


TPU_VM = ["gcloud", "compute", "tpus", "tpu-vm"]
QUEUE = ["gcloud", "compute", "tpus", "queued-resources"]


@pytest.mark.parametrize(
  ("arguments", "command"),
  [
    (
      ["create", "--type=v5litepod-8"],
      [
        *TPU_VM,
        *["create", "small", "--accelerator-type=v5litepod-8"],
        "--version=v2-alpha-tpuv5-lite",
      ],
    ),
    (
      ["create", "--type=v6e-16", "--spot", "--queued"],
      [
        *QUEUE,
        *["create", "small", "--node-id=small", "--accelerator-type=v6e-16"],
        *["--runtime-version=v2-alpha-tpuv6e", "--spot"],
      ],
    ),
    (
      ["create", "--type=v4-8", "--version=image"],
      [*TPU_VM, "create", "small", "--accelerator-type=v4-8", "--version=image"],
    ),
    (["status"], [*TPU_VM, "describe", "small", "--format=value(state)"]),
    (
      ["status", "--queued"],
      [*QUEUE, "describe", "small", "--format=value(state.state)"],
    ),
    (
      ["tail", "--worker=3"],
      [*TPU_VM, "ssh", "small", "--worker=3", "--command=tail -n 50 -F jgm.log"],
    ),
    (["delete"], [*TPU_VM, "delete", "small"]),
    (["delete", "--queued"], [*QUEUE, "delete", "small", "--force"]),
  ],
)
def test_a_dry_run_says_the_command(arguments, command):
  assert planned(*arguments) == [command]


def test_install_sends_the_last_commit_to_every_machine():
  pack, send, forget, install = planned("install")
  archive = pack[-2].removeprefix("--output=")
  assert pack[:4] == ["git", "-C", ROOT, "archive"] and pack[-1] == "HEAD"
  assert send == [*TPU_VM, "scp", archive, "small:jgm.tar.gz", "--worker=all"]
  assert forget == ["rm", archive]
  assert install[:6] == [*TPU_VM, "ssh", "small"] and install[6] == "--worker=all"
  assert "tar -xzf jgm.tar.gz -C jgm" in install[7]
  assert install[7].endswith("-c constraints.txt -e '.[tpu]' 'etils[epath-gcs]'")


def test_what_a_dry_run_says_is_what_is_run(tmp_path):
  program = tmp_path / "gcloud"
  program.write_text('#!/bin/sh\nprintf "%s\\0" gcloud "$@" > "$0.words"\n')
  program.chmod(0o755)
  path = f"{tmp_path}:{os.environ['PATH']}"
  arguments = ["--", *RUN, '--config.x=it\'s a "$HOME" & more']
  call("run", *HERE, *arguments, env={"PATH": path}, check=True)
  ran = (tmp_path / "gcloud.words").read_text().split("\0")[:-1]
  assert ran == [*planned("run", *arguments)[-1], *ASKED]


def is_running(process):
  """Whether there is such a process, and it is more than a status nobody asked for."""
  shown = subprocess.run(["ps", "-o", "stat=", "-p", f"{process}"], capture_output=True)
  return shown.stdout.strip()[:1] not in (b"", b"Z")


@pytest.fixture
def machine(tmp_path, request):
  """A home as `install` leaves it, whose python says its words and waits.

  At TERM it saves and ends, or does what the test says.
  """
  folder = tmp_path / "jgm/.venv/bin"
  folder.mkdir(parents=True)
  on_term = getattr(request, "param", "echo saved; exit 1")
  (folder / "activate").write_text(f"PATH={folder}:$PATH\n")
  (folder / "python").write_text(
    f"#!/bin/bash\ntrap '{on_term}' TERM\n"
    "printf '<%s>' \"$@\"; echo\nwhile true; do sleep 0.05; done\n"
  )
  (folder / "python").chmod(0o755)

  def on_it(command):
    words, env = ["bash", "-c", command], {**os.environ, "HOME": str(tmp_path)}
    return subprocess.run(
      words, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=20
    )

  yield on_it
  on_it("kill -KILL $(cat jgm.pid)")


def test_a_run_outlives_its_connection_and_ends_when_asked(machine, tmp_path):
  name = '--config.x=it\'s a "$HOME" & more'
  started = machine(remote("run", "--", *RUN, name))
  assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
  log, said = tmp_path / "jgm.log", "".join(f"<{word}>" for word in [*RUN[1:], name])
  deadline = time.monotonic() + 10
  while log.read_text() != f"{said}\n" and time.monotonic() < deadline:
    time.sleep(0.02)
  assert log.read_text() == f"{said}\n"
  again = machine(remote("run", "--", *RUN))
  assert again.returncode == 1 and "stop it first" in again.stderr
  stopped = machine(remote("stop"))
  assert stopped.returncode == 0 and stopped.stdout.endswith(": ended: saved\n")
  assert log.read_text() == f"{said}\nsaved\n"
  stopped = machine(remote("stop"))
  assert stopped.returncode == 0 and stopped.stdout.endswith(": no run is going on\n")
  assert machine(remote("run", "--", *RUN)).returncode == 0


@pytest.mark.parametrize("machine", ["echo no"], indirect=True)
def test_a_run_that_does_not_end_when_asked_is_killed(machine, tmp_path):
  assert machine(remote("run", "--", *RUN)).returncode == 0
  process, log = int((tmp_path / "jgm.pid").read_text()), tmp_path / "jgm.log"
  deadline = time.monotonic() + 10
  while "experiments" not in log.read_text() and time.monotonic() < deadline:
    time.sleep(0.02)
  stopped = machine(remote("stop", "--timeout=1"))
  assert stopped.returncode == 1 and stopped.stdout == ""
  assert stopped.stderr.endswith(": killed: it had not ended after 1 s\n")
  while is_running(process) and time.monotonic() < deadline:
    time.sleep(0.02)
  assert not is_running(process) and log.read_text().endswith("no\n")


def test_three_minutes_to_end_unless_told_otherwise():
  assert "seq 180)" in remote("stop") and "seq 7)" in remote("stop", "--timeout=7")


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["launch"], "there is no command launch"),
    (["delete"], "--name=NAME is missing"),
    (["delete", "--name=a b"], "--name=NAME is missing"),
    (["delete", "--nmae=a"], "there is no flag --nmae=a"),
    (["delete", "--name", "a"], "flags are written --flag=value"),
    (["create", "--name=a"], "--type=TYPE is missing"),
    (["create", "--name=a", "--type=v99-8"], "--version=IMAGE"),
    (["run", "--name=a"], "-- python -m experiments.NAME ... is missing"),
    (["run", "--name=a", "--", *RUN[:3]], "--workdir=gs://... is missing"),
    (["stop", "--name=a", "--timeout=1m"], "--timeout=SECONDS is a whole number"),
    (["delete", "--name=a", "--", "ls"], "takes no command"),
  ],
)
def test_a_mistake_is_one_line(arguments, message):
  done = call(arguments[0], "--dry_run", *arguments[1:])
  assert done.returncode == 1 and done.stdout == ""
  assert message in done.stderr and done.stderr.count("\n") == 1


def test_help_is_there():
  assert call("--help", check=True).stdout.startswith("usage: scripts/tpu_vm.sh")
  assert call().returncode == 1
