"""What becomes of an instance of the laboratory: its user data really runs, in a sandbox of its own, or is acted out."""
