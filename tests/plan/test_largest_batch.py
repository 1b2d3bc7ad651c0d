"""The largest batch of programs whose memory is known: fixed + per_row * B."""

import pytest

from jgm.plan.largest_batch import Filled, largest_batch, second_batch_size


def filled(batch_size, fixed=1000, per_row=30):
  return Filled(batch_size, fixed + per_row * batch_size)


@pytest.mark.parametrize("sizes", [(8, 16), (16, 8), (64, 32), (4000, 2000)])
@pytest.mark.parametrize("limit", [1000, 1239, 1240, 5000, 50_000])
def test_it_is_exact_where_each_row_takes_as_much(sizes, limit):
  found = largest_batch(*map(filled, sizes), limit, num_devices=8)
  assert found % 8 == 0 and (found == 0 or filled(found).num_bytes <= limit)
  assert filled(found + 8).num_bytes > limit


def test_the_fixed_part_alone_may_be_too_much():
  assert largest_batch(filled(8), filled(16), 10, num_devices=8) == 0


def test_rows_that_take_nothing_have_no_largest_batch():
  assert largest_batch(Filled(8, 100), Filled(16, 100), 1000, num_devices=8) is None
  assert largest_batch(Filled(8, 100), Filled(16, 90), 1000, num_devices=8) is None


@pytest.mark.parametrize(
  ("batch_size", "num_bytes", "second"),
  [(32, 400, 64), (32, 600, 16), (32, 5000, 16), (8, 600, 16), (24, 600, 48)],
)
def test_the_second_batch_is_half_where_twice_may_not_fit(
  batch_size, num_bytes, second
):
  first = Filled(batch_size, num_bytes)
  assert second_batch_size(first, 1000, num_devices=8) == second
