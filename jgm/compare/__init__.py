"""Several methods on the same data under the same budget: one table, one page."""

from jgm.compare.main import main

__all__ = ["main"]
