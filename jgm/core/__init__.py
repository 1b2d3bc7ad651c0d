"""The contract: one training state, one type of step, and what carries them."""

from jgm.core.choice import choose
from jgm.core.collectives import pmean, shared_key
from jgm.core.experiment import (
  Aux,
  Dataset,
  Evaluation,
  Experiment,
  LogProb,
  Pretrained,
  Scalar,
  Step,
)
from jgm.core.optimizer import make_optimizer
from jgm.core.parallel import make_program
from jgm.core.state import Array, PyTree, TrainState, new_state
from jgm.core.step import gradient_step, repeat, with_ema

__all__ = [
  "Array",
  "Aux",
  "Dataset",
  "Evaluation",
  "Experiment",
  "LogProb",
  "Pretrained",
  "PyTree",
  "Scalar",
  "Step",
  "TrainState",
  "choose",
  "gradient_step",
  "make_optimizer",
  "make_program",
  "new_state",
  "pmean",
  "repeat",
  "shared_key",
  "with_ema",
]
