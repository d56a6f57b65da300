"""The code that makes attempts run: one package a compute environment; they know engine.ports and never each other."""
