"""Where each leaf of the state lies on the mesh: replicated, or cut over its axes.

Tensor parallelism cuts what a table of rules names over `model`; FSDP cuts every large
leaf, the averages and the optimiser's among them, over `data` besides. XLA adds the
collectives that a step then needs.

References: Shoeybi et al. 2019, section 3, for tensor parallelism.
https://arxiv.org/abs/1909.08053
Rajbhandari et al. 2020, section 5, "ZeRO", for what is called FSDP: all that is kept
between steps is cut, as in their stage 3; within a step the weights are whole.
https://arxiv.org/abs/1910.02054
"""

import re
from collections.abc import Sequence

import jax
from jax.sharding import Mesh, PartitionSpec

from jgm.core.collectives import DATA_AXIS, MODEL_AXIS
from jgm.core.state import PyTree, TrainState

# Elements, up to which a leaf is replicated: it is hardly worth a message.
SMALL = 2**16

# A regular expression of how the paths of some parameters end, "attention/qkv/kernel";
# which of their axes is cut over `model`; and the number of pieces of that axis that
# stay whole, such as heads, or None.
Rule = tuple[str, int, int | None]


def state_specs(
  state: TrainState,
  mesh: Mesh,
  *,
  rules: Sequence[Rule] = (),
  fsdp: bool = False,
) -> TrainState:
  """How each leaf of a state is cut.

  A leaf of the optimiser or of the average ends in its parameter's name, and is cut as
  that is where it has its shape.

  Args:
    state: its shapes.
    mesh: with axes `data` and `model`.
    rules: the first that names a leaf holds; without one it is not cut over `model`.
    fsdp: whether leaves of more than `SMALL` elements are cut over `data` too, along
      the longest axis that `data` divides and `model` does not cut.

  Returns:
    The state's tree of PartitionSpecs. Property: with fsdp the leaves that are cut take
    a device 1/N of what they take whole.

  Raises:
    ValueError: if a rule names no parameter, or an axis that is not there or whose
      pieces `model` does not divide.
  """
  num_model, num_data = mesh.shape[MODEL_AXIS], mesh.shape[DATA_AXIS]
  shapes = _shapes_by_rule(rules, state.params) if num_model > 1 else {}

  def spec(path, leaf) -> PartitionSpec:
    name = _name(path)
    axes: list[str | None] = [None] * leaf.ndim
    rule = _rule_of(name, rules)
    if rule is not None and leaf.shape in shapes.get(rule, ()):
      axes[_axis(rule, name, leaf.shape, num_model)] = MODEL_AXIS
    if fsdp and num_data > 1 and leaf.size > SMALL:
      free = [i for i, n in enumerate(leaf.shape) if not axes[i] and n % num_data == 0]
      if free:
        axes[max(free, key=lambda i: leaf.shape[i])] = DATA_AXIS
    return PartitionSpec(*axes) if any(axes) else PartitionSpec()

  return jax.tree_util.tree_map_with_path(spec, state)


def _rule_of(name: str, rules: Sequence[Rule]) -> Rule | None:
  named = (rule for rule in rules if re.search(rf"(?:^|/)(?:{rule[0]})$", name))
  return next(named, None)


def _axis(rule: Rule, name: str, shape: tuple[int, ...], num_model: int) -> int:
  if not -len(shape) <= rule[1] < len(shape):
    raise ValueError(f"the rule {rule} names no axis of {name} {list(shape)}")
  axis, pieces = rule[1] % len(shape), rule[2]
  if (pieces or shape[axis]) % num_model or shape[axis] % num_model:
    of_pieces = f", of {pieces} pieces," if pieces else ""
    raise ValueError(
      f"config.parallel.model_devices={num_model} does not divide axis {axis}"
      f"{of_pieces} of {name} {list(shape)}, which is to be cut over them"
    )
  return axis


def _shapes_by_rule(
  rules: Sequence[Rule], params: PyTree
) -> dict[Rule, set[tuple[int, ...]]]:
  """The shapes of the parameters that each rule names; it names some."""
  if not rules:
    raise ValueError(
      "this experiment has no rules for cutting its networks over `model`: set "
      "config.parallel.model_devices to 1"
    )
  paths = jax.tree_util.tree_leaves_with_path(params)
  named = [(_name(path), leaf.shape) for path, leaf in paths]
  found = {
    rule: {shape for name, shape in named if _rule_of(name, rules) == rule}
    for rule in rules
  }
  for rule, shapes in found.items():
    if not shapes:
      raise ValueError(
        f"the rule {rule} names none of the parameters, or an earlier rule all of "
        f"those that it does; they are {', '.join(name for name, _ in named[:8])}, ..."
      )
  return found


def _name(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator="/")
