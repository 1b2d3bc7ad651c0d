import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jgm.data.spec import (
  DataSpec,
  bits_per_dim,
  dequantise,
  from_levels,
  to_levels,
  to_uint8,
)

RANGES = [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-0.5, 0.5), (-3.0, 7.0), (0.0, 1e-3)]
ranges = pytest.mark.parametrize("low, high", RANGES)


def spec_of(levels, low, high):
  return DataSpec((32, 32, 3), levels, low, high)


@ranges
@pytest.mark.parametrize(
  "levels, bits", [(256, 8.0), (17, np.log2(17)), (2, 1.0), (32, 5.0)]
)
def test_a_uniform_model_has_log2_levels_bits(low, high, levels, bits):
  spec = spec_of(levels, low, high)
  # dequantised values reach half a bin beyond either end
  volume = (high - low) * levels / (levels - 1)
  log_density = -spec.dimensions * np.log(volume) * np.ones(4, np.float32)
  log_mass = -spec.dimensions * np.log(levels) * np.ones(4, np.float32)
  from_density = bits_per_dim(jnp.asarray(log_density), spec, discrete=False)
  from_mass = bits_per_dim(jnp.asarray(log_mass), spec, discrete=True)
  np.testing.assert_allclose(from_density, bits, rtol=2e-6)
  np.testing.assert_allclose(from_mass, bits, rtol=1e-6)


def test_the_digits_floor_of_a_uniform_model_is_4_09_bits():
  spec = DataSpec((8, 8, 1), 17)
  log_mass = jnp.full(1, -64 * np.log(17.0))
  assert round(float(bits_per_dim(log_mass, spec, discrete=True)[0]), 2) == 4.09


@ranges
def test_a_narrow_density_has_the_bits_of_the_masses_of_its_bins(low, high):
  spec = DataSpec((1,), 256, low, high)
  normal = scipy.stats.norm((low + high) / 2, 0.2 * (high - low))
  centre = np.linspace(low, high, 256)
  half = spec.bin_width / 2
  log_mass = np.log(normal.cdf(centre + half) - normal.cdf(centre - half))
  exact = bits_per_dim(jnp.asarray(log_mass, jnp.float32), spec, discrete=True)
  log_density = jnp.asarray(normal.logpdf(centre), jnp.float32)
  density = bits_per_dim(log_density, spec, discrete=False)
  # the midpoint rule's relative error is at most (z^2 + 1) bin_width^2 / 24 sigma^2
  np.testing.assert_allclose(density, exact, atol=2e-4)


def test_continuous_data_have_no_bits():
  with pytest.raises(ValueError, match="nats"):
    bits_per_dim(jnp.zeros(3), DataSpec((2,)), discrete=False)
  with pytest.raises(ValueError, match="bin width"):
    _ = DataSpec((2,)).bin_width


@ranges
@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("run", [lambda f, x: f(x), lambda f, x: jax.jit(f)(x)])
def test_levels_and_values_are_inverse_and_stay_in_range(low, high, levels, run):
  spec = spec_of(levels, low, high)
  integers = np.arange(levels).astype(np.uint8)
  values = run(lambda x: from_levels(x, spec), integers)
  assert values.dtype == np.float32
  assert values[0] == np.float32(low)
  assert values.max() <= np.float32(high)
  expected = np.linspace(low, high, levels)
  np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6 * (high - low))
  back = run(lambda x: to_levels(x, spec), values)
  assert back.dtype == np.int32
  np.testing.assert_array_equal(back, integers)


def test_levels_of_values_beyond_the_range_are_the_outermost():
  spec = DataSpec((4,), 17)
  levels = to_levels(np.array([-9.0, -1.2, 1.2, 9.0, 1e30], np.float32), spec)
  np.testing.assert_array_equal(levels, [0, 0, 16, 16, 16])


@ranges
def test_dequantised_values_fill_their_bins_uniformly(low, high, key):
  spec = DataSpec((2_000,), 256, low, high)
  integers = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 2_000))
  x = jnp.asarray(from_levels(integers, spec))
  noisy = jax.jit(lambda x: dequantise(x, spec, key))(x)
  np.testing.assert_array_equal(to_levels(noisy, spec), integers)
  offset = np.asarray(noisy - x, np.float64)[::51] / spec.bin_width + 0.5
  assert np.abs(offset - 0.5).max() <= 0.501
  for row in offset:  # Kolmogorov-Smirnov: 2.5 / sqrt(n) has probability 7e-6
    assert scipy.stats.kstest(row, "uniform").statistic < 2.5 / np.sqrt(len(row))


@ranges
def test_pictures_are_black_at_low_and_white_at_high(low, high):
  spec = spec_of(256, low, high)
  every = from_levels(np.arange(256, dtype=np.uint8), spec)
  np.testing.assert_array_equal(to_uint8(every, spec), np.arange(256))
  wide = np.array([low - 1, low, high, high + 1])
  np.testing.assert_array_equal(to_uint8(wide, spec), [0, 0, 255, 255])
