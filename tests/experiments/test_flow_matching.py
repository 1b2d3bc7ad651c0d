"""Flow matching on Gaussian data, where all is known; reflow's teacher and pairs."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from flax import linen as nn

from experiments import flow_matching
from jgm.cli.config import load_config
from jgm.cli.main import main
from jgm.cli.opening import existing_run
from jgm.core import Dataset, Evaluation, Scalar, checkpoint
from jgm.core.program import base_key
from jgm.data.spec import DataSpec

SCALE = 0.4  # of the data, N(0, SCALE^2 I) in the plane


class ExactVelocity(nn.Module):
  """E[eps - x_0 | x_t] on that data, times a parameter that should be 1."""

  num_classes: int | None = None
  dtype: type = jnp.float32

  @nn.compact
  def __call__(self, x, t, label=None, train=False):
    t = t[:, None] / 1000
    factor = self.param("factor", nn.initializers.ones, ())
    variance = (1 - t) ** 2 * SCALE**2 + t**2
    return factor * x * (t - (1 - t) * SCALE**2) / variance


def gaussian_data(name, *, batch_size, **options):
  def batch(arrays, step):
    x = SCALE * jax.random.normal(jax.random.fold_in(jax.random.key(7), step), (n, 2))
    return {"x": x, "label": jnp.zeros(n, jnp.int32)}

  n = batch_size
  spec = DataSpec((2,), None, -2, 2, 0, 100, 100)
  return Dataset(name, spec, n, lambda first, number: {}, batch, None)


def points_config(**changes):
  config = load_config("configs/flow_matching.py:moons")
  config.optimizer.flatten = False
  config.update_from_flattened_dict(changes)
  return config


@pytest.fixture
def exact(monkeypatch):
  """(changes) -> the experiment on Gaussian data, with the exact velocity."""
  monkeypatch.setattr(flow_matching, "make_dataset", gaussian_data)
  monkeypatch.setattr(flow_matching, "MLP", ExactVelocity)

  def make(**changes):
    config = points_config(**{"data.batch_size": 50_000, **changes})
    config.mlp = type(config.mlp)()
    return flow_matching.make(config)

  return make


def step_metrics(experiment, factor):
  state = experiment.init(base_key(0), {})
  state = state.replace(params={"factor": jnp.float32(factor)})
  batch = experiment.data.batch({}, 0)
  return jax.device_get(jax.jit(experiment.step)(state, batch, base_key(1))[1])


def test_the_exact_velocity_is_where_the_objective_is_least(exact):
  """The least value is what x_t leaves open of eps - x_0, in all pi s / 2."""
  experiment = exact()
  metrics = {factor: step_metrics(experiment, factor) for factor in (0.9, 1.0, 1.1)}
  # the loss is a mean over 2 x 50,000 numbers of standard deviation below 1.5
  assert metrics[1.0]["loss"] == pytest.approx(math.pi * SCALE / 2, abs=0.02)
  assert metrics[1.0]["loss"] < min(metrics[0.9]["loss"], metrics[1.1]["loss"])
  assert metrics[1.0]["gradient_norm"] < 0.02 < metrics[1.1]["gradient_norm"] / 2


@pytest.mark.parametrize("sampler", ["heun", "ddim", "probability_flow"])
def test_every_sampler_follows_it_to_the_data(exact, sampler):
  experiment = exact()
  state = experiment.init(base_key(0), {})
  samples = experiment.sample(state, base_key(2), 4000, sampler=sampler, num_steps=200)
  error = SCALE / math.sqrt(2 * 8000)
  assert np.std(samples) == pytest.approx(SCALE, abs=4 * error + 2e-3)


def test_its_log_prob_is_the_gaussians(exact):
  experiment = exact()
  state = experiment.init(base_key(0), {})
  x = np.float32([[0.0, 0.0], [0.4, -0.3], [-1.0, 0.5]])
  batch = {"x": jnp.asarray(x), "label": jnp.zeros(3, jnp.int32)}
  log_prob = experiment.log_prob.fn(state, batch, base_key(0))
  exact_log_prob = -(x**2).sum(1) / (2 * SCALE**2) - math.log(2 * math.pi * SCALE**2)
  # at t = 0.001 and not 0, the data are smaller by a thousandth
  np.testing.assert_allclose(log_prob, exact_log_prob, atol=0.02)


def test_a_new_coupling_is_one_entry(monkeypatch):
  """Data coupled with themselves do not move, which an untrained network knows."""
  monkeypatch.setitem(
    flow_matching.COUPLINGS, "still", lambda key, x_0, eps, label, **_: (x_0, x_0)
  )
  losses = {}
  for coupling in ("independent", "still"):
    experiment = flow_matching.make(points_config(coupling=coupling))
    state = experiment.init(base_key(0), {})
    batch = experiment.data.batch({}, 0)
    metrics = jax.jit(experiment.step)(state, batch, base_key(1))[1]
    losses[coupling] = float(metrics["loss"])
  assert losses["still"] == 0.0 and losses["independent"] > 1.0


def losses_by_coupling(**changes):
  """Of an untrained network, whose velocity is 0: E |x_0 - eps|^2 / 2 of the pairs."""
  losses = {}
  for coupling in ("independent", "minibatch_ot"):
    experiment = flow_matching.make(points_config(coupling=coupling, **changes))
    state = experiment.init(base_key(0), {})
    batch = experiment.data.batch({}, 0)
    metrics = jax.jit(experiment.step)(state, batch, base_key(1))[1]
    losses[coupling] = float(metrics["loss"])
  return losses


def test_transport_makes_the_paths_of_a_minibatch_short():
  """Moons are near the normal distribution: most of the length is chance's."""
  losses = losses_by_coupling(**{"mlp.features": 8, "mlp.num_layers": 1})
  assert losses["minibatch_ot"] < 0.4 * losses["independent"]


