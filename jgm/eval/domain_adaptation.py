"""How well a classifier does in a domain whose labels it never saw, and why.

Beside the accuracies: can a network be trained to tell the domains apart by the
features? The adversary's own accuracy says little, for it may just have given up.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from jgm.core import make_program
from jgm.core.experiment import Dataset, Evaluation, Experiment, Scalar
from jgm.core.loop import train
from jgm.core.program import base_key
from jgm.core.state import Array, PyTree, TrainState
from jgm.eval.domain_pictures import feature_sheet, prediction_sheet
from jgm.models.classifier import Head
from jgm.samplers import in_chunks

CHUNK = 1000  # images at a time
PROBE_FEATURES, PROBE_RATE, PROBE_DECAY = 100, 2e-3, 1e-2


class Networks(NamedTuple):
  """What is looked at; `params` are those of one training, averaged."""

  features: Callable[[PyTree, Array], Array]  # (params, x [B, ...]) -> [B, D]
  classes: Callable[[PyTree, Array], Array]  # (params, features) -> logits [B, K]
  domain: Callable[[PyTree, Array], Array]  # (params, features) -> logit of target [B]


class Domain(NamedTuple):
  """The held-out examples of one domain, and what networks make of them."""

  features: Any  # [N, D]
  predicted: Any  # [N] int, the class
  taken_for_target: Any  # [N] bool, by the domain classifier
  probed_as_target: Any  # [N] bool, by the probe


class Seen(NamedTuple):
  """What one training sees in both domains."""

  source: Domain
  target: Domain

  def told_apart(self, field: str) -> float:
    """The mean of both domains' shares that are told for what they are."""
    source, target = getattr(self.source, field), getattr(self.target, field)
    return float(1 - source.mean() + target.mean()) / 2


def trained(experiment: Experiment, config: ConfigDict) -> PyTree:
  """The averaged parameters of an experiment after `config.total_steps`, on the host.

  Args:
    experiment: what to train; it needs no other run.
    config: its config.

  Returns:
    `ema_params`. Property: those of a run by the same config.
  """
  parallel = config.parallel
  is_alone = parallel.data_devices * parallel.model_devices == 1
  # One device is this process's own: each of several trains for itself.
  devices = jax.local_devices()[:1] if is_alone else None
  program = make_program(experiment, **parallel, devices=devices)
  state = program.init(config.seed)
  for chunk in train(experiment, program, state, total_steps=config.total_steps):
    state = chunk.state
  return jax.device_get(program.whole(state).ema_params)


def make_adaptation_evaluation(
  data: Dataset,
  networks: Networks,
  baselines: Callable[[], Mapping[str, PyTree]],
  *,
  probe_steps: int,
  seed: int,
) -> Callable[[TrainState, Array], Evaluation]:
  """The `evaluate` of an adaptation to a domain without labels.

  Args:
    data: of both domains, as `pair_domains` makes them.
    networks: the method's.
    baselines: () -> parameters of the same networks by name: "source_only", trained on
      the source alone, and "target_only", on the target's labels; or none.
    probe_steps: training steps of the probe.
    seed: of the probe.

  Returns:
    (state, key) -> Evaluation. It trains the baselines at its first call.
  """
  look = make_look(data, networks, probe_steps=probe_steps, seed=seed)
  seen_of_baselines: dict[str, Seen] = {}

  def evaluate(state: TrainState, key: Array) -> Evaluation:
    del key  # all is held-out data; the probe's seed is the config's
    if not seen_of_baselines:
      seen_of_baselines.update({k: look(p) for k, p in baselines().items()})
    seen = look(jax.device_get(state.ema_params))
    test = data.split("test")
    n = min(len(test["x"]), len(test["x_target"]))
    scalars = accuracies(seen, seen_of_baselines, test)
    scalars |= domain_scalars(seen, seen_of_baselines, n)
    warnings = warnings_of(scalars, n) if seen_of_baselines else ()
    shown = {"this run": seen}
    if seen_of_baselines:
      shown = {"source alone": seen_of_baselines["source_only"], **shown}
    pictures = {
      "held-out digits and what they are taken for": prediction_sheet(
        {k: (v.source.predicted, v.target.predicted) for k, v in shown.items()},
        test,
        data.spec,
      ),
      "features, by domain and by class": feature_sheet(
        {k: (v.source.features, v.target.features) for k, v in shown.items()}, test
      ),
    }
    return Evaluation(scalars, pictures, warnings)

  return evaluate


def make_look(
  data: Dataset, networks: Networks, *, probe_steps: int, seed: int
) -> Callable[[PyTree], Seen]:
  """params -> what networks with these see in the held-out examples."""

  @jax.jit
  def outputs(params: PyTree, probe: PyTree, x: Array) -> Domain:
    features = networks.features(params, x)
    return Domain(
      features,
      jnp.argmax(networks.classes(params, features), axis=-1),
      networks.domain(params, features) > 0,
      probe_logit(probe, features) > 0,
    )

  fit_probe = make_probe(data, networks, num_steps=probe_steps, seed=seed)

  def look(params: PyTree) -> Seen:
    probe, test = fit_probe(params), data.split("test")

    def of(x: Any) -> Domain:
      one = lambda _, rows: outputs(params, probe, rows)
      return jax.device_get(in_chunks(one, base_key(seed, "evaluate"), x, size=CHUNK))

    return Seen(of(test["x"]), of(test["x_target"]))

  return look


