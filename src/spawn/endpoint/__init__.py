"""The AWS endpoint of an engine: opened when asked, written down, and opened again by the next engine."""
