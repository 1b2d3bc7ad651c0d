"""The jit strategy: one program over the mesh, or many seeds in one program."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jgm.core.collectives import DATA_AXIS, MODEL_AXIS
from jgm.core.compiled import Advance, make_advance, make_call
from jgm.core.experiment import Batch, Experiment, Metrics
from jgm.core.placing import make_placing
from jgm.core.program import (
  RUN_ONCE,
  Program,
  abstract_state,
  base_key,
  batch_at,
  batched_leaves,
  with_shardings,
)
from jgm.core.sharding import state_specs
from jgm.core.state import Array, PyTree, TrainState

# Else libtpu takes a product and its sum over devices in turns, piece by piece, and
# copies the other factor for that: of GPT-2 medium the logits, 8 GiB a chip.
WHOLE_PRODUCTS = {"xla_jf_spmd_threshold_for_windowed_einsum_mib": "1000000"}
KEEPS_A_CPU_BUSY = 2**17  # parameters, from which on a step does


def make_jit_program(
  experiment: Experiment,
  pretrained: Mapping[str, PyTree],
  mesh: Mesh,
  *,
  num_seeds: int,
  steps_per_call: int,
  seeds_over_data: bool,
  fsdp: bool,
) -> Program:
  """The batch over `data`, the state replicated or cut; or the seeds over `data`.

  Args:
    experiment: what to train.
    pretrained: what it asks for of other runs.
    mesh: the devices.
    num_seeds: see `jgm.core.parallel.make_program`, as for the rest.
    steps_per_call: the greatest number of steps of a call.
    seeds_over_data: whether each device has some seeds, and the whole batch.
    fsdp: whether large leaves are cut over `data`.

  Returns:
    The Program.
  """
  init, advance = experiment.init, make_advance(experiment.step)
  one = abstract_state(init, base_key(0), pretrained)
  specs = _specs(experiment, one, mesh, fsdp=fsdp)
  is_tpu = mesh.devices.flat[0].platform == "tpu"
  is_cut = fsdp or mesh.shape[MODEL_AXIS] > 1
  if fsdp:
    gathered = _specs(experiment, one, mesh, fsdp=False)
    advance = _with_gathered_weights(advance, gathered, specs, mesh)
  if num_seeds > 1:
    init = jax.vmap(init, (0, None))
    advance = _over_seeds(advance, one, mesh)
    seeds = DATA_AXIS if seeds_over_data else None
    # A batch that each device has whole is not cut, and nor is what has its axis.
    whole = lambda axis: None if seeds_over_data and axis == DATA_AXIS else axis
    specs = jax.tree.map(lambda spec: PartitionSpec(seeds, *map(whole, spec)), specs)
  replicated = NamedSharding(mesh, PartitionSpec())
  over_data = NamedSharding(mesh, PartitionSpec(DATA_AXIS))

  def batch(arrays: PyTree, step: Array) -> Batch:
    rows = batch_at(experiment, arrays, step)
    whole = replicated if seeds_over_data else over_data
    return jax.lax.with_sharding_constraint(rows, whole)

  def init_seeds(seed: Array, pretrained: Mapping[str, PyTree]) -> PyTree:
    if num_seeds == 1:
      return init(base_key(seed), pretrained)
    return init(jax.vmap(base_key)(seed + jnp.arange(num_seeds)), pretrained)

  shapes = jax.eval_shape(init_seeds, 0, pretrained)
  shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
  compiled_init = jax.jit(
    init_seeds, out_shardings=shardings, compiler_options=RUN_ONCE
  )
  options = WHOLE_PRODUCTS if fsdp and is_tpu else {}
  run = jax.jit(
    make_call(advance, batch, steps_per_call=steps_per_call, join=not is_cut),
    donate_argnums=0,
    out_shardings=(shardings, replicated, replicated),
    compiler_options=options or None,
  )
  placing = make_placing(experiment.data, mesh, whole=seeds_over_data)
  abstract = with_shardings(shapes, shardings)

  def traced(arrays: PyTree) -> jax.stages.Traced:
    # Of the very shapes and shardings of a call, which then does not trace again.
    return run.trace(abstract, placing.abstract(arrays), jnp.zeros((), jnp.int32))

  def trace(arrays: PyTree) -> None:
    traced(arrays)

  return Program(
    init=lambda seed: compiled_init(np.int32(seed), pretrained),
    run=lambda state, arrays, n: run(state, arrays, np.int32(n)),
    rerun=jax.jit(
      lambda s, arrays: advance(s, batch(arrays, jnp.ravel(s.step)[0])),
      out_shardings=(shardings, replicated),
    ),
    trace=trace,
    lower=lambda arrays: traced(arrays).lower(),
    place=placing.place,
    rows=placing.rows,
    whole=lambda state: state,
    running=lambda state: state,
    abstract=abstract,
    num_seeds=num_seeds,
    steps_per_call=steps_per_call,
    batch_devices=1 if seeds_over_data else mesh.shape[DATA_AXIS],
    options=options,
  )


def _specs(
  experiment: Experiment, state: TrainState, mesh: Mesh, *, fsdp: bool
) -> TrainState:
  """How one seed's state is cut: what has a batch axis over `data`, as the batch is."""
  cut = state_specs(state, mesh, rules=experiment.sharding_rules, fsdp=fsdp)
  over_data = PartitionSpec(DATA_AXIS)
  return jax.tree.map(
    lambda batched, spec: over_data if batched else spec,
    batched_leaves(experiment, state),
    cut,
  )


def _with_gathered_weights(
  advance: Advance, gathered: TrainState, cut: TrainState, mesh: Mesh
) -> Advance:
  """A step that brings the weights to the batch, and not the batch to the weights.

  Left to itself XLA may keep a weight where it lies, and gather activations for it:
  of a Transformer a hundred times as many bytes. Averages and the optimiser's leaves
  are not gathered: a step updates them where they lie.
  """

  def constrained(state: TrainState, specs: TrainState, *fields: str) -> TrainState:
    constrain = lambda leaf, spec: jax.lax.with_sharding_constraint(
      leaf, NamedSharding(mesh, spec)
    )
    found = {f: (getattr(state, f), getattr(specs, f)) for f in fields}
    return state.replace(
      **{f: jax.tree.map(constrain, *trees) for f, trees in found.items()}
    )

  def advance_gathered(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    state = constrained(state, gathered, "params", "model_state", "extra")
    new_state, metrics = advance(state, batch)
    fields = "params", "model_state", "extra", "opt_state", "ema_params"
    return constrained(new_state, cut, *fields), metrics

  return advance_gathered


def _over_seeds(advance: Advance, one: TrainState, mesh: Mesh) -> Advance:
  """One step of many states, [N, ...] each, on the same batch.

  All at once, but on a lone CPU whose cores one of them keeps busy: there they would
  only push each other out of the cache, and take their steps in turn.
  """
  num_parameters = sum(leaf.size for leaf in jax.tree.leaves(one.params))
  if takes_turns(num_parameters, list(mesh.devices.flat)):
    return lambda states, batch: jax.lax.map(lambda s: advance(s, batch), states)
  return jax.vmap(advance, (0, None))


def takes_turns(num_parameters: int, devices: Sequence[jax.Device]) -> bool:
  """Whether many seeds of so many parameters each step one after another."""
  is_lone_cpu = len(devices) == 1 and devices[0].platform == "cpu"
  return is_lone_cpu and num_parameters > KEEPS_A_CPU_BUSY
