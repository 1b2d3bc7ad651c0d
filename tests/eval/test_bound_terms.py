"""The terms of the bound: those of `variational_bound`, by three variances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgm.data.spec import DataSpec
from jgm.eval.bound_terms import bound_pictures, bound_scalars, bound_terms
from jgm.losses.diffusion import variational_bound
from jgm.noise import cosine_schedule

SPEC = DataSpec(shape=(2, 3, 1), levels=9)
SCHEDULE = cosine_schedule(12)
LEVELS = {"levels": 9, "low": -1.0, "high": 1.0}


@pytest.fixture
def batch(key):
  levels = jax.random.randint(key, (5, *SPEC.shape), 0, 9)
  return {"x": levels / 4.0 - 1.0, "label": jnp.arange(5)}


def denoiser(fraction):
  return lambda x_t, t: (0.3 * x_t, jnp.full_like(x_t, fraction))


def terms_of(batch, key, fraction, num_examples=5):
  return jax.jit(
    lambda batch: bound_terms(
      lambda some: denoiser(fraction),
      SCHEDULE,
      batch,
      key,
      SPEC,
      num_examples=num_examples,
    )
  )(batch)


@pytest.mark.parametrize("variance", ["learned", "small", "large"])
def test_the_terms_are_those_of_the_whole_bound(variance, batch, key):
  terms = terms_of(batch, key, 0.4)
  both = denoiser(0.4)
  alone = lambda x_t, t: both(x_t, t)[0]
  bound = jax.jit(
    lambda x: variational_bound(
      both if variance == "learned" else alone,
      SCHEDULE,
      x,
      key,
      variance=variance,
      **LEVELS,
    )
  )(batch["x"])
  bits = 1 / (6 * np.log(2.0))
  steps = terms.steps[variance]
  np.testing.assert_allclose(steps[1:], bound.steps.mean(0) * bits, rtol=1e-5)
  # the decoder is the same in all three: the one whose variance is learned
  decoder = terms.steps["learned"][0]
  assert steps[0] == decoder
  total = bound_scalars(terms, SPEC)[f"bits_per_dim_bound_{variance}_variance"].value
  if variance == "learned":
    np.testing.assert_allclose(decoder, bound.decoder.mean() * bits, rtol=1e-5)
    np.testing.assert_allclose(total, -bound.log_prob.mean() * bits, rtol=1e-5)
  else:
    rest = jnp.mean(bound.prior + bound.steps.sum(1)) * bits
    np.testing.assert_allclose(total, decoder + rest, rtol=1e-5)


@pytest.mark.parametrize(("fraction", "name"), [(0.0, "small"), (1.0, "large")])
def test_a_learned_variance_reaches_both_fixed_ones(fraction, name, batch, key):
  steps = terms_of(batch, key, fraction).steps
  np.testing.assert_allclose(steps["learned"][1:], steps[name][1:], rtol=1e-4)


def test_each_step_looks_at_the_next_examples_with_their_labels(batch, key):
  def told(some):
    assert some["label"].shape == (2,)
    shift = some["label"][:, None, None, None] / 5.0
    return lambda x_t, t: (0.0 * x_t + shift, jnp.zeros_like(x_t))

  batch = {"x": jnp.zeros((5, *SPEC.shape)), "label": jnp.arange(5)}
  steps = jax.jit(
    lambda batch: bound_terms(told, SCHEDULE, batch, key, SPEC, num_examples=2)
  )(batch).steps["small"]
  # of examples (0, 1), (2, 3), (4, 0), ...: the error is that of their labels
  labels = np.array([[2 * t % 5, (2 * t + 1) % 5] for t in range(12)]) / 5.0
  ratio = np.asarray(steps[1:]) / np.mean(labels**2, axis=1)[1:]
  by_weight = np.asarray(
    jax.jit(
      lambda batch: bound_terms(
        lambda _: lambda x_t, t: (0.0 * x_t + 1.0, jnp.zeros_like(x_t)),
        SCHEDULE,
        batch,
        key,
        SPEC,
        num_examples=2,
      )
    )(batch).steps["small"]
  )[1:]
  np.testing.assert_allclose(ratio, by_weight, rtol=1e-4)


def test_parts_add_up_and_the_picture_is_one(batch, key):
  terms = terms_of(batch, key, 0.4)
  scalars = bound_scalars(terms, SPEC)
  parts = [
    scalars[f"bits_per_dim_bound_{n}"].value for n in ("prior", "steps", "decoder")
  ]
  whole = scalars["bits_per_dim_bound_learned_variance"]
  assert sum(parts) == pytest.approx(whole.value, rel=1e-5)
  assert whole.ceiling == pytest.approx(np.log2(9))
  for picture in bound_pictures(terms).values():
    assert picture.dtype == np.uint8 and picture.ndim == 3
