"""Games of two players: who changes what, by which randomness, and what is refused."""

import functools
import importlib
import math
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import cgan, gan, wgan_gp
from jgm.cli.config import load_config
from jgm.core.program import base_key
from jgm.data import make_dataset
from jgm.losses.gan import GAN_LOSSES
from jgm.models.generator import DenseGenerator
from jgm.models.mlp import MLP
from jgm.samplers.generator import PRIORS

NAMES = ("gan", "dcgan", "cgan", "wgan", "wgan_gp", "sngan")
N_CRITIC, BATCH_SIZE = 2, 32  # of every smoke preset
NUM_STEPS = 3


def module_of(name):
  return importlib.import_module(f"experiments.{name}")


def smoke(name, **changes):
  config = load_config(f"configs/{name}.py:smoke")
  config.update_from_flattened_dict(changes)
  return config


def started(experiment):
  """Its first state and batch."""
  arrays = experiment.data.arrays(0, 1)
  batch = experiment.data.batch(arrays, jnp.zeros((), jnp.int32))
  return jax.jit(experiment.init)(base_key(0), {}), batch


def make_without(module, config, idle):
  """The experiment whose player `idle` does nothing in its steps."""
  taken = module.gradient_step

  def gradient_step(objective, tx, player):
    if player == idle:
      return lambda state, batch, key: (state, {})
    return taken(objective, tx, player)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(module, "gradient_step", gradient_step)
    return module.make(config)


class Played(NamedTuple):
  """One outer step, by both players and by either of them alone, from one state."""

  before: Any
  both: Any
  critic: Any
  generator: Any
  metrics: Any
  last: Any  # after NUM_STEPS steps by both
  traces: dict[str, int]  # of each player's objective


@functools.cache
def play(name):
  module, config = module_of(name), smoke(name)
  traces = {"critic": 0, "generator": 0}
  taken = module.gradient_step

  def counting(objective, tx, player):
    def counted(*args):
      traces[player] += 1
      return objective(*args)

    return taken(counted, tx, player)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(module, "gradient_step", counting)
    experiment = module.make(config)
  only = {
    player: make_without(module, config, idle)
    for player, idle in (("critic", "generator"), ("generator", "critic"))
  }

  @jax.jit
  def steps(state, batch, key):
    # One program, so that what is computed alike comes out alike to the bit.
    copies = jax.random.clone(key), jax.random.clone(key)
    both, metrics = experiment.step(state, batch, key)
    critic, _ = only["critic"].step(state, batch, copies[0])
    generator, _ = only["generator"].step(state, batch, copies[1])
    return both, critic, generator, metrics

  state, batch = started(experiment)
  for i in range(NUM_STEPS):
    before = state
    both, critic, generator, metrics = steps(before, batch, base_key(i))
    state = both.replace(step=both.step + 1)
    if i == 1:  # once all weights are clipped, and no statistics as they began
      middle = jax.device_get((before, both, critic, generator, metrics))
  return Played(*middle, jax.device_get(state), traces)


@pytest.fixture(params=NAMES)
def played(request):
  return play(request.param)


def of(state, player):
  return {
    field: getattr(state, field)[player]
    for field in ("params", "opt_state", "model_state")
  }


def changed(before, after):
  """By path, whether a leaf is another one."""
  pairs = zip(
    jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True
  )
  return {
    jax.tree_util.keystr(path): not np.array_equal(x, y) for (path, x), y in pairs
  }


def test_the_critics_steps_change_nothing_of_the_generator(played):
  before, after = played.before, played.critic
  chex.assert_trees_all_equal(of(before, "generator"), of(after, "generator"))
  moved = changed(of(before, "critic"), of(after, "critic"))
  # To hinge's loss, at first, the last bias is no concern; and u of one value is 1.
  still = ("['psi']['bias']", "['psi/kernel/u']")
  assert all(value for path, value in moved.items() if not path.endswith(still))


def test_the_critics_of_dcgan_have_batch_statistics():
  """Or nothing above would be seen of these."""
  for name in ("dcgan", "cgan"):
    assert jax.tree.leaves(play(name).before.model_state["critic"]), name


def test_the_generators_step_changes_nothing_of_the_critic(played):
  """Not its batch statistics either, which the samples' scores would move."""
  before, after = played.before, played.generator
  chex.assert_trees_all_equal(of(before, "critic"), of(after, "critic"))
  assert all(changed(of(before, "generator"), of(after, "generator")).values())


def test_in_the_step_of_both_the_critic_is_as_by_itself(played):
  chex.assert_trees_all_equal(of(played.both, "critic"), of(played.critic, "critic"))


