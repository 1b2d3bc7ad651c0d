"""What each `--mode` does."""

from jgm.cli.console import (
  print_message,
  print_results,
  print_texts,
  print_warnings,
)
from jgm.cli.flags import Options
from jgm.cli.log import EvaluationLog
from jgm.cli.opening import existing_run, run_to_train
from jgm.cli.plan import plan
from jgm.cli.processes import is_first, start_processes, wait_for_all
from jgm.cli.publish import publish
from jgm.cli.run import Make, Run, evaluate, restore_whole
from jgm.cli.sample import sample
from jgm.cli.train import train
from jgm.xla import configure_jax


def run_command(options: Options, make: Make) -> None:
  """Does what a command line says.

  Args:
    options: the command line.
    make: config -> Experiment.
  """
  configure_jax()
  if options.mode == "plan":
    plan(options, make)
    return
  start_processes(*options.processes, saves_when_asked=options.mode == "train")
  if options.mode == "train":
    train(run_to_train(options, make), options.profile_steps)
    return
  run = existing_run(options.workdir, make, options.overrides)
  if options.mode == "sample":
    sample(run, options)
  else:
    _evaluate(run)
  wait_for_all("all is written")


def _evaluate(run: Run) -> None:
  restored = restore_whole(run, print_message)
  print_message(f"evaluating at step {restored.step}")
  evaluations = evaluate(run, restored.state)
  if not is_first():
    return
  log = EvaluationLog(run.folder.path)
  where = publish(run, log, evaluations, restored.state, restored.step)
  print_texts(evaluations)
  print_results([evaluation.scalars for evaluation in evaluations], where=where)
  print_warnings(evaluations)
