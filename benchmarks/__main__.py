"""`python -m benchmarks`, which is what `make bench` runs."""

from benchmarks.ddpm_step import main

if __name__ == "__main__":
  main()
