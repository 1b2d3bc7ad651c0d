import pytest
from etils import epath

from jgm.cli.errors import UserError
from jgm.cli.flags import parse


def test_the_defaults_name_the_experiment():
  options = parse("ddpm", [])
  assert options.config_spec == "configs/ddpm.py" and options.mode == "train"
  assert options.workdir == epath.Path("runs/ddpm")
  assert parse("ddpm", ["--config=configs/ddpm.py:smoke"]).workdir == epath.Path(
    "runs/ddpm-smoke"
  )


def test_a_bucket_stays_a_bucket():
  workdir = parse("ddpm", ["--workdir=gs://bucket/ddpm"]).workdir
  assert str(workdir / "checkpoints") == "gs://bucket/ddpm/checkpoints"


def test_what_is_sampled_and_the_overrides_are_kept_apart():
  options = parse(
    "ddpm",
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


@pytest.mark.parametrize(
  ("argument", "message"),
  [
    ("--wrkdir=x", 'no flag --wrkdir. Did you mean "workdir"'),
    ("--mode=trian", "train|evaluate|sample"),
    ("--steps=many", "steps"),
    ("--num_samples=0", "num_samples"),
    ("train", "unexpected argument 'train'"),
  ],
)
def test_a_wrong_flag_says_what_is_right(argument, message):
  with pytest.raises(UserError) as error:
    parse("ddpm", [argument])
  assert message in str(error.value)
