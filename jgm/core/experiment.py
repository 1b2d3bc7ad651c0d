"""What one file in `experiments/` makes out of a config, and the data it trains on."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from jgm.core.sharding import Rule
from jgm.core.state import Array, PyTree, TrainState

Batch = Mapping[str, Array]
Metrics = Mapping[str, Array]
Step = Callable[[TrainState, Batch, Array], tuple[TrainState, Metrics]]


class Aux(NamedTuple):
  """What an objective returns beside its scalar."""

  # {"quantity": scalar}; the player's name is put before it.
  metrics: Mapping[str, Array] = {}
  # The new collections; None means unchanged.
  model_state: PyTree = None


class Dataset(NamedTuple):
  """A dataset whose batches are a pure function of (seed, step).

  There is no iterator: a resumed run sees exactly the batches it would have seen.
  Building one reads nothing; `arrays` and `split` do.
  """

  name: str
  spec: Any  # a jgm.data.DataSpec: the shape, the value range, the number of levels
  batch_size: int  # the global batch size B
  # (first step, number of steps, rows=None) -> host arrays. rows: [R], ascending, which
  # rows of each batch to read, such as a process's own; None: all B.
  arrays: Callable[..., PyTree]
  batch: Callable[[PyTree, Array], Batch]  # (arrays, step) -> leaves [B, ...]; pure
  split: Callable[[str], Batch]  # "train" or "test" -> leaves [N, ...], as `batch` has
  # The axis of `arrays` that holds the batch: None for data that live whole on the
  # device, where `arrays` returns the very same object for any steps and rows; 1 for
  # data that are read ahead, where it returns leaves [number of steps, R, ...].
  batch_axis: int | None = None
  # number of steps -> the shapes of `arrays`, without reading; None: not known.
  shapes: Callable[[int], PyTree] | None = None


class Scalar(NamedTuple):
  """A measured number, beside what it could be at best and at worst.

  At best: the same quantity of real data against real data, or the optimum where it is
  known. At worst: that of a model that knows nothing.
  """

  value: float
  floor: float | None = None  # at best
  ceiling: float | None = None  # at worst
  better: Literal["lower", "higher", "equal to floor"] = "lower"
  note: str = ""  # what it was measured with: the feature net, N, the seed


class Evaluation(NamedTuple):
  """Numbers, pictures and texts of one state."""

  scalars: Mapping[str, Scalar]
  images: Mapping[str, Any]  # caption -> uint8 [H, W, 3], ready to look at
  warnings: tuple[str, ...] = ()  # what a person must know: a collapse, copies of data
  texts: Mapping[str, str] = {}  # caption -> what a model wrote, ready to read


class LogProb(NamedTuple):
  """A log-likelihood, and what kind of number it is.

  A density belongs to continuous values. Data that come in grey levels are dequantised
  before `fn` sees them where it is one, by whoever calls it: once, for all methods.
  """

  fn: Callable[[TrainState, Batch, Array], Array]  # (state, batch, key) -> [B], nats
  kind: Literal["exact", "bound"]  # a bound is at most the log-likelihood
  of: Literal["mass", "density"]  # of the batch's grey levels, or of its values


class Pretrained(NamedTuple):
  """What an experiment needs of another run; of its first seed, if it has several.

  Where there is none, it is trained first, by `config`; where it has not ended, to its
  end, as it was configured. One that has is taken as it is, and only its shapes once
  training has begun: these are kept by the checkpoints.
  """

  experiment: str  # the name of a file in experiments/
  config: str  # as on the command line: "configs/gpt.py:smoke"
  field: str  # the field of that run's TrainState: "ema_params"
  workdir: str | None = None  # its folder, local or gs://; None: the default one
  # (("model.num_heads", 4), ...): what its config must say, where no shape would tell.
  agrees: tuple[tuple[str, Any], ...] = ()


class Experiment(NamedTuple):
  """One method, bound to a config. Building it touches no data and no checkpoint."""

  data: Dataset | None
  init: Callable[[Array, Mapping[str, PyTree]], TrainState]  # (key, pretrained)
  step: Step
  evaluate: Callable[[TrainState, Array], Evaluation]
  # (state, key, n, *, **conditions) -> [n, ...]. Each condition is a flag of
  # `--mode=sample`; its default or its annotation says of which type.
  sample: Callable[..., Array]
  log_prob: LogProb | None = None
  # What `init` is given, by name. A field of `extra` of the same name is frozen: it
  # holds what was given, and no step changes a bit of it.
  pretrained: Mapping[str, Pretrained] = {}
  # extra -> the same tree of bools: True where a leaf carries a batch axis. Such leaves
  # are sharded over `data` under jit and split under pmap; all others are replicated.
  batched_extra: Callable[[PyTree], PyTree] | None = None
  # How its networks are cut over the mesh's `model` axis; none: they cannot be.
  sharding_rules: tuple[Rule, ...] = ()
