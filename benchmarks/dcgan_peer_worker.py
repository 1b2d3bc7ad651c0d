"""The peer's side: the networks and the step of experiments/dcgan.py in PyTorch.

It runs in the environment of `benchmarks/peer.py`.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import softplus
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.worker import Contestant, num_threads, serve


def make_contestant(workload: dict[str, Any]) -> Contestant:
  """The workload: shape, batch_size, channels, noise_dimension, layout, compiled.

  A unit of work is one step of the critic and one of the generator.
  """
  torch.set_num_threads(num_threads())
  torch.manual_seed(0)
  height, _, image_channels = workload["shape"]
  sizes = (workload["channels"], num_halvings(height), image_channels)
  generator = make_generator(workload["noise_dimension"], *sizes)
  critic = make_critic(*sizes)
  images = torch.rand(workload["batch_size"], image_channels, height, height) * 2 - 1
  if workload["channels_last"]:
    layout = torch.channels_last
    generator, critic = (
      generator.to(memory_format=layout),
      critic.to(memory_format=layout),
    )
    images = images.to(memory_format=layout)
  step = make_step(generator, critic, images, workload)

  def run(units: int) -> None:
    for _ in range(units):
      step()

  z = torch.randn(len(images), workload["noise_dimension"])
  with FlopCounterMode(display=False) as counter, torch.no_grad():
    critic(generator(z))
  networks = [*generator.parameters(), *critic.parameters()]
  facts = {
    "parameters": sum(p.numel() for p in networks),
    "flops": counter.get_total_flops(),
    "runs": 1,
    "versions": {"torch": torch.__version__},
  }
  return Contestant(run, facts)


def num_halvings(size: int) -> int:
  """How often an image is halved until it is 4 pixels high."""
  return size.bit_length() - 3


def make_generator(
  noise_dimension: int, channels: int, halvings: int, image_channels: int
) -> nn.Module:
  """Noise [B, D] to images [B, C, H, W]."""
  widths = [channels * 2**level for level in reversed(range(halvings))]
  layers: list[nn.Module] = [
    nn.Linear(noise_dimension, widths[0] * 16, bias=False),
    nn.Unflatten(1, (widths[0], 4, 4)),
    nn.BatchNorm2d(widths[0]),
    nn.ReLU(inplace=True),
  ]
  for width, next_width in itertools.pairwise(widths):
    layers += [
      nn.ConvTranspose2d(width, next_width, 4, 2, 1, bias=False),
      nn.BatchNorm2d(next_width),
      nn.ReLU(inplace=True),
    ]
  layers += [nn.ConvTranspose2d(widths[-1], image_channels, 4, 2, 1), nn.Tanh()]
  return initialized(nn.Sequential(*layers))


def make_critic(channels: int, halvings: int, image_channels: int) -> nn.Module:
  """Images [B, C, H, W] to scores [B]."""
  widths = [channels * 2**level for level in range(halvings)]
  layers: list[nn.Module] = [
    nn.Conv2d(image_channels, channels, 4, 2, 1),
    nn.LeakyReLU(0.2, inplace=True),
  ]
  for width, next_width in itertools.pairwise(widths):
    layers += [
      nn.Conv2d(width, next_width, 4, 2, 1, bias=False),
      nn.BatchNorm2d(next_width),
      nn.LeakyReLU(0.2, inplace=True),
    ]
  layers += [nn.Flatten(), nn.Linear(widths[-1] * 16, 1), nn.Flatten(0)]
  return initialized(nn.Sequential(*layers))


def initialized(network: nn.Module) -> nn.Module:
  """Kernels from N(0, 0.02^2), biases zero."""
  for layer in network.modules():
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
      nn.init.normal_(layer.weight, std=0.02)
      if layer.bias is not None:
        nn.init.zeros_(layer.bias)
  return network


def make_step(
  generator: nn.Module,
  critic: nn.Module,
  images: torch.Tensor,
  workload: dict[str, Any],
) -> Callable[[], None]:
  """One step of the critic, one of the generator, and the average."""
  average = [p.detach().clone() for p in generator.parameters()]
  options = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
  critic_tx = torch.optim.Adam(critic.parameters(), **options)
  generator_tx = torch.optim.Adam(generator.parameters(), **options)

  def critic_loss(z: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
      fake = generator(z)
    return softplus(-critic(real)).mean() + softplus(critic(fake)).mean()

  def generator_loss(z: torch.Tensor) -> torch.Tensor:
    return softplus(-critic(generator(z))).mean()

  if workload["compiled"]:
    critic_loss, generator_loss = map(torch.compile, (critic_loss, generator_loss))

  def noise() -> torch.Tensor:
    return torch.randn(len(images), workload["noise_dimension"])

  def step() -> None:
    critic_tx.zero_grad(set_to_none=True)
    critic_loss(noise(), images).backward()
    critic_tx.step()
    generator_tx.zero_grad(set_to_none=True)
    critic.requires_grad_(False)  # no gradient that nobody needs
    generator_loss(noise()).backward()
    critic.requires_grad_(True)
    generator_tx.step()
    with torch.no_grad():
      torch._foreach_lerp_(average, list(generator.parameters()), 1 - 0.999)

  return step


if __name__ == "__main__":
  serve(make_contestant)
