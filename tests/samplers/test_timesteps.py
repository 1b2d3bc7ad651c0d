"""The steps of a sampler, listed by hand and for every number of steps."""

import numpy as np
import pytest

from jgm.noise import CLEAN, linear_beta_schedule
from jgm.samplers.timesteps import SPACINGS, checked_pairs, timestep_pairs


def test_listed_by_hand():
  pairs = lambda *args, **kwargs: timestep_pairs(*args, **kwargs).tolist()
  assert pairs(1, 1000) == [[999, -1]]
  assert pairs(4, 100) == [[99, 66], [66, 33], [33, 0], [0, -1]]
  assert pairs(4, 100, spacing="trailing") == [[99, 74], [74, 49], [49, 24], [24, -1]]
  assert pairs(4, 100, spacing="quadratic") == [[99, 44], [44, 11], [11, 0], [0, -1]]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_number_of_steps_is_a_chain_from_the_noise_to_the_data(spacing):
  """`checked_pairs` demands it of any list; here also that nothing is missing."""
  schedule = linear_beta_schedule(60)
  for num_steps in range(1, 61):
    pairs = checked_pairs(timestep_pairs(num_steps, 60, spacing=spacing), schedule)
    assert pairs.shape == (num_steps, 2)
    assert pairs[0, 0] == 59 and pairs[-1, 1] == CLEAN and pairs[-1, 0] >= 0
  np.testing.assert_array_equal(pairs, checked_pairs(None, schedule))


def test_bad_input_is_named():
  schedule = linear_beta_schedule(10)
  for num_steps in (0, 11):
    with pytest.raises(ValueError, match=f"1 to 10 steps.*got {num_steps}"):
      timestep_pairs(num_steps, 10)
  with pytest.raises(ValueError, match=r"unknown spacing 'leading'.*'linspace'"):
    timestep_pairs(5, 10, spacing="leading")
  with pytest.raises(ValueError, match=r"must be \[S, 2\]"):
    checked_pairs([9, 5, -1], schedule)
  for broken in ([[9, 5], [4, -1]], [[5, 9], [9, -1]], [[5, 5], [5, -1]]):
    with pytest.raises(ValueError, match="follow on each other"):
      checked_pairs(broken, schedule)
  for outside in ([[10, -1]], [[9, -2]]):
    with pytest.raises(ValueError, match=r"must lie in -1 \.\. 9"):
      checked_pairs(outside, schedule)
  continuous = schedule._replace(num_steps=None)
  with pytest.raises(ValueError, match="discrete schedule"):
    checked_pairs(None, continuous)
