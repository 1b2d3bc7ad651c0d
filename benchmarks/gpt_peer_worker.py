"""The peer's side: transformers' GPT-2 and the step of experiments/gpt.py in PyTorch.

It runs in the environment of `requirements-transformers.txt`.
"""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.gpt_weights import gpt2_state, random_tokens
from benchmarks.worker import Contestant, num_threads, serve


def make_contestant(workload: dict[str, Any]) -> Contestant:
  """The workload: task, vocab_size, the sizes, batch_size, compiled.

  A unit of work of "train" is a step, of "decode" a batch of `num_tokens` tokens.
  """
  torch.set_num_threads(num_threads())
  torch.manual_seed(0)
  model = make_model(workload)
  tokens = torch.from_numpy(random_tokens(workload))
  with torch.no_grad():
    loss = loss_of(model, tokens).item()
  facts = {
    "parameters": sum(p.numel() for p in model.parameters()),
    "flops": flops_of(workload, tokens),
    "loss": loss,
    "runs": 1,
    "versions": {
      "torch": torch.__version__,
      "transformers": transformers.__version__,
    },
  }
  if workload["task"] == "decode":
    return make_decoder(model, workload, facts)
  step = make_step(model, tokens, workload["compiled"])

  def run(units: int) -> None:
    for _ in range(units):
      step()

  return Contestant(run, facts)


def make_model(workload: dict[str, Any], **options: Any) -> GPT2LMHeadModel:
  """The network, with the weights that both sides have."""
  config = GPT2Config(
    vocab_size=workload["vocab_size"],
    n_positions=workload["context"],
    n_embd=workload["features"],
    n_layer=workload["num_layers"],
    n_head=workload["num_heads"],
    resid_pdrop=0.0,
    embd_pdrop=0.0,
    attn_pdrop=0.0,
    bos_token_id=None,
    eos_token_id=None,
    **options,
  )
  model = GPT2LMHeadModel(config)
  state = {name: torch.from_numpy(a) for name, a in gpt2_state(workload).items()}
  model.transformer.load_state_dict(state)
  return model


def loss_of(model: Callable[..., Any], tokens: torch.Tensor) -> torch.Tensor:
  """The mean cross-entropy in nats."""
  logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
  return cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def flops_of(workload: dict[str, Any], tokens: torch.Tensor) -> int:
  """Operations in the products of one forward pass; the counter knows no fused ones."""
  model = make_model(workload, attn_implementation="eager")
  with FlopCounterMode(display=False) as counter, torch.no_grad():
    loss_of(model, tokens)
  return counter.get_total_flops()


def make_step(
  model: GPT2LMHeadModel, tokens: torch.Tensor, compiled: bool
) -> Callable[[], None]:
  """The gradient, clipped; AdamW; and the average of the parameters."""
  parameters = list(model.parameters())
  average = [p.detach().clone() for p in parameters]
  tx = torch.optim.AdamW(
    parameters, lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
  )
  loss = torch.compile(loss_of) if compiled else loss_of

  def step() -> None:
    tx.zero_grad(set_to_none=True)
    loss(model, tokens).backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    tx.step()
    with torch.no_grad():
      torch._foreach_lerp_(average, parameters, 1 - 0.99)

  return step


def make_decoder(
  model: GPT2LMHeadModel, workload: dict[str, Any], facts: dict[str, Any]
) -> Contestant:
  """Greedy tokens by the library's own `generate`."""
  model.eval()
  options = {"max_new_tokens": workload["num_tokens"], "min_length": 0}
  if workload["compiled"]:  # a cache of one size, or each token is compiled anew
    options["cache_implementation"] = "static"
    model.forward = torch.compile(model.forward)
  first = torch.zeros(workload["batch_size"], 1, dtype=torch.long)
  mask = torch.ones_like(first)

  def write() -> torch.Tensor:
    with torch.inference_mode():
      return model.generate(
        first, attention_mask=mask, do_sample=False, pad_token_id=0, **options
      )[:, 1:]

  def run(units: int) -> None:
    for _ in range(units):
      write()

  return Contestant(run, {**facts, "tokens": write()[0].tolist()})


if __name__ == "__main__":
  serve(make_contestant)
