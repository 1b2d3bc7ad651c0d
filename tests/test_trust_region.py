"""TRPO's step, against dense linear algebra and an optimum that is known."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jgm.core.collectives import DATA_AXIS
from jgm.eval.enumeration import (
  all_sequences,
  expectation,
  num_prefixes,
  optimal_logp,
  prefix_rows,
)
from jgm.losses.kl import categorical_kl
from jgm.losses.policy import surrogate_loss
from jgm.losses.preference import sequence_logp
from jgm.trust_region import (
  fisher_vector_product,
  line_search,
  natural_gradient,
  trust_region_step,
)

STATES, FEATURES, ACTIONS = 12, 3, 4


def network(params, x):
  """Logits [N, ACTIONS] of a network with one hidden layer."""
  hidden = jnp.tanh(x @ params["w"] + params["b"][None])
  return hidden @ params["out"]


def make_bandits(dtype, states=STATES):
  """A policy's parameters, states, and the advantage of every action in each."""
  random = np.random.default_rng(0)
  normal = lambda *shape: jnp.asarray(random.standard_normal(shape), dtype)
  params = {"w": normal(FEATURES, 3), "b": normal(3), "out": normal(3, ACTIONS)}
  return params, normal(states, FEATURES), normal(states, ACTIONS)


def functions(params, x, advantages):
  """The surrogate loss and the exact KL, over all actions in the given states."""
  old = jax.lax.stop_gradient(jax.nn.log_softmax(network(params, x)))

  def loss(params):
    each = surrogate_loss(jax.nn.log_softmax(network(params, x)), old, advantages)
    return jnp.mean(jnp.sum(jnp.exp(old) * each, axis=1))

  return loss, lambda params: jnp.mean(categorical_kl(old, network(params, x)))


@jax.jit
def dense_fisher(params, x):
  """E (grad log pi)(grad log pi)^T over states and actions: the definition."""
  flat, unravel = ravel_pytree(params)
  logp = lambda flat: jax.nn.log_softmax(network(unravel(flat), x))
  p, scores = jnp.exp(logp(flat)), jax.jacobian(logp)(flat)
  return jnp.einsum("na,nai,naj->ij", p, scores, scores) / len(x)


def test_the_product_is_the_dense_fisher_matrix_s():
  with jax.enable_x64(True):
    params, x, advantages = make_bandits(jnp.float64)
    _, kl = functions(params, x, advantages)
    flat, unravel = ravel_pytree(params)
    product = fisher_vector_product(kl, params)
    column = jax.jit(jax.vmap(lambda v: ravel_pytree(product(unravel(v)))[0]))
    columns = column(jnp.eye(len(flat)))
    np.testing.assert_allclose(columns, dense_fisher(params, x), atol=1e-12)


@pytest.mark.parametrize("damping", [0.01, 0.1])  # less, and CG needs more iterations
def test_as_many_iterations_as_parameters_are_the_dense_solution(damping):
  with jax.enable_x64(True):
    params, x, advantages = make_bandits(jnp.float64)
    loss, kl = functions(params, x, advantages)
    flat, _ = ravel_pytree(params)
    gradient = jax.grad(loss)(params)
    solve = jax.jit(
      lambda gradient: natural_gradient(
        fisher_vector_product(kl, params),
        gradient,
        damping=damping,
        iterations=len(flat),
        tolerance=0.0,
      )
    )
    damped = dense_fisher(params, x) + damping * np.eye(len(flat))
    wanted = np.linalg.solve(damped, ravel_pytree(gradient)[0])
    actual = ravel_pytree(solve(gradient))[0]
    np.testing.assert_allclose(actual, wanted, rtol=1e-6, atol=1e-8)


def step_of(params, x, advantages, **keywords):
  loss, kl = functions(params, x, advantages)
  return trust_region_step(loss, kl, params, **keywords)


def test_the_step_is_within_the_region_and_improves():
  params, x, advantages = make_bandits(jnp.float32)
  loss, kl = functions(params, x, advantages)
  take = jax.jit(lambda max_kl: step_of(params, x, advantages, max_kl=max_kl))
  for max_kl in (1e-4, 0.01, 1.0):
    found = take(max_kl)
    print(f"\nmax_kl {max_kl}: {found.kl:.5f}, {found.fraction} of the step")
    assert found.accepted
    np.testing.assert_allclose(found.kl, kl(found.params), rtol=1e-4, atol=1e-7)
    improvement = loss(params) - loss(found.params)
    np.testing.assert_allclose(found.improvement, improvement, rtol=1e-4, atol=1e-6)
    assert 0 < found.kl <= max_kl and found.improvement > 0
    assert found.kl > 0.1 * max_kl  # and it is no timid step


def test_the_full_step_is_as_long_as_the_quadratic_allows():
  """As max_kl goes to 0, the KL of the full step is max_kl."""
  with jax.enable_x64(True):
    params, x, advantages = make_bandits(jnp.float64)
    loss, kl = functions(params, x, advantages)
    s = natural_gradient(fisher_vector_product(kl, params), jax.grad(loss)(params))
    flat, unravel = ravel_pytree(params)
    direction = ravel_pytree(s)[0]
    curvature = direction @ dense_fisher(params, x) @ direction
    found = step_of(params, x, advantages, max_kl=1e-8)
    moved = flat - found.fraction * np.sqrt(2e-8 / curvature) * direction
    np.testing.assert_allclose(ravel_pytree(found.params)[0], moved, rtol=1e-9)
    full = kl(unravel(flat - np.sqrt(2e-8 / curvature) * direction))
    np.testing.assert_allclose(full, 1e-8, rtol=1e-3)


