"""Optimal transport: the Sinkhorn solver, what is built on it, and closed forms."""

from jgm.ot.bures import bures, bures_wasserstein
from jgm.ot.costs import cosine, cost_matrix, euclidean, squared_euclidean
from jgm.ot.coupling import minibatch_coupling, sample_coupling
from jgm.ot.divergence import SinkhornDivergence, sinkhorn_divergence
from jgm.ot.energy import energy_distance
from jgm.ot.entropic_gaussian import (
  entropic_gaussian_cost,
  entropic_gaussian_divergence,
  gaussian_potentials,
)
from jgm.ot.entropic_map import entropic_map
from jgm.ot.gaussian_kernel import gaussian_kernel, median_bandwidth
from jgm.ot.gaussian_map import gaussian_map, gaussian_map_matrix
from jgm.ot.mmd import squared_mmd
from jgm.ot.one_dimensional import wasserstein_1d
from jgm.ot.plan import apply_plan, barycentric_map, plan
from jgm.ot.sinkhorn import (
  SinkhornResult,
  sinkhorn,
  sinkhorn_on_matrix,
  sinkhorn_with_itself,
)
from jgm.ot.sliced import sliced_wasserstein

__all__ = [
  "SinkhornDivergence",
  "SinkhornResult",
  "apply_plan",
  "barycentric_map",
  "bures",
  "bures_wasserstein",
  "cosine",
  "cost_matrix",
  "energy_distance",
  "entropic_gaussian_cost",
  "entropic_gaussian_divergence",
  "entropic_map",
  "euclidean",
  "gaussian_kernel",
  "gaussian_map",
  "gaussian_map_matrix",
  "gaussian_potentials",
  "median_bandwidth",
  "minibatch_coupling",
  "plan",
  "sample_coupling",
  "sinkhorn",
  "sinkhorn_divergence",
  "sinkhorn_on_matrix",
  "sinkhorn_with_itself",
  "sliced_wasserstein",
  "squared_euclidean",
  "squared_mmd",
  "wasserstein_1d",
]
