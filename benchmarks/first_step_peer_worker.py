"""The peer's side: a process that makes its network and takes one training step.

It runs in the environment of `requirements-peer.txt` or `requirements-transformers.txt`
and counts no FLOPs: those are asserted where steps are measured.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.worker import num_threads


def main() -> None:
  job = json.loads(sys.argv[1])
  make = make_ddpm if job["experiment"] == "ddpm" else make_gpt
  step, imported = make(job)
  step()
  now = time.time()
  answer = {"wall": now - job["started"], "imports": imported - job["started"]}
  print(json.dumps(answer), flush=True)


def make_ddpm(job: dict[str, Any]) -> tuple[Callable[[], None], float]:
  """A training step of diffusers' U-Net, and when its libraries were there."""
  import torch

  from benchmarks.peer_worker import make_model, make_step

  imported = time.time()
  torch.set_num_threads(num_threads())
  height, width, channels = job["shape"]
  images = torch.rand(job["batch_size"], channels, height, width) * 2 - 1
  model = make_model(job["model"], job["shape"])
  return make_step(model, images, compiled=job["compiled"]), imported


def make_gpt(job: dict[str, Any]) -> tuple[Callable[[], None], float]:
  """A training step of transformers' GPT-2, and when its libraries were there."""
  import torch

  from benchmarks.gpt_peer_worker import make_model, make_step
  from benchmarks.gpt_weights import random_tokens

  imported = time.time()
  torch.set_num_threads(num_threads())
  tokens = torch.from_numpy(random_tokens(job))
  return make_step(make_model(job), tokens, job["compiled"]), imported


if __name__ == "__main__":
  main()