def test_where_nothing_improves_no_bit_changes():
  """No advantage anywhere, or one that is not a number."""
  params, x, advantages = make_bandits(jnp.float32)
  params["b"] = params["b"].at[0].set(-0.0)
  take = jax.jit(step_of)
  for factor in (0.0, jnp.nan):
    found = take(params, x, factor * advantages)
    chex.assert_trees_all_equal(bits(found.params), bits(params))
    assert not found.accepted and found.kl == found.improvement == found.fraction == 0


def bits(tree):
  return jax.tree.map(lambda leaf: np.asarray(leaf).view(np.uint32), tree)


def test_a_search_without_success_changes_no_bit():
  """Uphill, and beyond the region at every try."""
  params, x, advantages = make_bandits(jnp.float32)
  params["b"] = params["b"].at[0].set(-0.0)
  loss, kl = functions(params, x, advantages)
  gradient = jax.grad(loss)(params)
  downhill = jax.tree.map(lambda g: -0.1 * g, gradient)
  search = jax.jit(
    lambda step, max_kl: line_search(loss, kl, params, step, max_kl=max_kl)
  )
  assert search(downhill, 0.1).accepted
  for step, max_kl in ((gradient, jnp.inf), (downhill, -1.0), (downhill, jnp.nan)):
    found = search(step, max_kl)
    assert not found.accepted and found.kl == found.improvement == found.fraction == 0
    chex.assert_trees_all_equal(bits(found.params), bits(params))


def test_the_first_acceptable_step_is_taken():
  """Of a parabola: 1 is too far, 1/2 is not better, 1/4 is."""
  loss = lambda x: (x - 0.25) ** 2
  tried = [1.0, 0.5, 0.25, 0.125]
  for max_kl, wanted in ((0.9, 0.25), (0.2, 0.125)):
    found = line_search(
      loss, lambda x: x, jnp.float32(0.0), jnp.float32(1.0), max_kl=max_kl
    )
    allowed = [x for x in tried if x <= max_kl and loss(x) < loss(0.0)]
    assert found.accepted and found.fraction == found.params == wanted == allowed[0]
    assert found.kl == wanted


def test_every_seed_searches_for_itself():
  """vmap: the one that is done waits unchanged for the others."""
  params, x, advantages = make_bandits(jnp.float32)
  scales = jnp.array([1.0, 0.0, 40.0])
  take = lambda scale: step_of(params, scale * x, scale * advantages, max_kl=0.05)
  together = jax.jit(jax.vmap(take))(scales)
  assert np.array_equal(together.accepted, [True, False, True])
  for row, scale in enumerate(scales):
    one = jax.jit(take)(scale)
    mine = jax.tree.map(lambda leaf, row=row: leaf[row], together)
    chex.assert_trees_all_close(mine, one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("strategy", [jax.pmap, jax.vmap])
def test_replicas_take_the_step_of_the_whole_batch(strategy):
  params, x, advantages = make_bandits(jnp.float32, states=16)
  whole = jax.jit(step_of)(params, x, advantages)
  split = lambda array: array.reshape(4, 4, -1)
  over = strategy(step_of, axis_name=DATA_AXIS, in_axes=(None, 0, 0))
  over = jax.jit(over) if strategy is jax.vmap else over
  replicas = jax.tree.map(np.asarray, over(params, split(x), split(advantages)))
  first = jax.tree.map(lambda leaf: leaf[0], replicas)
  for row in range(4):  # the replicas stay identical
    chex.assert_trees_all_equal(jax.tree.map(lambda x, i=row: x[i], replicas), first)
  chex.assert_trees_all_close(first, whole, rtol=1e-3, atol=1e-5)


def test_trpo_ends_at_the_optimum():
  """Of E reward - beta KL(pi || ref), on exact expectations, from the reference."""
  beta = 0.5
  sequences = all_sequences(4, 4)
  rows, mask = prefix_rows(sequences, 4), np.ones(sequences.shape)
  random = np.random.default_rng(0)
  ref_table = jnp.float32(random.standard_normal((num_prefixes(4, 4), 4)))
  reward = jnp.float32(random.standard_normal(256))
  policy = lambda table: sequence_logp(table[rows], sequences, mask)
  ref_logp = policy(ref_table)
  best = optimal_logp(ref_logp, reward, beta=beta)

  def step(table, _):
    old_logp = policy(table)

    def loss(table):
      logp = policy(table)
      earned = -expectation(old_logp, surrogate_loss(logp, old_logp, reward))
      return beta * categorical_kl(logp, ref_logp) - earned

    kl = lambda table: categorical_kl(old_logp, policy(table))
    found = trust_region_step(loss, kl, table, max_kl=0.05, damping=1e-4)
    return found.params, (found.kl, found.improvement)

  train = jax.jit(lambda table: jax.lax.scan(step, table, length=100))
  table, (kls, improvements) = train(ref_table)
  before = categorical_kl(ref_logp, best)
  after = categorical_kl(policy(table), best)
  print(f"\nKL(pi || pi*): {before:.3f} at the reference, {after:.2e} after TRPO")
  assert np.all(kls <= 0.05) and np.all(improvements >= 0)
  assert before > 0.5 and after < 1e-3
