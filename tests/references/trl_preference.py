"""Writes trl's sequence log-probabilities, DPO and IPO losses, in float64.

In an environment of its own, once; the tests read only the arrays:

    pip install --no-deps -r benchmarks/requirements-trl.txt
    python tests/references/trl_preference.py

What computes them are two methods of trl's DPOTrainer: `concatenated_forward`, from
tokens and a model's logits to log-probabilities, and `dpo_loss`, from these to losses.
They are called without a trainer, on what they read of one, and with a "model" that
gives fixed logits. trl has no other function of the loss alone; its newest versions
have none at all.

For IPO trl divides the log-probabilities by the number of tokens: "mean" here. The
paper does not, and so the same `dpo_loss` is also given the sums.
"""

import hashlib
import json
import pathlib
import platform
from types import SimpleNamespace

import numpy as np
import torch
import transformers
import trl
from trl.trainer.dpo_config import FDivergenceType

OUTPUT = pathlib.Path(__file__).with_suffix(".npz")
PAIRS, PROMPT, ANSWER, VOCABULARY = 6, 3, 5, 7
BETA, SMOOTHING = 0.3, 0.2
LOSSES = {"sum": "sigmoid", "mean": "ipo"}  # which reduction trl takes for which loss


def trainer(loss_type, label_smoothing=0.0):
  """What the two methods read of a DPOTrainer."""
  return SimpleNamespace(
    loss_type=[loss_type],
    beta=BETA,
    label_smoothing=label_smoothing,
    f_divergence_type=FDivergenceType.REVERSE_KL,
    reference_free=False,
    accelerator=SimpleNamespace(device="cpu"),
    args=SimpleNamespace(rpo_alpha=None, ld_alpha=None),
    concatenated_inputs=trl.DPOTrainer.concatenated_inputs,
    pad_token_id=0,
    aux_loss_enabled=False,
    is_encoder_decoder=False,
    max_length=None,
    use_logits_to_keep=False,
    padding_free=False,
    use_weighting=False,
  )


def log_probabilities(batch, logits, reduction):
  """Of all chosen and all rejected answers, from logits [2 PAIRS, T, V]."""
  model = lambda tokens, **_: SimpleNamespace(logits=logits)
  out = trl.DPOTrainer.concatenated_forward(trainer(LOSSES[reduction]), model, batch)
  return out["chosen_logps"], out["rejected_logps"]


def loss(logps, ref_logps, loss_type, label_smoothing=0.0):
  """The loss of each pair, and the implicit rewards."""
  return trl.DPOTrainer.dpo_loss(
    trainer(loss_type, label_smoothing), *logps, *ref_logps, loss_type=loss_type
  )


def make_batch(random):
  """Prompts of one length, answers of 1 to ANSWER tokens."""
  tokens = lambda *shape: torch.from_numpy(random.integers(1, VOCABULARY, shape))
  batch = {"prompt_input_ids": tokens(PAIRS, PROMPT)}
  batch["prompt_attention_mask"] = torch.ones(PAIRS, PROMPT, dtype=torch.int64)
  for side in ("chosen", "rejected"):
    lengths = torch.from_numpy(random.permutation([1, 2, 3, 4, 5, 5]))
    mask = (torch.arange(ANSWER) < lengths[:, None]).long()
    batch[f"{side}_attention_mask"] = mask
    batch[f"{side}_input_ids"] = tokens(PAIRS, ANSWER) * mask
  return batch


def make_arrays():
  """Everything that is written: {name: array}."""
  random = np.random.default_rng(0)
  batch = make_batch(random)
  shape = (2 * PAIRS, PROMPT + ANSWER, VOCABULARY)
  numbers = lambda: torch.from_numpy(2 * random.standard_normal(shape).astype("f4"))
  policy, ref = numbers().double().requires_grad_(), numbers().double()
  arrays = {name: np.asarray(value) for name, value in batch.items()}
  arrays |= {"beta": BETA, "label_smoothing": SMOOTHING}
  arrays |= {"policy_logits": policy.detach().numpy(), "ref_logits": ref.numpy()}

  def put(name, losses):
    (gradient,) = torch.autograd.grad(losses.sum(), policy, retain_graph=True)
    arrays[name] = losses.detach().numpy()
    arrays[f"{name}/gradient"] = gradient.numpy()

  for reduction in LOSSES:
    logps = log_probabilities(batch, policy, reduction)
    ref_logps = log_probabilities(batch, ref, reduction)
    put(f"logp/{reduction}", torch.stack(logps))
    put(f"ipo/{reduction}", loss(logps, ref_logps, "ipo")[0])
    if reduction == "sum":
      losses, *rewards = loss(logps, ref_logps, "sigmoid")
      put("dpo", losses)
      put("dpo/smoothed", loss(logps, ref_logps, "sigmoid", SMOOTHING)[0])
      arrays["rewards"] = torch.stack(rewards).numpy()
  return arrays


def main() -> None:
  """Writes the arrays, and beside them the versions and the hash."""
  np.savez(OUTPUT, **make_arrays())
  about = {
    "trl": trl.__version__,
    "transformers": transformers.__version__,
    "torch": torch.__version__,
    "numpy": np.__version__,
    "python": platform.python_version(),
    "sha256": hashlib.sha256(OUTPUT.read_bytes()).hexdigest(),
  }
  OUTPUT.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
  main()
