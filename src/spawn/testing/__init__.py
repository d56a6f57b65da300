"""Public fakes that keep the contracts of engine.ports, for tests of spawn and of what is built on it."""
