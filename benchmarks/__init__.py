"""What jgm costs, beside a peer on the same machine: `python -m benchmarks`."""
