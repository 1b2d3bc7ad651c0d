"""The peer's side: diffusers' UNet2DModel trained with PyTorch on the same workload.

It runs in the environment of `benchmarks/peer.py`; the objective, the clipping, the
optimiser and the average of the parameters are those of experiments/ddpm.py.
"""

from typing import Any

import diffusers
import torch
from diffusers import DDIMScheduler, UNet2DModel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.worker import Contestant, num_threads, serve


def make_contestant(workload: dict[str, Any]) -> Contestant:
  """The workload: task, model (jgm's fields), shape, batch_size, and its form.

  The form is compiled and channels_last. The task "sample" also takes num_steps.
  """
  torch.set_num_threads(num_threads())
  torch.manual_seed(0)
  model = make_model(workload["model"], workload["shape"])
  height, width, channels = workload["shape"]
  images = torch.rand(workload["batch_size"], channels, height, width) * 2 - 1
  if workload["channels_last"]:
    model = model.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)
  is_training = workload["task"] == "train"
  if is_training:
    one = make_step(model, images, compiled=workload["compiled"])
  else:
    one = make_walk(model, images, workload)

  def run(units: int) -> None:
    for _ in range(units):
      one()

  with FlopCounterMode(display=False) as counter, torch.no_grad():
    model(images, torch.zeros(len(images), dtype=torch.int64))
  evaluations = 1 if is_training else workload["num_steps"]
  return Contestant(
    run,
    {
      "parameters": sum(p.numel() for p in model.parameters()),
      "flops": counter.get_total_flops() * evaluations,
      "runs": 1,
      "versions": {
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
      },
    },
  )


def make_model(fields: dict[str, Any], shape: list[int]) -> UNet2DModel:
  """The U-Net of the same channels, blocks and attention as jgm's."""
  multipliers = fields["channel_multipliers"]
  sizes = [shape[0] // 2**i for i in range(len(multipliers))]
  attends = [size in fields["attention_resolutions"] for size in sizes]
  return UNet2DModel(
    sample_size=tuple(shape[:2]),
    in_channels=shape[2],
    out_channels=shape[2],
    layers_per_block=fields["num_blocks"],
    block_out_channels=tuple(fields["channels"] * m for m in multipliers),
    down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attends),
    up_block_types=tuple(
      "AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)
    ),
    attention_head_dim=None,  # one head
    norm_num_groups=8,
  )


def make_step(model: UNet2DModel, images: torch.Tensor, *, compiled: bool):
  """One DDPM training step: loss, gradient, clipping, Adam, average."""
  parameters = list(model.parameters())
  average = [p.detach().clone() for p in parameters]
  optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
  alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
  network = torch.compile(model) if compiled else model

  def step() -> None:
    t = torch.randint(0, 1000, (len(images),))
    eps = torch.randn_like(images)
    signal = alpha_bar[t][:, None, None, None]
    x_t = signal.sqrt() * images + (1 - signal).sqrt() * eps
    loss = torch.nn.functional.mse_loss(network(x_t, t).sample, eps)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    with torch.no_grad():
      torch._foreach_lerp_(average, parameters, 1 - 0.995)

  return step


def make_walk(model: UNet2DModel, images: torch.Tensor, workload: dict[str, Any]):
  """One batch of DDIM samples, by the loop of diffusers' own pipeline."""
  scheduler = DDIMScheduler(num_train_timesteps=1000)
  scheduler.set_timesteps(workload["num_steps"])
  network = torch.compile(model) if workload["compiled"] else model

  @torch.inference_mode()
  def walk() -> None:
    x_t = torch.randn_like(images)
    for t in scheduler.timesteps:
      x_t = scheduler.step(network(x_t, t).sample, t, x_t).prev_sample

  return walk


if __name__ == "__main__":
  serve(make_contestant)
