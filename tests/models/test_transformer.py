"""The causal Transformer: what sees what, its cache, its weights at the start."""

import math

import einops
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jgm.models.causal_attention import CausalAttention, make_context
from jgm.models.positions import POSITIONS, alibi_slopes
from jgm.models.token_dense import TokenDense
from jgm.models.transformer import (
  Decoder,
  ScalarTransformer,
  Transformer,
)
from jgm.models.transformer_block import NORMAL
from jgm.samplers.decode import check_tokens

VOCAB, LENGTH = 11, 12
TINY = {"vocab_size": VOCAB, "max_length": LENGTH, "features": 16, "num_layers": 2}
KINDS = pytest.mark.parametrize(
  "fields",
  [{"positions": p} for p in POSITIONS]
  + [{"positions": p, "num_kv_heads": 2} for p in ("rotary", "alibi")],
  ids=lambda fields: "-".join(map(str, fields.values())),
)


def tokens_of(shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).integers(0, VOCAB, shape), jnp.int32)


def drawn(model, scale=0.3):
  """Parameters all drawn, as those of the start would hide the network."""
  shapes = jax.eval_shape(model.init, jax.random.key(0), tokens_of((1, 2)))
  rng = np.random.default_rng(1)
  draw = lambda a: jnp.asarray(scale * rng.normal(size=a.shape), a.dtype)
  return jax.tree.map(draw, shapes)


def tiny(**fields):
  model = Transformer(Decoder(**{**TINY, **fields}))
  return model, drawn(model)


@KINDS
def test_a_token_changes_no_bit_before_it(fields):
  model, variables = tiny(**fields)
  logits = jax.jit(lambda tokens: model.apply(variables, tokens))
  tokens = tokens_of((2, LENGTH))
  before = np.asarray(logits(tokens))
  for t in range(LENGTH):
    after = np.asarray(logits(tokens.at[:, t].set((tokens[:, t] + 1) % VOCAB)))
    np.testing.assert_array_equal(after[:, :t], before[:, :t])
    assert np.all(np.any(after[:, t:] != before[:, t:], axis=-1))


@KINDS
def test_a_cache_changes_nothing(fields):
  """Tokens in pieces, after prompts of two lengths."""
  model, variables = tiny(**fields)
  tokens = tokens_of((2, LENGTH))
  apply = jax.jit(lambda tokens, **given: model.apply(variables, tokens, **given))
  for padding in (None, jnp.array([0, 3])):
    wanted = apply(tokens, padding=padding)
    cache, pieces = model.decoder.empty_cache(2), []
    for piece in jnp.split(tokens, [5, 6, 7], axis=1):
      logits, cache = apply(piece, cache=cache, padding=padding)
      pieces.append(logits)
    actual = jnp.concatenate(pieces, axis=1)
    np.testing.assert_allclose(actual[0], wanted[0], atol=1e-5)
    np.testing.assert_allclose(actual[1, 3:], wanted[1, 3:], atol=1e-5)
    assert cache.length == LENGTH


@KINDS
def test_a_padded_row_is_the_row_alone(fields):
  model, variables = tiny(**fields)
  tokens, padding = tokens_of((3, LENGTH)), jnp.array([0, 4, 7])
  padded = jax.jit(lambda tokens: model.apply(variables, tokens, padding=padding))
  logits = padded(tokens)
  for row, start in enumerate((0, 4, 7)):
    alone = jax.jit(model.apply)(variables, tokens[row : row + 1, start:])
    np.testing.assert_allclose(logits[row, start:], alone[0], atol=1e-5)
    # what stands before it is not seen, be it no token at all
    other = padded(tokens.at[row, :start].set(-7))
    np.testing.assert_array_equal(other[row, start:], logits[row, start:])


