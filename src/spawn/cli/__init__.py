"""The command line: thin. It talks to the engine and prints; one verb a file, and only `render` prints."""
