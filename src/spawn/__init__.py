"""Job arrays from the laptop to the cloud."""

__version__ = "0.2.0"