def test_with_classes_pairs_are_made_within_each_and_keep_their_labels():
  """So that noise stays N(0, I) given the class; across them each gets its own side."""
  key_x, key_eps, key_draw = jax.random.split(base_key(4), 3)
  label = jnp.arange(400) % 2
  x_0 = jax.random.normal(key_x, (400, 2)) + 8.0 * label[:, None]
  eps = jax.random.normal(key_eps, (400, 2))
  couple = flow_matching.COUPLINGS["minibatch_ot"]
  options = points_config().minibatch_ot
  means = {}
  for name, known in {"within": label, "across": None}.items():
    key = jax.random.clone(key_draw)
    same_x_0, partner = couple(key, x_0, eps, known, **options)
    np.testing.assert_array_equal(same_x_0, x_0)
    means[name] = np.abs(np.mean(partner[label == 1]))
  # 400 numbers of variance 1, drawn again with repetitions: about twice the variance.
  assert means["within"] < 4 * math.sqrt(2 / 400) < 0.4 < means["across"]


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"coupling": "indpendent"}, "Did you mean 'independent'"),
    ({"minibatch_ot.epsilon": 0.0}, "minibatch_ot"),
    ({"first_time": 0.0}, "sigma = 0"),
    ({"teacher.num_steps": 0}, "at least 1 step"),
    ({"eval.euler_steps": (4, 1)}, "euler_steps"),
  ],
)
def test_what_cannot_be_is_said_by_make(change, message):
  with pytest.raises(ValueError, match=message):
    flow_matching.make(points_config(**change))


# Reflow.


def measure_nothing(state, key):
  return Evaluation({"nothing": Scalar(0.0, 0.0)}, {})


@pytest.fixture(scope="module")
def reflowed(tmp_path_factory):
  """The folders of a student and of the teacher that was trained for it."""
  folder = tmp_path_factory.mktemp("reflow")
  make = flow_matching.make

  @functools.wraps(make)
  def quick(config):
    return make(config)._replace(evaluate=measure_nothing)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(flow_matching, "make", quick)
    student, teacher = folder / "student", folder / "teacher"
    main(
      quick,
      [
        "--config=configs/flow_matching.py:reflow_smoke",
        f"--workdir={student}",
        f"--config.teacher.run.workdir={teacher}",
        "--config.teacher.num_steps=40",
        "--config.parallel.data_devices=1",
      ],
    )
    yield existing_run(student, quick), existing_run(teacher, quick)


def saved(run):
  directory = str(run.folder.checkpoints)
  return checkpoint.restore(directory, run.program.abstract).state


def assert_same_bits(one, other):
  jax.tree.map(
    np.testing.assert_array_equal, jax.device_get(one), jax.device_get(other)
  )


def test_the_teacher_is_trained_where_it_is_missing_and_never_touched(reflowed):
  student, teacher = (saved(run) for run in reflowed)
  assert int(teacher.step) == 8 and int(student.step) == 8
  assert_same_bits(student.extra.teacher, teacher.ema_params)
  moved = jax.tree.map(
    lambda a, b: not np.array_equal(a, b), student.params, teacher.ema_params
  )
  assert any(jax.tree.leaves(moved))


def test_the_pairs_are_the_ends_of_the_teachers_flow():
  """Of a teacher that moves points far, against scipy; chunks do not divide."""
  changes = {
    "reflow": True,
    "mlp.features": 16,
    "sample.chunk_size": 20,
    "teacher.num_pairs": 50,
    "teacher.num_steps": 2000,
  }
  experiment = flow_matching.make(points_config(**changes))
  model = flow_matching.MLP(features=16, num_layers=3)
  params = model.init(base_key(0), jnp.zeros((1, 2)), jnp.zeros(1))["params"]
  params["last"]["kernel"] = 0.3 * jax.random.normal(base_key(1), (16, 2))
  state = jax.jit(experiment.init)(base_key(2), {"teacher": params})
  pairs = jax.device_get(state.extra.pairs)
  assert pairs.x_0.shape == pairs.eps.shape == (50, 2)
  assert len(np.unique(pairs.eps)) == 100

  @jax.jit
  def velocity(t, x):
    time = jnp.full(50, 1000 * t)
    return model.apply({"params": params}, x.reshape(50, 2), time).reshape(-1)

  found = scipy.integrate.solve_ivp(
    lambda t, x: np.asarray(velocity(np.float32(t), np.float32(x)), np.float64),
    (1.0, 0.0),
    pairs.eps.reshape(-1),
    rtol=1e-5,
    atol=1e-5,
  )
  assert np.abs(pairs.x_0 - pairs.eps).max() > 0.5  # it does move them
  np.testing.assert_allclose(found.y[:, -1].reshape(50, 2), pairs.x_0, atol=5e-3)


def test_reflow_learns_from_the_pairs_alone(reflowed):
  run, _ = reflowed
  state = saved(run)
  batch = {"x": jnp.full((16, 8, 8, 1), jnp.nan), "label": jnp.zeros(16, jnp.int32)}
  new, metrics = jax.jit(run.experiment.step)(state, batch, base_key(3))
  assert np.isfinite(metrics["loss"])
  assert_same_bits(new.extra, state.extra)


def test_a_teacher_of_another_size_is_refused():
  experiment = flow_matching.make(load_config("configs/flow_matching.py:reflow_smoke"))
  teacher = {"first": {"kernel": jnp.zeros((3, 3, 1, 16))}}
  with pytest.raises(ValueError, match="another size"):
    jax.eval_shape(experiment.init, base_key(0), {"teacher": teacher})