def make_probe(
  data: Dataset, networks: Networks, *, num_steps: int, seed: int
) -> Callable[[PyTree], PyTree]:
  """params -> a network fresh from the start, trained to tell the domains apart.

  It sees the frozen features of the training batches, standardised, for domains whose
  features are small are not alike for that.
  """
  schedule = optax.cosine_decay_schedule(PROBE_RATE, num_steps)
  tx = optax.adamw(schedule, weight_decay=PROBE_DECAY)

  @jax.jit
  def fit(params: PyTree, arrays: PyTree) -> PyTree:
    def both(step: Array | int) -> tuple[Array, Array]:
      batch = data.batch(arrays, jnp.asarray(step))
      features = [networks.features(params, batch[k]) for k in ("x", "x_target")]
      is_target = jnp.repeat(jnp.arange(2.0), len(features[0]))
      return jnp.concatenate(features), is_target

    first, _ = both(0)
    scale = {"mean": first.mean(axis=0), "std": first.std() + 1e-6}
    net = probe_net().init(base_key(seed, "evaluate"), first)["params"]

    def loss(net: PyTree, step: Array) -> Array:
      features, is_target = both(step)
      logit = probe_logit({"net": net, **scale}, features)
      return jnp.mean(optax.sigmoid_binary_cross_entropy(logit, is_target))

    def one_step(carry: PyTree, step: Array) -> tuple[PyTree, None]:
      net, opt_state = carry
      updates, opt_state = tx.update(jax.grad(loss)(net, step), opt_state, net)
      return (optax.apply_updates(net, updates), opt_state), None

    (net, _), _ = jax.lax.scan(one_step, (net, tx.init(net)), jnp.arange(num_steps))
    return {"net": net, **scale}

  return lambda params: jax.device_get(fit(params, data.arrays(0, num_steps)))


def probe_net() -> Head:
  """One hidden layer, as the adversary has by default."""
  return Head(out_features=1, features=PROBE_FEATURES)


def probe_logit(probe: PyTree, features: Array) -> Array:
  """The probe's logit of being of the target: [B]."""
  standardised = (features - probe["mean"][None]) / probe["std"]
  logit: Any = probe_net().apply({"params": probe["net"]}, standardised)
  return logit[:, 0]


def accuracies(
  seen: Seen, baselines: Mapping[str, Seen], test: Mapping[str, Any]
) -> dict[str, Scalar]:
  """The shares of held-out examples of both domains whose class is found."""
  found = {}
  for name, labels in (("source", test["label"]), ("target", test["label_target"])):
    of = lambda each: float(np.mean(getattr(each, name).predicted == labels))  # noqa: B023
    chance = float(np.bincount(labels).max() / len(labels))
    value, n = of(seen), len(labels)
    best: float | None
    worst: float | None
    others = {k: of(each) for k, each in baselines.items()}
    note = f"± {(value * (1 - value) / n) ** 0.5:.2g} of N={n}; chance {chance:.3g}"
    if name == "target" and others:
      best, worst = others["target_only"], others["source_only"]
      note += "; floor: trained on its labels; ceiling: on the source alone"
    else:
      best, worst = others.get("source_only"), chance
      note += "; floor: trained on the source alone" if others else ""
    found[f"{name}_accuracy"] = Scalar(value, best, worst, "higher", note)
  return found


def domain_scalars(
  seen: Seen, baselines: Mapping[str, Seen], n: int
) -> dict[str, Scalar]:
  """How well domains are told apart by features: one half is chance."""
  found = {}
  for name, field, what in (
    ("domain", "taken_for_target", "the domain classifier that was trained along"),
    ("probe", "probed_as_target", "a fresh network trained on the frozen features"),
  ):
    others = {k: each.told_apart(field) for k, each in baselines.items()}
    worst = others.get("source_only", 1.0)
    note = f"{what}; {n} held out of each domain; ceiling: "
    note += "the same on features of the source alone" if others else "all told apart"
    value = seen.told_apart(field)
    found[f"{name}_accuracy"] = Scalar(value, 0.5, worst, "equal to floor", note)
  return found


def warnings_of(scalars: Mapping[str, Scalar], n: int) -> tuple[str, ...]:
  """A warning where the features tell the domains apart as well as without a reversal.

  Args:
    scalars: those of `domain_scalars`.
    n: the number of held-out examples of each domain.

  Returns:
    None or one. That the adversary is at chance is no excuse.
  """
  probe = scalars["probe_accuracy"]
  two_errors = 2 * (0.25 / (2 * n)) ** 0.5
  if probe.ceiling is None or probe.value < probe.ceiling - two_errors:
    return ()
  return (
    f"a fresh network tells the domains apart by these features ({probe.value:.1%}) as "
    f"well as by those of the source alone ({probe.ceiling:.1%}): the reversal did "
    "nothing",
  )