def attention_by_loops(params, x, num_heads, num_kv_heads, padding):
  """Grouped-query attention with ALiBi, query by query, in float64."""
  of = lambda name: (np.float64(params[name][part]) for part in ("kernel", "bias"))
  (kernel, bias), (out_kernel, out_bias) = of("qkv"), of("out")
  qkv = np.float64(x) @ kernel + bias
  size = x.shape[-1] // num_heads
  per_group = num_heads // num_kv_heads
  heads = qkv.reshape(*x.shape[:2], num_kv_heads, per_group + 2, size)
  out = np.zeros(x.shape)
  for b, t, n in np.ndindex(*x.shape[:2], num_heads):
    group, member = divmod(n, per_group)
    seen = slice(padding[b], t + 1)
    key = heads[b, seen, group, per_group]
    value = heads[b, seen, group, per_group + 1]
    distance = t - np.arange(padding[b], t + 1)
    scores = key @ heads[b, t, group, member] / math.sqrt(size)
    scores -= alibi_slopes(num_heads)[n] * distance
    if len(scores):
      weights = np.exp(scores - scores.max())
      out[b, t, n * size : (n + 1) * size] = weights / weights.sum() @ value
  return out @ out_kernel + out_bias


def test_attention_is_that_of_the_formula(key):
  init = jax.nn.initializers.normal(0.5)
  attention = CausalAttention(4, 2, out_init=init, kernel_init=init)
  x, padding = jax.random.normal(key, (2, 6, 8)), jnp.array([0, 2])
  context = make_context(
    6, None, jnp.int32(0), padding, positions="alibi", num_heads=4, head_features=2
  )
  variables = attention.init(jax.random.key(1), x, context)
  actual, cache = attention.apply(variables, x, context)
  assert cache is None
  wanted = attention_by_loops(variables["params"], x, 4, 2, np.asarray(padding))
  np.testing.assert_allclose(actual[0], wanted[0], atol=1e-5)
  np.testing.assert_allclose(actual[1, 2:], wanted[1, 2:], atol=1e-5)


def test_grouped_queries_are_heads_that_share_keys():
  """K = N is the usual attention; else that with each key head's weights repeated."""
  grouped, variables = tiny(num_kv_heads=2)
  usual, _ = tiny()
  tokens = tokens_of((2, LENGTH))
  params = jax.tree.map(lambda a: a, variables)
  for i in range(TINY["num_layers"]):
    qkv = params["params"]["decoder"][f"blocks_{i}"]["attention"]["qkv"]
    for name, a in qkv.items():
      # two queries, a key and a value, twice -> a query, a key and a value, four times
      heads = einops.rearrange(a, "... (k h d) -> ... k h d", k=2, h=4)
      usual_heads = heads[..., jnp.array([[0, 2, 3], [1, 2, 3]]), :]
      qkv[name] = einops.rearrange(usual_heads, "... k g h d -> ... (k g h d)")
  np.testing.assert_allclose(
    grouped.apply(variables, tokens), usual.apply(params, tokens), atol=1e-5
  )
  all_heads, _ = tiny(num_kv_heads=4)
  np.testing.assert_array_equal(
    all_heads.apply(params, tokens), usual.apply(params, tokens)
  )


def test_parameters_of_the_smallest_gpt2():
  """124M: 124,439,808 in transformers."""
  decoder = Decoder(
    vocab_size=50257, max_length=1024, features=768, num_layers=12, num_heads=12
  )
  shapes = jax.eval_shape(
    Transformer(decoder).init, jax.random.key(0), tokens_of((1, 2))
  )
  assert sum(a.size for a in jax.tree.leaves(shapes)) == 124_439_808


