import types

import pytest
from etils import epath

from experiments import ddpm
from jgm.cli.errors import UserError
from jgm.cli.flags import help_text, parse
from jgm.cli.run import name_of


def make_guided(config):
  """An experiment whose samples can be asked for by other things than DDPM's."""

  def sample(state, key, n, *, prompt: str, guidance=2.0, top_k: int | None = None):
    return None

  return types.SimpleNamespace(sample=sample)


def refusal(make, *arguments):
  with pytest.raises(UserError) as error:
    parse(make, ["--config=configs/ddpm.py", *arguments])
  return str(error.value)


def test_the_file_names_the_experiment():
  options = parse(ddpm.make, [])
  assert options.experiment == "ddpm" and name_of(make_guided) == "test_flags"
  assert options.config_spec == "configs/ddpm.py" and options.mode == "train"
  assert options.workdir == epath.Path("runs/ddpm")
  smoke = parse(ddpm.make, ["--config=configs/ddpm.py:smoke"])
  assert smoke.workdir == epath.Path("runs/ddpm-smoke")
  assert smoke.command == "python -m experiments.ddpm --config=configs/ddpm.py:smoke"


def test_a_bucket_stays_a_bucket():
  workdir = parse(ddpm.make, ["--workdir=gs://bucket/ddpm"]).workdir
  assert str(workdir / "checkpoints") == "gs://bucket/ddpm/checkpoints"


def test_what_is_sampled_and_the_overrides_are_kept_apart():
  options = parse(
    ddpm.make,
    [
      "--mode=sample",
      "--steps=5",
      "--class_label=3",
      "--config.data.seed=1",
      "--seed=7",
    ],
  )
  assert options.conditions == {"num_steps": 5, "class_label": 3}
  assert options.overrides == ("data.seed=1",) and options.seed == 7


def test_any_keyword_of_sample_is_a_flag():
  arguments = ["--config=configs/ddpm.py", "--mode=sample", "--prompt", "7 stars"]
  options = parse(make_guided, [*arguments, "--guidance=3", "--top_k=none"])
  assert options.conditions == {"prompt": "7 stars", "guidance": 3.0, "top_k": None}
  assert isinstance(options.conditions["guidance"], float)
  help = help_text(make_guided, ["--config=configs/ddpm.py", "--help"])
  assert "--guidance: Sampling: by default 2.0." in help
  assert "--prompt: Sampling: must be given." in help and "--steps" not in help


def test_a_keyword_and_its_shorter_flag_are_one():
  for flag in ("--steps=5", "--num_steps=5"):
    assert parse(ddpm.make, ["--mode=sample", flag]).conditions == {"num_steps": 5}


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (
      ["--prompt=x", "--guidence=2"],
      "there is no flag --guidence. Did you mean 'guidance'? Samples can be asked for "
      "by --prompt, --guidance, --top_k",
    ),
    (["--prompt=x", "--guidance=much"], "--guidance=much: a value of type float"),
    (["--prompt=x", "--top_k=1.5"], "--top_k=1.5: a value of type int is wanted"),
    ([], "--prompt=VALUE must be given"),
  ],
)
def test_a_wrong_condition_says_what_is_right(arguments, message):
  assert message in refusal(make_guided, "--mode=sample", *arguments)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--seed=1"], "--seed is a flag of --mode=sample; did you mean --config.seed?"),
    (["--steps=9"], "did you mean --config.total_steps?"),
    (["--num_steps=9"], "--steps is a flag of --mode=sample"),
    (["--class_label=1"], "--class_label is a flag of --mode=sample"),
    (["--num_samples=1", "--mode=evaluate"], "--config.eval.num_samples?"),
  ],
)
def test_what_only_sampling_takes_is_refused_elsewhere(arguments, message):
  assert message in refusal(ddpm.make, *arguments)


@pytest.mark.parametrize(
  ("argument", "message"),
  [
    ("--wrkdir=x", "there is no flag --wrkdir. Did you mean 'workdir'?"),
    ("--mode=trian", "train|evaluate|sample"),
    ("--num_samples=0", "num_samples"),
    ("train", "unexpected argument 'train'"),
  ],
)
def test_a_wrong_flag_says_what_is_right(argument, message):
  assert message in refusal(ddpm.make, argument)
