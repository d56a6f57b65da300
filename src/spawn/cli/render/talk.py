"""What is said to the person, on stderr: never data."""

from __future__ import annotations

import sys

from spawn.cli.render.terminal import has_colour, is_terminal, paint, printable


def say(text: str) -> None:
    """A line."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except UnicodeEncodeError:
        sys.stderr.write(f"{text.encode('ascii', 'replace').decode()}\n")
    except OSError:
        pass  # nobody listens: the exit code still tells


def note(text: str) -> None:
    """Something worth knowing that is not an error."""
    say(f"{paint('note:', 'cyan', on=has_colour(sys.stderr))} {text}")


def progress(text: str) -> None:
    """What is being waited for; only for people."""
    if is_terminal(sys.stderr):
        note(text)


def warn(text: str) -> None:
    """Something that is probably not what was wanted."""
    say(f"{paint('warning:', 'yellow', on=has_colour(sys.stderr))} {text}")


def error(text: str) -> None:
    """Why it did not work, in one sentence."""
    say(f"{paint('error:', 'red', on=has_colour(sys.stderr))} {text}")


def hint(text: str) -> None:
    """What one might do next; only for people."""
    if is_terminal(sys.stderr):
        say(paint(text, "dim", on=has_colour(sys.stderr)))


def can_ask() -> bool:
    """Whether there is somebody to ask, and to answer."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def ask(question: str) -> str | None:
    """What is typed on the terminal, without blanks around it; None when there is nobody to ask. EOFError when the input ends instead."""
    if not can_ask():
        return None
    typed = _typed(f"{printable(question)} ")
    if typed is None:
        raise EOFError
    return typed


def confirm(question: str) -> bool | None:
    """Ask on the terminal. None when there is nobody to ask; False for anything but yes, the end of the input too."""
    if not can_ask():
        return None
    typed = _typed(f"{printable(question)} [y/N] ")
    return typed is not None and typed.lower() in ("y", "yes")


def _typed(question: str) -> str | None:
    """The line that is typed; None when the input ends before the line does."""
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if line.endswith("\n"):
        return line.strip()
    say("")
    return None
