"""The command line: `rackplane`, and the same program as `kubectl rackplane`."""

from rackplane.cli.parser import main

__all__ = ["main"]
