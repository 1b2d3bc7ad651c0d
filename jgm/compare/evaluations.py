"""How often a sampler asks its network for one sample."""

from collections.abc import Callable

from ml_collections import ConfigDict

# Of S steps, the last of which ends at clean data; by the name of the sampler.
BY_SAMPLER: dict[str, Callable[[int, ConfigDict], int]] = {
  "ancestral": lambda s, _: s,
  "annealed_langevin": lambda s, own: (
    s * own.annealed_langevin.steps_per_level + 1  # the last takes the noise away
  ),
  "ddim": lambda s, _: s,
  "dpm_solver": lambda s, _: s,
  "euler_maruyama": lambda s, _: s,
  "heun": lambda s, _: 2 * s - 1,  # the last step is Euler's
  "predictor_corrector": lambda s, own: (
    s + (s - 1) * own.predictor_corrector.num_corrections  # clean data need none
  ),
}


def network_evaluations(config: ConfigDict) -> int | None:
  """Evaluations of the network for each sample, by the config alone.

  Args:
    config: a run's.

  Returns:
    1 of a generator, which makes samples of noise in one pass; None where the config
    does not tell: an adaptive solver, chains of its own, or guidance, which asks more
    than one network. Property: what a denoiser counts that is called one by one.
  """
  if "noise_dimension" in config:
    return 1
  if "guidance" in config or "sampler" not in config.sample:
    return None
  if config.sample.sampler not in BY_SAMPLER:
    return None
  count = BY_SAMPLER[config.sample.sampler]
  return count(config.sample.num_steps, config.samplers)
