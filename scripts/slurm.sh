#!/usr/bin/env bash
# Trains on the GPUs of a Slurm cluster; a run that is out of time goes on by itself.
#
#   sbatch --nodes=2 scripts/slurm.sh python -m experiments.ddpm --config=configs/ddpm.py:cifar10 --workdir=/shared/ddpm
#
# From the checkout, whose .venv every node sees, as it must see the workdir. One task for
# each GPU, and no GPU bound to a task: jax takes the one of the task's number.
#SBATCH --job-name=jgm
#SBATCH --nodes=1
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
set -euo pipefail

if [[ $# -eq 0 ]]; then
  echo "usage: sbatch scripts/slurm.sh python -m experiments.NAME --config=..." >&2
  exit 1
fi
# shellcheck source=/dev/null
. .venv/bin/activate
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # srun does not ask sbatch for it

srun --kill-on-bad-exit=1 "$@" &
run=$! out_of_time=""
# Two minutes before the end srun hands the signal to every task: all save and end.
trap 'out_of_time=yes; kill -TERM "$run"' TERM

status=0
wait "$run" || status=$?
if [[ $out_of_time ]]; then # the signal ended that wait, not the run
  status=0
  wait "$run" || status=$?
  [[ $status -eq 0 ]] || scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
