"""The benchmarks are no part of the install: they are found in the checkout."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[2]))
