"""The stand-in for a program of an instance: it asks the machine's first process, and says what that answers.

Runs inside a machine by itself, on any Python from 3.9 on, and imports nothing of spawn.
"""

import json
import os
import socket
import sys

SOCKET = "/run/laboratory.sock"
_READS_INPUT = {"logger"}


def main() -> int:
    """Ask, and answer as the program would."""
    program = os.path.basename(sys.argv[0])
    reads = program in _READS_INPUT and not any(not word.startswith("-") for word in sys.argv[1:])
    request = {"program": program, "words": sys.argv[1:], "input": sys.stdin.read() if reads else ""}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        try:
            asked.connect(SOCKET)
        except OSError as error:
            sys.stderr.write(f"{program}: the machine's first process does not answer: {error.strerror}\n")
            return 1
        asked.sendall(json.dumps(request).encode() + b"\n")
        with asked.makefile("rb") as file:
            line = file.readline()
    if not line:
        return 1
    answer = json.loads(line)
    sys.stdout.write(answer["out"])
    sys.stdout.flush()
    sys.stderr.write(answer["err"])
    return int(answer["code"])


if __name__ == "__main__":
    sys.exit(main())