def test_the_generator_follows_the_critic_that_was_just_trained(played):
  both, alone = played.both.params["generator"], played.generator.params["generator"]
  assert all(changed(both, alone).values())


def test_the_average_is_the_generators_alone(played):
  """The decay of step n, from 0, is (1 + n) / (10 + n): 2 / 11 here."""
  assert set(played.before.ema_params) == {"generator"}
  average = lambda ema, new: ema + (1 - 2 / 11) * (new - ema)
  expected = jax.tree.map(
    average, played.before.ema_params, {"generator": played.both.params["generator"]}
  )
  chex.assert_trees_all_close(played.both.ema_params, expected, rtol=1e-4, atol=1e-6)


def test_the_optimisers_count_the_steps_of_their_players(played):
  for player, number in (("critic", NUM_STEPS * N_CRITIC), ("generator", NUM_STEPS)):
    counts = optax.tree.get_all_with_path(played.last.opt_state[player], "count")
    assert counts
    assert {int(count) for _, count in counts} == {number}


def test_each_objective_is_traced_once(played):
  assert played.traces == {"critic": 1, "generator": 1}


def test_the_metrics_are_named_by_player(played):
  names = {"critic/loss", "critic/gradient_norm", "generator/loss"}
  assert names <= set(played.metrics)
  assert {name.split("/")[0] for name in played.metrics} == {"critic", "generator"}
  assert all(np.isfinite(value) for value in played.metrics.values())


def test_clipping_bounds_the_critics_weights_and_only_those():
  played = play("wgan")
  clip = np.float32(smoke("wgan").clip)
  for state in (played.both, played.critic):
    sizes = [np.abs(leaf).max() for leaf in jax.tree.leaves(state.params["critic"])]
    assert max(sizes) == clip
  # Weights begin at a deviation of 0.02, gains at 1.
  largest = [
    np.abs(leaf).max() for leaf in jax.tree.leaves(played.both.params["generator"])
  ]
  assert sum(size > clip for size in largest) > len(largest) / 2


def test_spectral_vectors_move_in_the_critics_steps_alone():
  played = play("sngan")
  by_critic, by_generator = (
    changed(played.before.model_state["critic"], after.model_state["critic"])
    for after in (played.critic, played.generator)
  )
  vectors = [path for path in by_critic if path.endswith("/u']")]
  kernels = [
    path
    for path in changed(played.before.params["critic"], played.before.params["critic"])
    if path.endswith("['kernel']")
  ]
  assert len(vectors) == len(kernels) > 5
  assert all(by_critic[path] for path in vectors if "psi" not in path)  # of one value
  assert not any(by_generator[path] for path in vectors)


def test_the_penalty_has_its_weight():
  played = play("wgan_gp")
  m = played.metrics
  assert m["critic/penalty"] > 0
  expected = 10 * m["critic/penalty"] - m["critic/distance"]
  np.testing.assert_allclose(m["critic/loss"], expected, rtol=1e-5)


# Who draws what.


class Stub:
  """In a network's place: no parameters, and an output of the right shape."""

  def __init__(self, output):
    self.output = output

  def __call__(self, params, model_state, x, *rest, train):
    return self.output(x), model_state


def draws_of(name, monkeypatch):
  """(player, rows of its batch, noise that it drew), of one outer step in order."""
  module, seen, noises = module_of(name), [], []

  def recording(objective, tx, player):
    def step(state, batch, key):
      noises.clear()
      objective(state.params[player], state, batch, key)
      (noise,) = noises
      seen.append((player, np.asarray(batch["x"]), noise))
      return state, {}

    return step

  def prior(dimension):
    def draw(key, n):
      z = PRIORS["normal"](dimension)(key, n)
      noises.append(np.asarray(z))
      return z

    return draw

  def stateful(model):
    if hasattr(model, "shape"):
      return Stub(lambda z: jnp.zeros((len(z), *model.shape)))
    if isinstance(model, MLP):
      return Stub(lambda x: x[:, :1])
    return Stub(lambda x: x[:, 0, 0, 0])

  config = smoke(name)
  state, batch = started(module.make(config))
  batch = {
    **batch,
    "x": jnp.asarray(
      np.random.default_rng(0).normal(size=batch["x"].shape).astype("f")
    ),
  }
  monkeypatch.setattr(module, "gradient_step", recording)
  monkeypatch.setattr(module, "stateful", stateful)
  monkeypatch.setattr(module, "PRIORS", {"normal": prior})
  if name == "gan":
    config.r1 = config.r2 = 0.0
  experiment = module.make(config)
  with jax.disable_jit():  # so that the values are there to be seen
    experiment.step(state, batch, base_key(1))
  return np.asarray(batch["x"]), seen


