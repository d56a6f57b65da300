"""What becomes of an instance of the laboratory: its user data really runs, in a sandbox of its own, or is acted out.

Real: `sandboxes` (the laboratory's side) starts `host`, which forks machines (`birth`, `views`, `disks`); in each, `first` is the first process
and has `units`, and programs that stand in for real ones ask it (`tools`, `client`, `requests`). Acted: `acted` steps an `actor` for each machine.
Nothing is imported here, because `host` shares its memory with every machine.
"""
