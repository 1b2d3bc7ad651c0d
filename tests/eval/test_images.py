"""The evaluation of images: what it draws, what it reads, what it refuses."""

import jax
import numpy as np
import pytest

from jgm.core.experiment import LogProb, Scalar
from jgm.data import make_dataset
from jgm.data.spec import DataSpec
from jgm.eval.evaluation import make_evaluation
from jgm.eval.images import make_image_evaluation

OPTIONS = {"num_samples": 40, "seed": 0, "chunk_size": 16, "net_steps": 20}


class Generator:
  """Training digits, in another order for each key; counts what is asked of it."""

  def __init__(self, data):
    self.images = data.split("train")["x"]
    self.asked = []

  def __call__(self, state, key, n):
    self.asked.append(n)
    return self.images[np.asarray(jax.random.permutation(key, len(self.images)))[:n]]


@pytest.fixture(scope="module")
def data():
  return make_dataset("digits", batch_size=16, seed=0)


@pytest.fixture
def inception(monkeypatch, tmp_path):
  """A file, and instead of Inception a projection of what it is given."""
  project = np.random.default_rng(0).normal(size=(64, 5))
  reads = []

  def load(path, spec):
    reads.append(path)
    return lambda images: images.reshape(len(images), -1) @ project

  monkeypatch.setattr("jgm.eval.images.load_inception", load)
  path = tmp_path / "weights.npz"
  path.touch()
  return str(path), reads


def test_only_what_is_measured_is_drawn(data, inception):
  sizes = {"train": 120, "test": 50}
  data = data._replace(
    spec=data.spec._replace(num_train=120, num_test=50),
    split=lambda s, split=data.split: {k: x[: sizes[s]] for k, x in split(s).items()},
  )
  generator = Generator(data)
  path, reads = inception
  make_image_evaluation(data, generator, **OPTIONS)(None, jax.random.key(0))
  # Of 10,000 samples 50 are compared, with as many held-out digits.
  many = {**OPTIONS, "num_samples": 10_000}
  make_image_evaluation(data, generator, **many)(None, jax.random.key(0))
  assert generator.asked == [40, 50]
  some = {**OPTIONS, "num_samples": 70}
  evaluate = make_image_evaluation(data, generator, inception=path, **some)
  assert reads == []
  found = evaluate(None, jax.random.key(0))
  assert generator.asked[2:] == [70] and reads == [path]
  assert "N=70 samples against the statistics of all 120 " in found.scalars["fid"].note
  assert "N=50 against 50" in found.scalars["precision"].note


def test_the_splits_are_read_once_for_all_evaluations(data):
  reads = []

  def split(name):
    reads.append(name)
    return data.split(name)

  counted = data._replace(split=split)
  evaluate = make_image_evaluation(counted, Generator(data), **OPTIONS)
  assert reads == []
  first = evaluate(None, jax.random.key(0))
  again = evaluate(None, jax.random.key(0))
  assert sorted(reads) == ["test", "train"]
  assert first.scalars == again.scalars
  for caption, picture in first.images.items():
    np.testing.assert_array_equal(picture, again.images[caption])


def test_the_nearest_training_images_are_shown_below(data, monkeypatch):
  shown = []
  monkeypatch.setattr(
    "jgm.eval.images.neighbour_pairs", lambda *pair, **_: shown.append(pair)
  )
  make_image_evaluation(data, Generator(data), **OPTIONS)(None, jax.random.key(0))
  ((samples, nearest),) = shown
  assert len(samples) == 20
  np.testing.assert_array_equal(samples, nearest)  # this generator replays them


def test_the_pictures_and_the_experiments_own(data):
  seen = {}

  def trajectory(state, key):
    seen["trajectory"] = key
    return np.zeros((3, 2, 8, 8, 1)), ["a", "b", "c"]

  def pictures(state, key):
    seen["pictures"] = key
    return {"my own": np.zeros((4, 4, 3), np.uint8)}

  def scalars(state, key):
    seen["scalars"] = key
    return {"accuracy_at_2": Scalar(0.5)}

  def log_prob(state, batch, key):
    seen["log_prob"] = key
    return -np.ones(len(batch["x"]), np.float32)

  found = make_image_evaluation(
    data,
    Generator(data),
    log_prob=LogProb(log_prob, "bound", "mass"),
    trajectory=trajectory,
    pictures=pictures,
    scalars=scalars,
    **OPTIONS,
  )(None, jax.random.key(0))
  names = ["samples", "how samples arise", "nearest training images", "my own"]
  assert list(found.images) == names
  assert next(iter(found.scalars)) == "bits_per_dim_bound"
  assert list(found.scalars)[-1] == "accuracy_at_2"
  data_of = [jax.random.key_data(key).tobytes() for key in seen.values()]
  assert len(set(data_of)) == 4


SQUARE = DataSpec((8, 8, 1), 17, num_classes=10, num_train=1000, num_test=500)


@pytest.mark.parametrize(
  "spec, options, words",
  [
    (SQUARE, {"num_samples": 5}, r"num_samples=5 on mine leaves 5 .*20 are the least"),
    (SQUARE._replace(num_test=19), {}, r"leaves 19 .*\(19 are held out"),
    (SQUARE._replace(num_train=38), {}, r"leaves 19 .*38 for training"),
    (SQUARE._replace(shape=(2,)), {}, r"mine has examples of shape \[2\]"),
    (SQUARE._replace(shape=(8, 8, 2)), {}, r"images, \[H, W, 1 or 3\]"),
    (SQUARE._replace(shape=(8, 6, 1), num_classes=0), {}, "no labels .* 8x6"),
  ],
)
def test_what_must_fail_fails_before_training(data, spec, options, words):
  def refuse(*_):
    raise AssertionError("data were read")

  mine = data._replace(name="mine", spec=spec, split=refuse)
  make_image_evaluation(mine._replace(spec=SQUARE), refuse, **OPTIONS)
  with pytest.raises(ValueError, match=words):
    make_image_evaluation(mine, refuse, **{**OPTIONS, **options})


def test_one_function_evaluates_images_and_points(data):
  """An experiment that runs on both passes its config's section, whatever the data."""
  moons = make_dataset("moons", batch_size=500, seed=3)
  draw = lambda state, key, n: moons.batch({}, np.int32(1))["x"][:n]
  evaluate = make_evaluation(moons, draw, **OPTIONS, inception=None)
  found = evaluate(None, jax.random.key(0))
  assert "energy_distance" in found.scalars and "N=40" in found.scalars["recall"].note
  found = make_evaluation(data, Generator(data), **OPTIONS)(None, jax.random.key(0))
  assert "confident_share" in found.scalars
  with pytest.raises(ValueError, match=r"inception is for images: .* moons"):
    make_evaluation(moons, draw, **OPTIONS, inception="weights.npz")
  with pytest.raises(FileNotFoundError, match=r"no file weights.npz"):
    make_evaluation(data, draw, **OPTIONS, inception="weights.npz")
  line = moons._replace(name="a line", spec=moons.spec._replace(shape=(1,)))
  with pytest.raises(ValueError, match=r"a line has examples of shape \[1\]"):
    make_evaluation(line, draw, **OPTIONS)
