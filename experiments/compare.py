"""Compare: several methods on the same data under the same budget, on one page.

Each method is trained by its own experiment, in a folder of its own, with as much
training as every other: as many seconds of it, or as many examples. Then all are
measured by the same nets, on as many samples, beside the same real data.

    python -m experiments.compare --config=configs/compare.py

By default none is told the class of an image: that would be an easier task. A method is
a file in this folder, or with a preset `score_sde:ve`; others than the default's by

    --config.methods='("ddpm", "gan:digits")'
    --config.changes='("gan:digits.r1=0.5",)'

The same command goes on where it was stopped, and trains no run again that has ended.
Measured, the default, on two cores that had other work besides: Fréchet distances of
0.43 (dcgan), 0.50 (wgan_gp), 0.96 (flow_matching), 0.99 (ddpm), 1.23 (sngan), 1.67
(sinkhorn_gan), 1.92 (score_sde) and 2.03 (ncsn); real digits: 0.34. Sixteen minutes.

What a method reaches here is not what it can reach: each file says that of itself. A
budget of seconds is turned into steps by timing a few of them, so that the learning
rate falls to its end within it; how many these are depends on the machine.
"""

from jgm import compare

if __name__ == "__main__":
  compare.main(__doc__)
