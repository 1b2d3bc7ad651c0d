"""The small classifiers: right on data they have not seen, made again bit for bit."""

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from jgm.eval import classifier_training, network_cache
from jgm.eval.classifier import rotation_task, train_classifier
from jgm.eval.classifier_training import shifted


@pytest.fixture(scope="module")
def crosses():
  """Upright and slanted crosses in noise, at random places: not linearly separable."""
  rng = np.random.default_rng(0)
  marks = np.array(
    [[[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[1, 0, 1], [0, 1, 0], [1, 0, 1]]]
  )
  labels = rng.integers(0, 2, 600)
  images = 0.2 * rng.normal(size=(600, 8, 8, 1))
  for image, label, (row, column) in zip(
    images, labels, rng.integers(0, 6, (600, 2)), strict=True
  ):
    image[row : row + 3, column : column + 3, 0] += marks[label]
  return images.astype(np.float32), labels


def train(images, labels, **options):
  options = {"kind": "judge", "num_classes": 2, "seed": 0, "steps": 100, **options}
  return train_classifier(images, labels, name="crosses", cached=False, **options)


@pytest.mark.parametrize("kind", ["features", "judge"])
def test_learns_what_a_linear_classifier_cannot(crosses, kind):
  images, labels = crosses
  net = train(images[:400], labels[:400], kind=kind)
  linear = LogisticRegression(max_iter=200).fit(
    images[:400].reshape(400, -1), labels[:400]
  )
  assert linear.score(images[400:].reshape(200, -1), labels[400:]) < 0.75
  assert net.accuracy(images[400:], labels[400:]) > 0.9
  features = net.features(images[:400])
  assert np.mean(features**2) == pytest.approx(1.0, abs=1e-4)


def test_same_arguments_give_the_same_bits_and_another_seed_another_net(crosses):
  images, labels = crosses
  first, again, other = (train(images[:400], labels[:400], seed=s) for s in (0, 0, 1))
  jax.tree.map(np.testing.assert_array_equal, first.variables, again.variables)
  assert not np.array_equal(first.features(images), other.features(images))


def test_any_number_of_images_gives_the_same_rows(crosses):
  images, labels = crosses
  net = train(images[:400], labels[:400])
  whole = net.probabilities(images[:130])
  np.testing.assert_allclose(net.probabilities(images[:3]), whole[:3], rtol=1e-5)
  np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (9, 13, 2), (2, 3, 1)])
@pytest.mark.parametrize("kind", ["features", "judge"])
def test_any_shape_will_do(kind, shape):
  net = classifier_training.KINDS[kind](num_classes=7)
  images = jax.ShapeDtypeStruct((5, *shape), np.float32)
  apply = lambda images: net.init_with_output(jax.random.key(0), images)[0]
  logits, features = jax.eval_shape(apply, images)
  assert logits.shape == (5, 7) and features.shape == (5, features.shape[1])


def test_the_two_nets_differ_in_build():
  """Not only in seed: no kernel of one has the shape of one of the other."""
  image = jax.ShapeDtypeStruct((1, 8, 8, 1), np.float32)
  shapes = [
    {
      leaf.shape
      for leaf in jax.tree.leaves(
        jax.eval_shape(net(10).init, jax.random.key(0), image)
      )
      if len(leaf.shape) > 1
    }
    for net in classifier_training.KINDS.values()
  ]
  assert not shapes[0] & shapes[1]


def test_constant_images_give_finite_numbers():
  images, labels = np.ones((400, 8, 8, 1)), np.arange(400) % 2
  net = train(images, labels)
  assert np.isfinite(net.features(images)).all()
  assert np.isfinite(net.probabilities(1e6 * images)).all()


@pytest.fixture
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv("JGM_CACHE", str(tmp_path))
  return tmp_path / "judges"


def test_cached_net_is_read_and_a_damaged_one_trained_again(cache, crosses):
  images, labels = crosses
  options = {"kind": "judge", "num_classes": 2, "seed": 0, "steps": 3}
  options["name"] = "name/config:1.0.0"  # as TFDS writes it, and no folder of the cache
  made = train_classifier(images, labels, **options)
  (path,) = cache.iterdir()
  content, time = path.read_bytes(), path.stat().st_mtime_ns
  read = train_classifier(images, labels, **options)
  assert path.stat().st_mtime_ns == time
  jax.tree.map(np.testing.assert_array_equal, made.variables, read.variables)
  for damaged in (
    content[:-1],
    b"",
    bytes([content[200] ^ 1]).join((content[:200], content[201:])),
  ):
    path.write_bytes(damaged)
    again = train_classifier(images, labels, **options)
    jax.tree.map(np.testing.assert_array_equal, made.variables, again.variables)
    assert path.read_bytes() == content


def test_cache_tells_data_labels_seeds_and_recipes_apart(cache, crosses, monkeypatch):
  images, labels = crosses
  monkeypatch.setattr("jgm.eval.classifier.train_variables", lambda *_: {})
  options = {"kind": "judge", "num_classes": 2, "seed": 0, "steps": 3, "name": "x"}
  other = images.copy()
  other[5, 1, 1] += 1e-3
  for data, label, change in (
    (images, labels, {}),
    (other, labels, {}),
    (images, 1 - labels, {}),
    (images, labels, {"seed": 1}),
    (images, labels, {"kind": "features"}),
    (images, labels, {"steps": 4}),
    (images, labels, {"num_classes": 3}),
    (images, labels, {}),
  ):
    train_classifier(data, label, **{**options, **change})
  assert len(list(cache.iterdir())) == 7


def test_nothing_is_left_behind_when_a_write_fails(cache, monkeypatch):
  def fail(*_):
    raise OSError("no space left")

  monkeypatch.setattr("os.replace", fail)
  tree = network_cache.load_or_make("name", lambda: {"a": np.ones(2)})
  np.testing.assert_array_equal(tree["a"], 1)
  assert list(cache.iterdir()) == []


def test_rotation_task_turns_each_image_by_each_quarter():
  images = np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)
  turned, turns = rotation_task(images)
  for image, turn, source in zip(
    turned, turns, np.tile(images, (4, 1, 1, 1)), strict=True
  ):
    np.testing.assert_array_equal(np.rot90(image, -turn), source)
  np.testing.assert_array_equal(np.bincount(turns), 2)
  with pytest.raises(ValueError, match="square"):
    rotation_task(np.zeros((2, 4, 5, 1)))


def test_shifts_move_by_the_offset_and_repeat_the_edge():
  image = np.arange(9.0).reshape(1, 3, 3, 1)
  starts = np.array([[1, 1], [0, 1], [1, 2]])
  same, down, left = shifted(np.repeat(image, 3, axis=0), starts, 1)[..., 0]
  np.testing.assert_array_equal(same, image[0, ..., 0])
  np.testing.assert_array_equal(down, [[0, 1, 2], [0, 1, 2], [3, 4, 5]])
  np.testing.assert_array_equal(left, [[1, 2, 2], [4, 5, 5], [7, 8, 8]])


def test_bad_input_is_refused():
  good = np.zeros((4, 8, 8, 1))
  with pytest.raises(ValueError, match=r"\[N, H, W, C\]"):
    train(good[0], [0])
  with pytest.raises(ValueError, match="the first is image 2"):
    train(np.where(np.arange(4)[:, None, None, None] == 2, np.nan, good), [0, 1, 0, 1])
  with pytest.raises(ValueError, match=r"labels must be \[4\]"):
    train(good, [0, 1])
  with pytest.raises(ValueError, match=r"0 .. 1, of 2 classes or more; got 0 .. 2"):
    train(good, [0, 1, 2, 0])