@pytest.mark.parametrize("name", NAMES)
def test_every_step_of_either_player_draws_its_own_noise(name, monkeypatch):
  x, seen = draws_of(name, monkeypatch)
  assert [player for player, _, _ in seen] == ["critic"] * N_CRITIC + ["generator"]
  rows = np.concatenate([noise for _, _, noise in seen])
  assert len(rows) == BATCH_SIZE // N_CRITIC * 3
  assert len(np.unique(rows, axis=0)) == len(rows)
  # The critic's steps see each row of the batch once; what the generator sees is small.
  for i, (_, batch, _) in enumerate(seen[:N_CRITIC]):
    np.testing.assert_array_equal(batch, x[i::N_CRITIC])
  np.testing.assert_array_equal(seen[-1][1], seen[-2][1])


# The losses of `gan`.

LOG_2 = math.log(2)
# Of a critic that scores all with 0, by hand from the definitions.
AT_ZERO = {
  "minimax": 2 * LOG_2,
  "non_saturating": 2 * LOG_2,
  "least_squares": 0.5,
  "hinge": 2.0,
  "wasserstein": 0.0,
  "kl": math.exp(-1),
  "reverse_kl": 0.0,
  "pearson": 0.0,
  "neyman": 0.0,
  "squared_hellinger": 0.0,
  "jensen_shannon": 0.0,
  "gan": 2 * LOG_2,
  "total_variation": 0.0,
  "alpha": 0.0,
}


@pytest.fixture(scope="module")
def each_loss():
  """By the loss's name: the state and the metrics after a step, in one program."""
  plain = {"r1": 0.0, "r2": 0.0, "n_critic": 1}
  experiments = {name: gan.make(smoke("gan", loss=name, **plain)) for name in AT_ZERO}
  state, batch = started(experiments["hinge"])

  @jax.jit
  def steps(state, batch, key):
    return {
      name: experiment.step(state, batch, jax.random.clone(key))
      for name, experiment in experiments.items()
    }

  return jax.device_get((state, steps(state, batch, base_key(1))))


def test_all_losses_are_here():
  assert set(gan.losses(smoke("gan"))) == set(AT_ZERO)


@pytest.mark.parametrize("name", AT_ZERO)
def test_every_loss_takes_a_finite_step(name, each_loss):
  """The critic's last layer begins at 0, so its first loss is known."""
  before, steps = each_loss
  after, metrics = steps[name]
  assert metrics["critic/loss"] == pytest.approx(AT_ZERO[name], abs=1e-6)
  assert all(np.isfinite(value) for value in metrics.values())
  chex.assert_tree_all_finite(after.params)
  for player in ("critic", "generator"):
    assert any(changed(before.params[player], after.params[player]).values()), player


def test_f_gans_generator_minimises_the_bound_where_it_is_asked_to():
  fake = jnp.array([-1.0, 0.5])
  by_choice = {
    saturating: gan.losses(smoke("gan", saturating=saturating))["kl"].generator(fake)
    for saturating in (False, True)
  }
  np.testing.assert_allclose(by_choice[False], -np.asarray(fake))
  np.testing.assert_allclose(by_choice[True], -np.exp(np.asarray(fake) - 1), rtol=1e-6)


def test_alpha_is_the_configs():
  """T = g(v) is v for alpha = 2, and 1 - exp(-v / 2) doubled for 1 / 2."""
  fake = jnp.array([-1.0, 0.5])
  two, half = (
    -gan.losses(smoke("gan", alpha=alpha))["alpha"].generator(fake)
    for alpha in (2.0, 0.5)
  )
  np.testing.assert_allclose(two, np.asarray(fake), rtol=1e-6)
  np.testing.assert_allclose(half, 2 * (1 - np.exp(-np.asarray(fake) / 2)), rtol=1e-5)


def objectives_of(module, config):
  """By player, what it minimises."""
  found = {}
  taken = module.gradient_step

  def keeping(objective, tx, player):
    found[player] = objective
    return taken(objective, tx, player)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(module, "gradient_step", keeping)
    return module.make(config), found


def shaken(tree, seed=3):
  """The same parameters, each leaf away from where it began."""
  leaves, structure = jax.tree.flatten(tree)
  rng = np.random.default_rng(seed)
  return jax.tree.unflatten(
    structure, [leaf + 0.3 * rng.normal(size=leaf.shape).astype("f") for leaf in leaves]
  )


