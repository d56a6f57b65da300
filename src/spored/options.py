"""Reading flags, without argparse, whose import alone takes longer than `spored complete` may."""

from __future__ import annotations

from collections.abc import Iterable

from spored.errors import USAGE, SporedError


def parse(words: list[str], known: dict[str, bool]) -> tuple[dict[str, str], list[str]]:
    """Flags with their values, and the words left over; `known` tells which flags take a value. `--` ends the flags.

    A flag given twice counts as given last. An unknown flag, or one without its value, is a usage error.
    """
    values: dict[str, str] = {}
    rest: list[str] = []
    todo = list(words)
    while todo:
        word = todo.pop(0)
        if word == "--":
            return values, rest + todo
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, equals, value = word.partition("=")
        if name not in known:
            raise unknown("flag", name, known)
        if known[name] and not equals:
            if not todo:
                raise SporedError(f"{name} needs a value", USAGE)
            value = todo.pop(0)
        elif equals and not known[name]:
            raise SporedError(f"{name} takes no value", USAGE)
        values[name] = value
    return values, rest


def unknown(kind: str, word: str, known: Iterable[str]) -> SporedError:
    """The error for a word that is none of `known`, with the one that was perhaps meant."""
    import difflib

    close = difflib.get_close_matches(word, list(known), 1)
    hint = f"; did you mean {close[0]}?" if close else " (spored --help lists all)"
    return SporedError(f"unknown {kind} {word!r}{hint}", USAGE)


def positive(flag: str, text: str) -> float:
    """A number of seconds, more than 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SporedError(f"{flag} must be a number of seconds above 0, not {text!r}", USAGE)
    return value
