"""What a policy is held to: the reference that it began as, and a reward model."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jgm.core.experiment import Pretrained
from jgm.core.state import Array, PyTree
from jgm.models.transformer import Transformer


class Frozen(NamedTuple):
  """The `extra` of a policy's training; no step changes a bit of it."""

  reference: PyTree  # parameters of the policy's own network
  reward_model: PyTree = ()  # of a ScalarTransformer, where the reward is learned


def pretrained_of(
  reference: Mapping[str, Any],
  reward_model: Mapping[str, Any] | None = None,
  *,
  agrees: tuple[tuple[str, Any], ...],
) -> dict[str, Pretrained]:
  """What a policy needs of other runs.

  Args:
    reference: {"config": of the run of `gpt` to begin from, or None for a random
      network; "workdir": its folder, None for the default one}.
    reward_model: the same of a run of `reward_model`; None: the reward is a rule.
    agrees: what both must have been trained with; see `network_facts`.

  Returns:
    Experiment.pretrained.
  """
  runs = {"reference": ("gpt", reference)}
  if reward_model is not None:
    runs["reward_model"] = ("reward_model", reward_model)
  return {
    name: Pretrained(experiment, run["config"], "ema_params", run["workdir"], agrees)
    for name, (experiment, run) in runs.items()
    if run["config"] is not None
  }


def network_facts(
  model: Mapping[str, Any], data: Mapping[str, Any], tie_embeddings: bool
) -> tuple[tuple[str, Any], ...]:
  """What two runs must have in common for the parameters of one to fit the other.

  Heads and positions are in no shape, nor is which token stands for what.

  Args:
    model: config.model.
    data: config.data.
    tie_embeddings: config.tie_embeddings.

  Returns:
    (("model.num_heads", ...), ...), by the keys of a config.
  """
  facts = {f"model.{key}": value for key, value in model.items()}
  facts |= {f"data.{key}": data[key] for key in ("name", "tokenizer", "vocab_size")}
  del facts["model.remat"]
  return (*facts.items(), ("tie_embeddings", tie_embeddings))


def begin(
  model: Transformer,
  key: Array,
  pretrained: Mapping[str, PyTree],
  *,
  embedding_scale: float = 1.0,
) -> tuple[PyTree, Frozen]:
  """The policy's first parameters, and what is frozen.

  Args:
    model: the policy's network.
    key: of a random reference; not used where there is a pretrained one.
    pretrained: as `init` gets it.
    embedding_scale: what the embedding of a random reference is multiplied by: with
      tied embeddings, 1 is a policy that is uniform but for some percent.

  Returns:
    (params, Frozen). Property: the policy is the reference, bit for bit.

  Raises:
    ValueError: if the pretrained network is of another size.
  """
  shapes = jax.eval_shape(model.init, key, jnp.zeros((1, 1), jnp.int32))["params"]
  if "reference" in pretrained:
    reference = pretrained["reference"]
    check_same_network(shapes, reference)
  else:
    reference = model.init(key, jnp.zeros((1, 1), jnp.int32))["params"]
    scaled = reference["decoder"]["embed"]["embedding"] * embedding_scale
    embed = {"embedding": scaled}
    reference = {**reference, "decoder": {**reference["decoder"], "embed": embed}}
  params = jax.tree.map(jnp.copy, reference)
  return params, Frozen(reference, pretrained.get("reward_model", ()))


def check_same_network(wanted: PyTree, found: PyTree) -> None:
  """Raises a ValueError that names the first parameter which is not as config.model."""
  path_of = lambda tree: {
    jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }
  wanted, found = path_of(wanted), path_of(found)
  for path in sorted(wanted.keys() | found.keys()):
    if wanted.get(path) != found.get(path):
      raise ValueError(
        f"the reference's network is not that of config.model: {path} has shape "
        f"{found.get(path)} and should have {wanted.get(path)}"
      )
