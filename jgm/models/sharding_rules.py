"""How networks are cut over a mesh's `model` axis: the tables for `core.sharding`.

A rule is (how a parameter's path ends, the axis that is cut). Of two layers that follow
each other the first is cut by its outputs and the second by its inputs, so that what
lies between them stays where it is, and one sum over devices follows the second.

Reference: Shoeybi et al. 2019, section 3. https://arxiv.org/abs/1909.08053
"""

Rules = tuple[tuple[str, int], ...]

# Of `transformer.Decoder`: heads, hidden features, the vocabulary.
TRANSFORMER: Rules = (
  ("attention/qkv/(kernel|bias)", -1),
  ("attention/out/kernel", 0),
  ("mlp_in/(kernel|bias)", -1),
  ("mlp_out/kernel", 0),
  ("embed/embedding", 0),
)

_BLOCK = r"(down|middle|up)(_\d+)+/"

# Of `unet.UNet`: the channels between the two convolutions of a residual block.
UNET: Rules = (
  (_BLOCK + "Conv_0/kernel", -1),
  (_BLOCK + "Dense_0/(kernel|bias)", -1),
  (_BLOCK + "GroupNorm_1/(scale|bias)", 0),
  (_BLOCK + "Conv_1/kernel", -2),
)
