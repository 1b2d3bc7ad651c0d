#!/usr/bin/env bash
# Trains on the GPUs of a Slurm cluster; a run that is out of time goes on by itself.
#
#   python -m jgm.data.prepare cifar10 --data_dir=/shared/data   # once, with a network
#   sbatch --nodes=2 scripts/slurm.sh python -m experiments.ddpm --config=configs/ddpm.py:cifar10 --config.data.data_dir=/shared/data --workdir=/shared/ddpm
#   scancel --signal=TERM JOB.0   # saves and ends; without --signal it ends unsaved
#
# From the checkout, whose .venv every node sees, as it must the data and the workdir.
# One task for each GPU, no GPU bound to a task: jax takes the one of the task's number.
#SBATCH --job-name=jgm
#SBATCH --nodes=1
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
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

# Two minutes before the end the tasks are told, not srun, which kills them at a signal.
# The shell itself is told by USR1: TERM comes when the job is cancelled.
out_of_time=""
trap 'out_of_time=yes; scancel --signal=TERM "$SLURM_JOB_ID.0" || true' USR1

# All that saved end with 1, none of them because of another; those that outlive a dead
# one for longer than jax lets them are killed.
srun --kill-on-bad-exit=0 --wait=90 "$@" &
run=$! status=0
wait "$run" || status=$?
if [[ $out_of_time ]]; then # the signal ended that wait, not the run
  status=0
  wait "$run" || status=$?
  [[ $status -eq 0 ]] || scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
