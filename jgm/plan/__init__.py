"""What a run would cost on devices that nobody has rented yet. Nothing runs.

The step is compiled for the topology by XLA's own compiler for it. Memory is what that
executable says; operations, bytes and collectives are counted in its text.
"""

from jgm.plan.compiled import DoesNotFit, compile_call
from jgm.plan.plan import Plan, make_plan, measure
from jgm.plan.topology import Topology, TopologyError, find_topology

__all__ = [
  "DoesNotFit",
  "Plan",
  "Topology",
  "TopologyError",
  "compile_call",
  "find_topology",
  "make_plan",
  "measure",
]
