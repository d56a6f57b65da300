"""This machine: attempts run under `spored run`, which outlives the engine; docs/wire.md is what the two agree on."""
