"""A stand-in for curl where there is none: what user data usually ask of it.

Runs inside a machine by itself, on any Python from 3.9 on, and imports nothing of spawn.
"""

import argparse
import sys
import time
import urllib.error
import urllib.request

_TO_WRITE = "wb"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="curl", description="A stand-in of the laboratory.")
    parser.add_argument("url")
    parser.add_argument("-o", "--output")
    parser.add_argument("-X", "--request", default=None)
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-d", "--data")
    parser.add_argument("-f", "--fail", action="store_true")
    parser.add_argument("-m", "--max-time", type=float, default=300)
    parser.add_argument("--connect-timeout", type=float)
    parser.add_argument("--retry", type=int, default=0)
    parser.add_argument("--retry-delay", type=float, default=1)
    for flags in (("-s", "--silent"), ("-S", "--show-error"), ("-L", "--location"), ("--retry-connrefused",), ("--retry-all-errors",)):
        parser.add_argument(*flags, action="store_true")
    return parser.parse_args()


def _once(asked: argparse.Namespace) -> tuple[int, bytes]:
    headers = dict(header.split(":", 1) for header in asked.header)
    data = None if asked.data is None else asked.data.encode()
    request = urllib.request.Request(asked.url, data=data, headers={name: value.strip() for name, value in headers.items()}, method=asked.request)
    try:
        with urllib.request.urlopen(request, timeout=asked.max_time) as answer:
            return 0, answer.read()
    except urllib.error.HTTPError as error:
        return (22, b"") if asked.fail else (0, error.read())
    except OSError:
        return 7, b""


def main() -> int:
    """Fetch, and end with curl's exit codes: 7 for no connection, 22 for an answer that is an error (with -f)."""
    asked = _arguments()
    code, body = _once(asked)
    while code and asked.retry > 0:
        asked.retry -= 1
        time.sleep(asked.retry_delay)
        code, body = _once(asked)
    if code:
        if not asked.silent or asked.show_error:
            sys.stderr.write(f"curl: ({code}) {asked.url.partition('?')[0]} could not be fetched\n")
        return code
    if asked.output:
        with open(asked.output, _TO_WRITE) as file:
            file.write(body)
    else:
        sys.stdout.buffer.write(body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
