"""The steps of a sampler, listed by hand and for every number of steps."""

import numpy as np
import pytest

from jgm import noise
from jgm.noise import CLEAN, linear_beta_schedule
from jgm.samplers.timesteps import INTEGER_SPACINGS, checked_pairs, timestep_pairs


def test_integers_listed_by_hand():
  pairs = lambda num_steps, total_steps, **kwargs: timestep_pairs(
    linear_beta_schedule(total_steps), num_steps, **kwargs
  )
  assert pairs(1, 1000).tolist() == [[999, -1]]
  assert pairs(4, 100).tolist() == [[99, 66], [66, 33], [33, 0], [0, -1]]
  trailing = pairs(4, 100, spacing="trailing").tolist()
  assert trailing == [[99, 74], [74, 49], [49, 24], [24, -1]]
  quadratic = pairs(4, 100, spacing="quadratic").tolist()
  assert quadratic == [[99, 44], [44, 11], [11, 0], [0, -1]]
  assert pairs(4, 100).dtype == np.int32


@pytest.mark.parametrize("spacing", INTEGER_SPACINGS)
def test_every_number_of_steps_is_a_chain_from_the_noise_to_the_data(spacing):
  """`checked_pairs` demands it of any list; here also that nothing is missing."""
  schedule = linear_beta_schedule(60)
  for num_steps in range(1, 61):
    pairs = timestep_pairs(schedule, num_steps, spacing=spacing)
    assert checked_pairs(pairs, schedule).shape == (num_steps, 2)
    assert pairs[0, 0] == 59 and pairs[-1, 1] == CLEAN and pairs[-1, 0] >= 0
  np.testing.assert_array_equal(pairs, checked_pairs(None, schedule))


def test_uniform_steps_are_eulers():
  pairs = timestep_pairs(noise.rectified_schedule(), 4)
  np.testing.assert_allclose(pairs, [[1, 0.75], [0.75, 0.5], [0.5, 0.25], [0.25, -1]])
  pairs = timestep_pairs(noise.rectified_schedule(first=0.2), 4)
  np.testing.assert_allclose(pairs[:, 0], [1.0, 0.8, 0.6, 0.4])


@pytest.mark.parametrize("spacing", ["log_snr", "karras"])
def test_spaced_by_the_noise(spacing, path):
  """Both ends exactly, and the spacing that the name says."""
  schedule = path.schedule
  for num_steps in (1, 2, 9, 300):
    pairs = timestep_pairs(schedule, num_steps, spacing=spacing)
    assert checked_pairs(pairs, schedule).shape == (num_steps, 2)
    assert pairs[0, 0] == schedule.last and pairs[-1, 1] == CLEAN
    assert num_steps == 1 or pairs[-1, 0] == schedule.first
  t = pairs[1:, 0] if schedule.alpha(schedule.last) == 0 else pairs[:, 0]
  ratio = schedule.sigma(t) / schedule.alpha(t)
  steps = np.diff(np.log(ratio) if spacing == "log_snr" else ratio ** (1 / 7))
  np.testing.assert_allclose(steps, steps.mean(), rtol=1e-5)


def test_karras_is_the_papers_formula():
  schedule = noise.ve_schedule(0.002, 80.0)
  t = timestep_pairs(schedule, 18, spacing="karras")[:, 0]
  i = np.arange(18) / 17
  wanted = (80 ** (1 / 7) + i * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
  np.testing.assert_allclose(schedule.sigma(t), wanted, rtol=1e-9)


def test_pure_noise_stands_for_a_thousandth_of_signal():
  schedule = noise.rectified_schedule(first=0.01)
  t = timestep_pairs(schedule, 3, spacing="log_snr")[:, 0]
  middle = np.sqrt(1000 / 99)  # sigma / alpha, between 1000 and 1 / 99
  np.testing.assert_allclose(t, [1.0, middle / (1 + middle), 0.01], rtol=1e-9)


def test_steps_may_end_before_the_data():
  schedule = noise.vp_schedule()
  pairs = [[1.0, 0.5], [0.5, 0.2]]
  np.testing.assert_array_equal(checked_pairs(pairs, schedule), pairs)
  pairs = [[9, 4], [4, 2]]
  np.testing.assert_array_equal(checked_pairs(pairs, linear_beta_schedule(10)), pairs)


def test_bad_input_is_named():
  schedule, continuous = linear_beta_schedule(10), noise.vp_schedule()
  with pytest.raises(ValueError, match=r"1 to 10 steps.*got 11.*'log_snr'"):
    timestep_pairs(schedule, 11)
  for each in (schedule, continuous):
    with pytest.raises(ValueError, match="at least 1 step; got 0"):
      timestep_pairs(each, 0)
    with pytest.raises(ValueError, match=r"unknown spacing 'leading'.*'linspace'"):
      timestep_pairs(each, 5, spacing="leading")
  with pytest.raises(ValueError, match=r"'uniform' is not for discrete.*'linspace'"):
    timestep_pairs(schedule, 5, spacing="uniform")
  with pytest.raises(ValueError, match=r"'trailing' is not for continuous.*'uniform'"):
    timestep_pairs(continuous, 5, spacing="trailing")
  with pytest.raises(ValueError, match="make the schedule with a later one"):
    timestep_pairs(noise.rectified_schedule(), 5, spacing="karras")


def test_what_is_no_chain_is_refused():
  schedule, continuous = linear_beta_schedule(10), noise.rectified_schedule()
  with pytest.raises(ValueError, match=r"must be \[S, 2\]"):
    checked_pairs([9, 5, -1], schedule)
  nan = float("nan")
  for broken in ([[9, 5], [4, -1]], [[5, 9], [9, -1]], [[5, 5], [5, -1]], [[9, nan]]):
    with pytest.raises(ValueError, match="follow on each other"):
      checked_pairs(broken, schedule)
  for outside in ([[10, -1]], [[9, -2]]):
    with pytest.raises(ValueError, match=r"must lie in -1 \.\. 9"):
      checked_pairs(outside, schedule)
  with pytest.raises(ValueError, match=r"must lie in -1 \.\. 1"):
    checked_pairs([[1.1, 0.0]], continuous)
  with pytest.raises(ValueError, match="no noise to take away"):
    checked_pairs([[1.0, 0.0], [0.0, -1]], continuous)
  with pytest.raises(ValueError, match=r"give timesteps.*timestep_pairs"):
    checked_pairs(None, continuous)