@pytest.mark.parametrize(("r1", "r2"), [(0.7, 0.0), (0.0, 0.7), (0.2, 3.0)])
def test_r1_and_r2_are_half_the_squared_gradient_at_data_and_samples(r1, r2):
  config = smoke("gan", r1=0.0, r2=0.0)
  experiment, plain = objectives_of(gan, config)
  _, penalised = objectives_of(gan, smoke("gan", r1=r1, r2=r2))
  state, batch = started(experiment)
  state = state.replace(params=shaken(state.params))
  spec = experiment.data.spec
  generator = DenseGenerator(spec.shape, **config.generator)
  critic = MLP(out_features=1, **config.critic)

  @jax.jit
  def penalties(state, batch, keys):
    params = state.params["critic"]
    values = [
      objectives["critic"](params, state, batch, key)[0]
      for objectives, key in zip((plain, penalised), keys, strict=False)
    ]
    z = jax.random.normal(keys[2], (BATCH_SIZE, config.noise_dimension))
    fake = generator.apply({"params": state.params["generator"]}, z)
    score = lambda x: critic.apply({"params": params}, x).sum()
    squares = lambda x: (jax.grad(score)(x) ** 2).sum(axis=1).mean()
    return values[1] - values[0], r1 / 2 * squares(batch["x"]) + r2 / 2 * squares(fake)

  keys = [base_key(5) for _ in range(3)]
  added, expected = penalties(state, batch, keys)
  assert expected > 0.01
  np.testing.assert_allclose(added, expected, rtol=1e-3)


# Classes.


def test_samples_are_of_the_class_that_was_asked_for():
  """As drawn in turn; and another class's differ, of the same noise."""
  experiment = cgan.make(smoke("cgan"))
  state, _ = started(experiment)
  state = state.replace(ema_params=shaken(state.ema_params))
  in_turn = np.asarray(experiment.sample(state, base_key(1), 4))
  for label in (0, 3):
    of_class = np.asarray(experiment.sample(state, base_key(1), 4, class_label=label))
    np.testing.assert_allclose(of_class[label], in_turn[label], rtol=1e-4, atol=1e-5)
    others = np.arange(4) != label
    assert np.abs(of_class[others] - in_turn[others]).max(axis=(1, 2, 3)).min() > 0.01


def test_both_players_are_told_the_classes():
  experiment, objectives = objectives_of(cgan, smoke("cgan"))
  state, batch = started(experiment)
  state = state.replace(params=shaken(state.params))
  others = {**batch, "label": (batch["label"] + 1) % 10}

  @jax.jit
  def losses(state, batch, keys):
    return {
      player: objectives[player](state.params[player], state, batch, key)[0]
      for player, key in keys.items()
    }

  keys = lambda: {player: base_key(5) for player in ("critic", "generator")}
  told, told_others = losses(state, batch, keys()), losses(state, others, keys())
  for player in told:
    assert abs(told[player] - told_others[player]) > 1e-3, player


def test_data_without_classes_are_refused(monkeypatch):
  def without_classes(**options):
    data = make_dataset(**options)
    return data._replace(spec=data.spec._replace(num_classes=0))

  monkeypatch.setattr(cgan, "make_dataset", without_classes)
  with pytest.raises(ValueError, match=r"cgan needs classes.*'digits' has none"):
    cgan.make(smoke("cgan"))


# What is refused, before anything is compiled.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"n_critic": 3}, "32 cannot be cut into config.n_critic=3"),
    ({"n_critic": 0}, "config.n_critic=0"),
    ({"noise": "unifrom"}, "config.noise='unifrom'.* normal, uniform.*'uniform'"),
  ],
)
def test_every_game_refuses(name, change, message):
  with pytest.raises(ValueError, match=message):
    module_of(name).make(smoke(name, **change))


@pytest.mark.parametrize("name", ["gan", "dcgan", "cgan", "sngan"])
def test_an_unknown_loss_is_answered_with_the_known_ones(name):
  with pytest.raises(ValueError, match=r"config.loss='hing'.*'hinge'") as error:
    module_of(name).make(smoke(name, loss="hing"))
  known = AT_ZERO if name == "gan" else GAN_LOSSES
  assert all(each in str(error.value) for each in known)


def test_a_penalty_on_a_critic_with_batch_normalisation_is_refused():
  with pytest.raises(ValueError, match=r"norm='batch'.*depend on the others"):
    wgan_gp.make(smoke("wgan_gp", **{"critic.norm": "batch"}))
  for norm in ("layer", "none"):
    wgan_gp.make(smoke("wgan_gp", **{"critic.norm": norm}))


@pytest.mark.parametrize("clip", [0.0, -0.01, math.nan])
def test_what_no_weight_lies_within_is_refused(clip):
  with pytest.raises(ValueError, match="above 0"):
    module_of("wgan").make(smoke("wgan", clip=clip))


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_an_alpha_that_is_a_limit_is_refused(alpha):
  with pytest.raises(ValueError, match=r"reverse_kl .* kl"):
    gan.make(smoke("gan", loss="alpha", alpha=alpha))