def test_weights_at_the_start(key):
  """Normal of 0.02; of layers whose output is added, over sqrt(2 num_layers)."""
  model = Transformer(Decoder(**{**TINY, "features": 64, "num_layers": 8}))
  tokens = tokens_of((8, LENGTH + 1))
  variables = jax.jit(model.init)(key, tokens[:, :-1])
  for path, a in jax.tree_util.tree_leaves_with_path(variables):
    name = jax.tree_util.keystr(path)
    std = 0.02
    if "out" in name:
      std /= 4
    if "scale" in name:
      np.testing.assert_array_equal(a, 1.0)
    elif "bias" in name:
      np.testing.assert_array_equal(a, 0.0)
    else:  # the relative deviation of a standard deviation is 1 / sqrt(2 n)
      assert np.std(a) == pytest.approx(std, rel=4 / math.sqrt(2 * a.size)), name
  logits = model.apply(variables, tokens[:, :-1])
  loss = optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:])
  assert loss.mean() == pytest.approx(math.log(VOCAB), rel=0.03)


def test_embeddings_are_tied_or_not():
  tied, variables = tiny()
  assert set(variables["params"]) == {"decoder"}
  untied = Transformer(tied.decoder, tie_embeddings=False)
  params = variables["params"]
  table = params["decoder"]["embed"]["embedding"]
  tokens = tokens_of((2, 5))
  same = untied.apply({"params": params | {"unembed": table.T}}, tokens)
  np.testing.assert_array_equal(same, tied.apply(variables, tokens))
  last = tied.apply(variables, tokens, only_last=True)
  np.testing.assert_allclose(last, same[:, -1:], atol=1e-6)


def test_bfloat16_is_of_the_computation_only():
  model, variables = tiny(positions="rotary")
  half = Transformer(Decoder(**TINY, positions="rotary", dtype=jnp.bfloat16))
  tokens = tokens_of((2, LENGTH))
  started = half.init(jax.random.key(0), tokens)
  assert {a.dtype for a in jax.tree.leaves(started)} == {jnp.dtype("float32")}
  logits, cache = half.apply(variables, tokens, cache=half.decoder.empty_cache(2))
  assert logits.dtype == jnp.float32 and cache.layers[0].key.dtype == jnp.bfloat16
  wanted = model.apply(variables, tokens)
  error = np.abs(logits - wanted).max() / np.abs(wanted).max()
  print(f"\nbfloat16 is off by {error:.4f} of the largest logit")
  assert 1e-5 < error < 0.05


def test_blocks_computed_anew_give_the_same_gradients():
  tokens = tokens_of((2, LENGTH))

  def gradients(remat):
    model, variables = tiny(remat=remat, dropout=0.2)
    apply = lambda v: model.apply(
      v, tokens, train=True, rngs={"dropout": jax.random.key(3)}
    )
    loss = lambda v: jnp.mean(jax.nn.log_softmax(apply(v))[..., 0])
    return jax.jit(jax.grad(loss))(variables), str(jax.make_jaxpr(loss)(variables))

  (actual, remat), (wanted, plain) = gradients(True), gradients(False)
  assert "remat" in remat and "remat" not in plain
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
  jax.tree.map(close, actual, wanted)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_at_extreme_logits_are_finite(dtype):
  """Of 100 and more, and of a row that is all padding."""
  model = Transformer(Decoder(**TINY, positions="alibi", dtype=dtype))
  variables, tokens = drawn(model, scale=8.0), tokens_of((2, LENGTH))

  def loss(variables):
    logits = model.apply(variables, tokens, padding=jnp.array([0, LENGTH]))
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, tokens)
    return jnp.mean(losses), logits

  gradients, logits = jax.jit(jax.grad(loss, has_aux=True))(variables)
  assert logits.max() > 100 and logits.min() < -100
  for a in jax.tree.leaves((gradients, logits)):
    assert np.all(np.isfinite(a))


def test_dropout_is_of_training_only():
  model, variables = tiny(dropout=0.5)
  tokens, key = tokens_of((2, LENGTH)), jax.random.key(0)
  plain = model.apply(variables, tokens)
  train = lambda key: model.apply(variables, tokens, train=True, rngs={"dropout": key})
  one, other = map(train, jax.random.split(key))
  assert not np.allclose(one, plain) and not np.allclose(one, other)


