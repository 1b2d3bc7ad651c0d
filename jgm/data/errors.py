"""What is said to a person whose dataset cannot be had."""


class DatasetError(ValueError):
  """A dataset that is unknown, not there or not readable; says what to do about it."""
