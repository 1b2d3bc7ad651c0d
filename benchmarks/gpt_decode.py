"""Greedy tokens per second of experiments/gpt.py, beside transformers' GPT-2.

All of a text from its first token, by the cache: jgm's `sample`, and transformers'
`generate`. The sides write the same tokens (asserted).
"""

from typing import Any

from rich.console import Console

from benchmarks.contest import Contestants, measure, ran
from benchmarks.gpt_step import PEER, PEERS, assert_same, peer, report
from benchmarks.gpt_step import WORKLOADS as STEPS

__all__ = ["PEERS", "WORKLOADS", "bench"]
WORKLOADS = {
  name: {**workload, "task": "decode", "num_tokens": workload["context"], "texts": 1}
  for name, workload in STEPS.items()
}


def contestants(workload: dict[str, Any]) -> Contestants:
  """Who takes part."""
  return {
    "jgm": ("jgm", "benchmarks.gpt_worker", workload),
    PEER: peer(workload, compiled=False),
    f"{PEER}, compiled, static cache": peer(workload, compiled=True),
  }


def bench(name: str, rounds: int, console: Console) -> dict[str, Any]:
  """Measures one workload, prints it, and returns what is written down."""
  workload = WORKLOADS[name]
  results = measure(contestants(workload), units=workload["texts"], rounds=rounds)
  assert_same(results)
  written = [result["tokens"] for result in ran(results).values()]
  assert all(tokens == written[0] for tokens in written), f"tokens differ: {written}"
  size, num_tokens = workload["batch_size"], workload["num_tokens"]
  title = f"{num_tokens} greedy tokens of {size} texts, {name}"
  options = {"unit": "tokens", "per_unit": size * num_tokens, "passes": 1}
  return report(title, results, console, **options)
