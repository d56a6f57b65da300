"""The doors of the engine: HTTP servers over the same engine and store."""
