"""What the README tells a newcomer to write works as it stands there."""

import pathlib
import re
import types

import jax.numpy as jnp
import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_loss_of_the_readme_is_a_loss():
  snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
  (snippet,) = (each for each in snippets if "def huber" in each)
  regression = types.ModuleType("regression")
  source = (ROOT / "jgm/losses/regression.py").read_text()
  exec(source + snippet, vars(regression))
  output, target = jnp.array([[0.5, 3.0], [0.0, 0.0]]), jnp.zeros((2, 2))
  wanted = [(0.5 * 0.5**2 + 3.0 - 0.5) / 2, 0.0]
  np.testing.assert_allclose(regression.huber(output, target), wanted, rtol=1e-6)
