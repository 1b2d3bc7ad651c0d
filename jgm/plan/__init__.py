"""What a run would cost on devices that nobody has rented yet. Nothing runs.

The step is compiled for the topology by XLA's own compiler for it. Memory is what that
executable says; operations, bytes and collectives are counted in its text.
"""

from jgm.plan.plan import DoesNotFit, Plan, compile_and_count, make_plan
from jgm.plan.topology import Topology, TopologyError, find_topology

__all__ = [
  "DoesNotFit",
  "Plan",
  "Topology",
  "TopologyError",
  "compile_and_count",
  "find_topology",
  "make_plan",
]
