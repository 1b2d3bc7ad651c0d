import pytest

from jgm.cli.config import differing_keys, flatten, load_config, restore_config
from jgm.cli.errors import UserError

SPEC = "configs/ddpm.py:smoke"


def test_overrides_keep_their_types():
  config = load_config(
    SPEC,
    [
      "optimizer.learning_rate=2",
      "total_steps=7",
      "model.channel_multipliers=(1,2,4)",
      "model.attention_resolutions=4",
      "data.flip=true",
      "optimizer.clip_norm=none",
      "data.data_dir=gs://bucket/data",
    ],
  )
  assert config.optimizer.learning_rate == 2.0
  assert isinstance(config.optimizer.learning_rate, float)
  assert config.total_steps == 7
  assert config.model.channel_multipliers == (1, 2, 4)
  assert config.model.attention_resolutions == (4,)
  assert config.data.flip is True
  assert config.optimizer.clip_norm is None
  assert config.data.data_dir == "gs://bucket/data"


@pytest.mark.parametrize(
  ("override", "message"),
  [
    ("optimizer.learning_rat=1", "Did you mean 'optimizer.learning_rate'"),
    ("optimiser.learning_rate=1", "Did you mean 'optimizer.learning_rate'"),
    ("total_step=1", "Did you mean 'total_steps'"),
    ("total_steps=1e4", "total_steps=1e4: a value of type int is wanted"),
    ("total_steps=ten", "a value of type int is wanted"),
    ("data.flip=maybe", "a value of type bool is wanted"),
    ("model.channel_multipliers=('a',)", "a value such as (1,) is wanted"),
    ("model.channel_multipliers=(1.5,)", "a value such as (1,) is wanted"),
    ("model.channel_multipliers=(1,", "a value such as (1,) is wanted"),
    ("model.attention_resolutions=(4,", "a value of type tuple is wanted"),
    ("optimizer=3", "is a section: set one of optimizer.accumulate_steps"),
    ("seed.x=3", "seed is a value, not a section"),
    ("seed", "--config.seed has no value"),
  ],
)
def test_a_wrong_override_says_what_is_right(override, message):
  with pytest.raises(UserError) as error:
    load_config(SPEC, [override])
  assert message in str(error.value)


def test_whole_numbers_are_floats_where_all_of_the_default_are():
  spec = "configs/guided_diffusion.py:smoke"
  for text, value in {"(0,1,2)": (0.0, 1.0, 2.0), "(0,0.5)": (0.0, 0.5)}.items():
    scales = load_config(spec, [f"eval.scales={text}"]).eval.scales
    assert scales == value and all(isinstance(scale, float) for scale in scales)
  with pytest.raises(UserError, match=r"a value such as \(0\.0, .*\) is wanted"):
    load_config(spec, ["eval.scales=(0,True)"])


@pytest.mark.parametrize(("wrong", "right"), [("dddpm", "ddpm"), ("bandits", "bandit")])
def test_a_missing_file_is_named(wrong, right):
  with pytest.raises(UserError, match=rf"Did you mean 'configs/{right}\.py'"):
    load_config(f"configs/{wrong}.py")


def test_what_is_no_config_is_said():
  with pytest.raises(UserError, match="has no get_config"):
    load_config("configs/base.py")


def test_a_missing_preset_is_named():
  with pytest.raises(UserError, match=r"no preset 'smok': there are .*smoke, photos"):
    load_config("configs/ddpm.py:smok")


def test_what_decides_the_numbers_may_not_differ():
  old = load_config(SPEC).to_dict()
  new = load_config(
    SPEC, ["total_steps=99", "log.every_steps=1", "parallel.strategy=pmap"]
  )
  assert differing_keys(old, new.to_dict()) == []
  new = load_config(SPEC, ["model.channels=64", "seed=3"])
  assert differing_keys(old, new.to_dict()) == [
    "model.channels: 8 there, 64 here",
    "seed: 0 there, 3 here",
  ]


def test_a_runs_config_comes_back_as_it_was():
  import json

  config = load_config(SPEC, ["model.channel_multipliers=(1,2,4)", "ema_decay=0.5"])
  stored = json.loads(json.dumps(config.to_dict()))
  restored = restore_config(SPEC, stored, ["eval.num_samples=7"])
  assert flatten(restored) == flatten(config) | {"eval.num_samples": 7}
  with pytest.raises(UserError, match=r"model\.channels: 8 there, 9 here"):
    restore_config(SPEC, stored, ["model.channels=9"])
