"""Where everything is kept: SQLite in WAL mode, one writer, readers that never wait for it."""
