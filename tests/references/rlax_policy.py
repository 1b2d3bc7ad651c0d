"""Writes rlax's returns, advantages and policy losses of small streams, in float64.

In an environment of its own, once; the tests read only the arrays:

    pip install --no-deps -r benchmarks/requirements-rlax.txt
    python tests/references/rlax_policy.py

rlax takes one stream and averages over it: here each stream is given alone, and each
step of a loss, so that nothing is averaged.
"""

import hashlib
import json
import pathlib
import platform

import jax
import jax.numpy as jnp
import numpy as np
import rlax

jax.config.update("jax_enable_x64", True)

OUTPUT = pathlib.Path(__file__).with_suffix(".npz")
STREAMS, STEPS, ACTIONS = 4, 9, 5
LAMBDAS = (0.0, 0.9, 1.0)
CLIP = 0.2


def make_inputs():
  """Streams with terminations in them; all are numbers of float32."""
  random = np.random.default_rng(0)
  normal = lambda *shape: random.standard_normal(shape).astype(np.float32)
  terminated = random.uniform(size=(STREAMS, STEPS)) < 0.2
  inputs = {
    "rewards": normal(STREAMS, STEPS),
    "discounts": np.where(terminated, 0.0, 0.97).astype(np.float32),
    "values": normal(STREAMS, STEPS + 1),
    "advantages": normal(STREAMS, STEPS),
    "logits": 2 * normal(STREAMS, STEPS, ACTIONS),
    "other_logits": 2 * normal(STREAMS, STEPS, ACTIONS),
    # the ratio reaches both ends of the clip
    "logp": -1 + 0.3 * normal(STREAMS, STEPS),
    "old_logp": -1 + 0.3 * normal(STREAMS, STEPS),
  }
  inputs = {name: value.astype(np.float64) for name, value in inputs.items()}
  return {**inputs, "actions": random.integers(0, ACTIONS, (STREAMS, STEPS))}


def each_step(loss):
  """A loss of a stream of one step, of every step of every stream."""
  single = lambda *step: loss(*(value[None] for value in step))
  return jax.vmap(jax.vmap(single))


def make_arrays():
  """Everything that is written: {name: array}."""
  inputs = make_inputs()
  get = lambda *names: [jnp.asarray(inputs[name]) for name in names]
  arrays = {**inputs, "clip": CLIP}

  gae = jax.vmap(rlax.truncated_generalized_advantage_estimation, (0, 0, None, 0))
  rewards, discounts, values = get("rewards", "discounts", "values")
  for lambda_ in LAMBDAS:
    arrays[f"gae/{lambda_}"] = gae(rewards, discounts, lambda_, values)
  # episodes cut short: what is behind a cut does not reach what is before it
  cuts = np.zeros((STREAMS, STEPS), bool)
  cuts[:, [2, 6]] = True
  gae = jax.vmap(rlax.truncated_generalized_advantage_estimation)
  arrays["ends"] = cuts
  arrays["gae/cut"] = gae(rewards, discounts, jnp.where(cuts, 0.0, 0.9), values)
  returns = jax.vmap(rlax.discounted_returns)
  arrays["returns"] = returns(rewards, discounts, values[:, 1:])

  def surrogate(logp, old_logp, advantages):
    return rlax.clipped_surrogate_pg_loss(jnp.exp(logp - old_logp), advantages, CLIP)

  def policy_gradient(logits, actions, advantages):
    ones = jnp.ones_like(advantages)
    return rlax.policy_gradient_loss(logits, actions, advantages, ones)

  def put(name, loss, *arguments):
    arrays[name] = each_step(loss)(*arguments)
    slope = jax.grad(lambda first: each_step(loss)(first, *arguments[1:]).sum())
    arrays[f"{name}/gradient"] = slope(arguments[0])

  put("ppo", surrogate, *get("logp", "old_logp", "advantages"))
  put("policy_gradient", policy_gradient, *get("logits", "actions", "advantages"))
  put("entropy", lambda logits: rlax.softmax().entropy(logits)[0], *get("logits"))
  kl = lambda p, q: rlax.softmax().kl(p, q)[0]
  put("kl", kl, *get("logits", "other_logits"))
  return {name: np.asarray(value) for name, value in arrays.items()}


def main() -> None:
  """Writes the arrays, and beside them the versions and the hash."""
  np.savez(OUTPUT, **make_arrays())
  about = {
    "rlax": rlax.__version__,
    "jax": jax.__version__,
    "numpy": np.__version__,
    "python": platform.python_version(),
    "sha256": hashlib.sha256(OUTPUT.read_bytes()).hexdigest(),
  }
  OUTPUT.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
  main()
