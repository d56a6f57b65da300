"""spored: runs attempts on one machine and writes down what happened (docs/wire.md). Standard library only, Python 3.9 or later."""

__version__ = "0.2.0"

WIRE = 2
"""Version of the wire format this agent speaks."""
