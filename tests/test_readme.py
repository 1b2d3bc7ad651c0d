"""What the README tells a newcomer to write works as it stands there."""

import pathlib
import re
import types

import jax.numpy as jnp
import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def snippet_with(words):
  snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
  (snippet,) = (each for each in snippets if words in each)
  return snippet


def test_the_loss_of_the_readme_is_a_loss():
  snippet = snippet_with("def huber")
  regression = types.ModuleType("regression")
  source = (ROOT / "jgm/losses/regression.py").read_text()
  exec(source + snippet, vars(regression))
  output, target = jnp.array([[0.5, 3.0], [0.0, 0.0]]), jnp.zeros((2, 2))
  wanted = [(0.5 * 0.5**2 + 3.0 - 0.5) / 2, 0.0]
  np.testing.assert_allclose(regression.huber(output, target), wanted, rtol=1e-6)


def test_the_transport_of_the_readme_converges():
  x, y = np.eye(5, 2, dtype=np.float32), np.ones((4, 2), np.float32)
  names = {"x": x, "y": y, "a": np.full(5, 0.2), "b": np.full(4, 0.25)}
  exec(snippet_with("from jgm import ot"), names)
  assert names["solved"].converged