def test_a_scalar_for_each_token():
  """The decoder's parameters of a language model fit; the output starts at zero."""
  model, variables = tiny()
  scalar, tokens = ScalarTransformer(model.decoder), tokens_of((2, LENGTH))
  params = scalar.init(jax.random.key(0), tokens)["params"]
  params["decoder"] = variables["params"]["decoder"]
  values = scalar.apply({"params": params}, tokens)
  np.testing.assert_array_equal(values, np.zeros((2, LENGTH)))
  params["scalar"]["kernel"] = jnp.ones_like(params["scalar"]["kernel"])
  values = scalar.apply({"params": params}, tokens)
  hidden = model.decoder.apply({"params": params["decoder"]}, tokens)
  np.testing.assert_allclose(values, hidden.sum(-1), rtol=1e-5, atol=1e-6)


def test_a_longer_context_takes_the_same_weights():
  model, variables = tiny(positions="alibi")
  longer = Transformer(model.decoder.clone(max_length=2 * LENGTH))
  tokens = tokens_of((1, 2 * LENGTH))
  np.testing.assert_allclose(
    longer.apply(variables, tokens)[:, :LENGTH],
    model.apply(variables, tokens[:, :LENGTH]),
    atol=1e-5,
  )
  with pytest.raises(ValueError, match="24 tokens are more than the context of 12"):
    model.apply(variables, tokens)
  with pytest.raises(ValueError, match="24 tokens are more than the context of 12"):
    longer.apply(variables, tokens, cache=model.decoder.empty_cache(1))
  with pytest.raises(ValueError, match="13 columns is more than the context of 12"):
    model.decoder.empty_cache(1, LENGTH + 1)


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"num_heads": 3}, "3 heads do not divide 16 features"),
    ({"num_kv_heads": 3}, "3 key heads do not divide 4 query heads"),
    ({"positions": "rotery"}, "positions='rotery'"),
    ({"positions": "rotary", "num_heads": 16}, "1 is odd"),
  ],
)
def test_what_does_not_fit_is_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    tiny(**fields)


def test_tokens_outside_the_vocabulary():
  model, variables = tiny()
  check_tokens(tokens_of((2, 3)), VOCAB)
  for bad in (VOCAB, -1):
    tokens = np.array([[1, 2, 3], [4, 5, bad]])
    with pytest.raises(ValueError, match=rf"token {bad} at \(1, 2\)"):
      check_tokens(tokens, VOCAB)
  with pytest.raises(ValueError, match="not float64"):
    check_tokens([0.5], VOCAB)
  # where nothing can raise, the row is lost for all to see, and no other is
  logits = model.apply(variables, jnp.array([[1, VOCAB], [1, 2]]))
  assert np.isnan(logits[0]).all() and np.isfinite(logits[1]).all()


@pytest.mark.parametrize("shape", [(2, 7, 5), (3, 1, 5)], ids=["text", "one token"])
def test_a_dense_layer_of_tokens_is_flax_s(shape):
  """With its parameters, results and gradients; with the tall way and without."""
  x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
  ours, theirs = TokenDense(4, bias_init=NORMAL), nn.Dense(4, bias_init=NORMAL)
  variables = ours.init(jax.random.key(0), x)
  for a, b in zip(
    jax.tree.leaves(variables),
    jax.tree.leaves(theirs.init(jax.random.key(0), x)),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)
  loss = lambda model: lambda variables: jnp.sum(model.apply(variables, x) ** 2)
  for a, b in zip(
    jax.tree.leaves(jax.value_and_grad(loss(ours))(variables)),
    jax.tree.leaves(jax.value_and_grad(loss(theirs))(variables)),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
  assert ours.copy(dtype=jnp.bfloat16).apply(variables, x).dtype == jnp.bfloat16
