"""How networks are cut over a mesh's `model` axis: the tables for `core.sharding`.

A rule is (how a parameter's path ends, the axis that is cut, of how many pieces it is
made that stay whole, or None). Of two layers that follow each other the first is cut by
its outputs and the second by its inputs, so that what lies between them stays where it
is, and one sum over devices follows the second.

Reference: Shoeybi et al. 2019, section 3. https://arxiv.org/abs/1909.08053
"""

from jgm.models.decoder import Decoder

Rules = tuple[tuple[str, int, int | None], ...]

_BLOCK = r"(down|middle|up)(_\d+)+/"

# Of `unet.UNet`: the channels between the two convolutions of a residual block.
UNET: Rules = (
  (_BLOCK + "Conv_0/kernel", -1, None),
  (_BLOCK + "Dense_0/(kernel|bias)", -1, None),
  (_BLOCK + "GroupNorm_1/(scale|bias)", 0, None),
  (_BLOCK + "Conv_1/kernel", -2, None),
)


def transformer_rules(decoder: Decoder, tie_embeddings: bool = True) -> Rules:
  """Of a Transformer: heads, hidden features and the vocabulary are cut.

  Args:
    decoder: its decoder; each head of keys stays whole, with its queries.
    tie_embeddings: of `Transformer`; False where there is an unembedding to be cut.

  Returns:
    The rules. Property: a block sends its activations twice forward and twice back.
  """
  heads = decoder.num_kv_heads or decoder.num_heads
  rules: Rules = (
    ("attention/qkv/(kernel|bias)", -1, heads),
    ("attention/out/kernel", 0, heads),
    ("mlp_in/(kernel|bias)", -1, None),
    ("mlp_out/kernel", 0, None),
    ("embed/embedding", 0, None),
  )
  return rules if tie_embeddings else (*rules, ("unembed", -1, None))
