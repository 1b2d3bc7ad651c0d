"""Which classes to sample."""

import jax
import jax.numpy as jnp

Array = jax.Array


def class_labels(
  n: int, num_classes: int | None, class_label: int | None = None
) -> Array:
  """The classes of n samples: the one asked for, or all of them in turn.

  Args:
    n: how many.
    num_classes: K of a conditional model; None where the model knows no classes.
    class_label: the class asked for; None asks for none.

  Returns:
    [n] int32, in 0 .. K-1; zeros where there are no classes.

  Raises:
    ValueError: if a class is asked for that the model does not know.
  """
  if class_label is None:
    return jnp.arange(n, dtype=jnp.int32) % (num_classes or 1)
  if num_classes is None:
    raise ValueError(
      f"class {class_label} was asked for, and the model was trained without classes"
    )
  if not 0 <= class_label < num_classes:
    raise ValueError(f"class {class_label}: there are 0 to {num_classes - 1}")
  return jnp.full(n, class_label, jnp.int32)
