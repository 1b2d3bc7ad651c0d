#!/usr/bin/env bash
# A Cloud TPU VM, or all the machines of a slice of a pod: made, used and deleted.
set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/tpu_vm.sh COMMAND --name=NAME [--zone=ZONE] [--project=PROJECT]
           [--dry_run] ...

  create --type=TYPE [--version=IMAGE] [--spot] [--queued]
  status [--queued]   READY, or what it waits for
  install             copies the last commit to every machine and installs it there
  run -- COMMAND      starts it on every machine; it outlives this one's connection
  tail [--worker=0]   follows what it prints on one machine
  stop [--timeout=180]
                      asks it to save and end; kills it if it has not in so many seconds
  delete [--queued]

--dry_run prints the commands, as a shell would read them, and runs none of them.
--queued waits in Google's queue until there is room: give it to status and delete too.

  pip install -e '.[tfds]'          # here, once for all runs: the data
  python -m jgm.data.prepare cifar10 --data_dir=data
  gcloud storage rsync --recursive data/cifar10 gs://BUCKET/data/cifar10
  tpu="--name=ddpm --zone=us-west4-a"
  scripts/tpu_vm.sh create $tpu --type=v5litepod-16 --spot
  scripts/tpu_vm.sh install $tpu
  scripts/tpu_vm.sh run $tpu -- python -m experiments.ddpm --config=configs/ddpm.py:cifar10 --config.data.data_dir=gs://BUCKET/data --workdir=gs://BUCKET/ddpm
  scripts/tpu_vm.sh tail $tpu
  scripts/tpu_vm.sh delete $tpu

The same `run` goes on where the run was left. A spot machine that was taken away is
gone: delete, create, install, run.
END
}

fail() {
  echo "error: $1 (scripts/tpu_vm.sh --help)" >&2
  exit 1
}

# The words, quoted where a shell would change them.
quoted() {
  local word line=""
  for word in "$@"; do
    case $word in
      "" | *[!a-zA-Z0-9_./:=@%+,-]*)
        word="'$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"
        ;;
    esac
    line+="${line:+ }$word"
  done
  printf '%s\n' "$line"
}

# Runs a command here, or says it.
execute() {
  if [[ $dry_run ]]; then quoted "$@"; else "$@"; fi
}

tpu() {
  execute gcloud compute tpus "$@" "${flags[@]}"
}

on_worker() { # WORKER COMMAND
  tpu tpu-vm ssh "$name" --worker="$1" --command="$2"
}

default_version() {
  case $type in
    v5litepod-*) echo v2-alpha-tpuv5-lite ;;
    v5p-*) echo v2-alpha-tpuv5 ;;
    v6e-*) echo v2-alpha-tpuv6e ;;
    v[234]-*) echo tpu-ubuntu2204-base ;;
    *) fail "--version=IMAGE: which one for --type=$type is not known here" ;;
  esac
}

create() {
  [[ $type ]] || fail "create: --type=TYPE is missing, such as v5litepod-8"
  [[ $version ]] || version=$(default_version)
  if [[ $queued ]]; then
    tpu queued-resources create "$name" --node-id="$name" \
      --accelerator-type="$type" --runtime-version="$version" ${spot:+--spot}
  else
    tpu tpu-vm create "$name" \
      --accelerator-type="$type" --version="$version" ${spot:+--spot}
  fi
}

status() {
  if [[ $queued ]]; then
    tpu queued-resources describe "$name" --format='value(state.state)'
  else
    tpu tpu-vm describe "$name" --format='value(state)'
  fi
}

install() {
  local archive=${TMPDIR:-/tmp}/jgm-$name.tar.gz
  execute git -C "$root" archive --format=tar.gz --output="$archive" HEAD
  tpu tpu-vm scp "$archive" "$name:jgm.tar.gz" --worker=all
  execute rm "$archive"
  # uv brings a Python that is new enough: the images' own is older than jgm's.
  on_worker all "set -e; rm -rf jgm; mkdir jgm; tar -xzf jgm.tar.gz -C jgm; cd jgm; \
export PIP_BREAK_SYSTEM_PACKAGES=1; python3 -m pip install --quiet --user uv; \
python3 -m uv venv --quiet --python 3.12 .venv; \
python3 -m uv pip install --quiet -c constraints.txt -e '.[tpu]' 'etils[epath-gcs]'"
}

run() {
  [[ ${1-} == python && ${2-} == -m && ${3-} == experiments.* ]] ||
    fail "run: -- python -m experiments.NAME ... is missing"
  # The disk of one machine is not seen by the others, and goes when it does.
  [[ " $* " == *" --workdir=gs://"* ]] || fail "run: --workdir=gs://... is missing"
  on_worker all "set -e; cd jgm; . .venv/bin/activate; \
if kill -0 \"\$(cat ~/jgm.pid 2>/dev/null)\" 2>/dev/null; \
then echo 'a run is going on here: stop it first' >&2; exit 1; fi; \
nohup $(quoted "$@") >> ~/jgm.log 2>&1 < /dev/null & echo \$! > ~/jgm.pid"
}

follow() {
  on_worker "$worker" "tail -n 50 -F jgm.log"
}

stop() {
  [[ $timeout =~ ^[1-9][0-9]*$ ]] || fail "stop: --timeout=SECONDS is a whole number"
  on_worker all "if ! kill -TERM \"\$(cat jgm.pid 2>/dev/null)\" 2>/dev/null; \
then echo \"\$(hostname): no run is going on\"; exit; fi; \
for second in \$(seq $timeout); do sleep 1; \
if ! kill -0 \"\$(cat jgm.pid)\" 2>/dev/null; \
then echo \"\$(hostname): ended: \$(tail -n 1 jgm.log)\"; exit; fi; done; \
kill -KILL \"\$(cat jgm.pid)\"; \
echo \"\$(hostname): killed: it had not ended after $timeout s\" >&2; exit 1"
}

delete() {
  if [[ $queued ]]; then
    tpu queued-resources delete "$name" --force
  else
    tpu tpu-vm delete "$name"
  fi
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
flags=(--quiet) # never asks
name="" type="" version="" spot="" queued="" worker=0 timeout=180 dry_run=""

[[ $# -gt 0 ]] || { usage >&2; exit 1; }
command=$1
shift
case $command in
  create | status | install | run | stop | delete) ;;
  tail) command=follow ;;
  -h | --help | help) usage; exit ;;
  *) fail "there is no command $command" ;;
esac
while [[ $# -gt 0 ]]; do
  case $1 in
    --name=*) name=${1#*=} ;;
    --zone=* | --project=*) flags+=("$1") ;;
    --type=*) type=${1#*=} ;;
    --version=*) version=${1#*=} ;;
    --worker=*) worker=${1#*=} ;;
    --timeout=*) timeout=${1#*=} ;;
    --spot) spot=yes ;;
    --queued) queued=yes ;;
    --dry_run) dry_run=yes ;;
    -h | --help) usage; exit ;;
    --) shift; break ;;
    *) fail "there is no flag $1: flags are written --flag=value" ;;
  esac
  shift
done
[[ $name =~ ^[a-z][-a-z0-9]*$ ]] || fail "--name=NAME is missing, of a-z, 0-9 and -"
[[ $# -eq 0 || $command == run ]] || fail "$command takes no command after --"
"$command" "$@"
