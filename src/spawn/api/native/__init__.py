"""The native API (docs/api.md): what the CLI, the SDK and the dashboard call."""
