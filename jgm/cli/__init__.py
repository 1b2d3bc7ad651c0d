"""The command line that every experiment has."""

from jgm.cli.main import main

__all__ = ["main"]
