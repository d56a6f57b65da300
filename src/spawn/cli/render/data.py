"""Data, on stdout: records in every format, whole documents, raw bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from spawn.cli.render.terminal import has_colour, is_terminal, paint, paint_status, printable
from spawn.domain.errors import SpawnError

Format = Literal["table", "wide", "json", "jsonl", "tsv", "csv", "yaml", "name"]
FORMATS: Final[tuple[Format, ...]] = ("table", "wide", "json", "jsonl", "tsv", "csv", "yaml", "name")

_LINES_AT_ONCE: Final = 2000

T = TypeVar("T")


class Output(NamedTuple):
    """How the caller wants records: a format, or ids alone."""

    format: Format = "table"
    quiet: bool = False


class Column(NamedTuple, Generic[T]):
    """One column: `value` for programs, `shown` for people when that differs. `wide`: left out of `table`."""

    header: str
    value: Callable[[T], object]
    shown: Callable[[T], str] | None = None
    wide: bool = False
    right: bool = False


class Kind(NamedTuple, Generic[T]):
    """How one kind of record is printed: its columns, the id of `-q` and the name of `-o name`."""

    columns: Sequence[Column[T]]
    identity: Callable[[T], str]
    name: Callable[[T], str]


def line(text: str) -> None:
    """One line of data."""
    write(f"{text}\n")


def write(text: str) -> None:
    """Data as it is; what the terminal's encoding cannot show becomes a question mark."""
    with _writing():
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:
            encoding = sys.stdout.encoding or "ascii"
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def write_bytes(content: bytes) -> None:
    """Bytes as they are."""
    with _writing():
        sys.stdout.flush()
        sys.stdout.buffer.write(content)


def flush() -> None:
    """Let a reader at the other end of the pipe see what there is."""
    with _writing():
        sys.stdout.flush()


@contextmanager
def _writing() -> Iterator[None]:
    """A full disk is told in one sentence; a reader that has left is not told at all (main)."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SpawnError(f"stdout could not be written: {error.strerror}") from error


def document(value: Any, output: Output) -> None:
    """One object as a whole: JSON indented, or on one line (`jsonl`), or YAML."""
    import msgspec

    if output.format == "yaml":
        _yaml(msgspec.to_builtins(value))
    else:
        encoded = msgspec.json.encode(value)
        line((msgspec.json.format(encoded, indent=2) if output.format == "json" else encoded).decode())


def records(kind: Kind[T], items: Iterable[T], output: Output) -> int:
    """Print records and return how many there were."""
    if output.quiet:
        return _lines(map(kind.identity, items))
    if output.format == "name":
        return _lines(map(kind.name, items))
    if output.format in ("json", "jsonl", "yaml"):
        return _objects(list(items), output)
    if output.format == "csv":
        return _csv(kind.columns, items)
    columns = kind.columns if output.format in ("wide", "tsv") else [column for column in kind.columns if not column.wide]
    if output.format == "tsv" or not is_terminal(sys.stdout):
        return _lines(_tab_separated(columns, items, colour=output.format != "tsv" and has_colour(sys.stdout)))
    return _aligned(columns, list(items))


def _objects(items: Sequence[object], output: Output) -> int:
    import msgspec

    if output.format == "yaml":
        _yaml(msgspec.to_builtins(items))
    elif output.format == "json":
        json_list(msgspec.json.encode(item) for item in items)
    else:
        _lines(msgspec.json.encode(item).decode() for item in items)
    return len(items)


def json_list(encoded: Iterable[bytes]) -> int:
    """A JSON list of objects that are encoded already, one a line."""
    count = 0
    batch: list[bytes] = []
    write_bytes(b"[")
    for count, item in enumerate(encoded, 1):
        batch.append(b"\n" + item if count == 1 else b",\n" + item)
        if len(batch) == _LINES_AT_ONCE:
            write_bytes(b"".join(batch))
            batch.clear()
    write_bytes(b"".join(batch) + (b"\n]\n" if count else b"]\n"))
    return count


def _yaml(value: object) -> None:
    import yaml

    write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=160))


def _lines(lines: Iterable[str]) -> int:
    count = 0
    batch: list[str] = []
    for text in lines:
        batch.append(text)
        if len(batch) == _LINES_AT_ONCE:
            write("\n".join(batch) + "\n")
            count += len(batch)
            batch.clear()
    if batch:
        write("\n".join(batch) + "\n")
    return count + len(batch)


def _plain(value: object) -> str:
    """A value for programs; `-` when there is none, so that fields can be counted."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.10g}"
    return printable(str(value))


def _tab_separated(columns: Sequence[Column[T]], items: Iterable[T], *, colour: bool) -> Iterable[str]:
    getters = [column.value for column in columns]
    for item in items:
        fields = [_plain(getter(item)) for getter in getters]
        yield "\t".join([paint_status(field, on=True) for field in fields] if colour else fields)


class _Stdout:
    """Where csv writes to."""

    def write(self, text: str) -> int:
        """One record."""
        write(text)
        return len(text)


def _csv(columns: Sequence[Column[T]], items: Iterable[T]) -> int:
    import csv

    writer = csv.writer(_Stdout(), lineterminator="\n")
    writer.writerow([column.header.lower().replace(" ", "_") for column in columns])
    count = 0
    for item in items:
        values = [column.value(item) for column in columns]
        writer.writerow(["" if value is None else _plain(value) if value != "" else "" for value in values])
        count += 1
    return count


def _aligned(columns: Sequence[Column[T]], items: Sequence[T]) -> int:
    """A table for people: header, aligned, coloured; never truncated, so that what is shown can be copied."""
    cells = [[column.shown(item) if column.shown else _plain(column.value(item)) for column in columns] for item in items]
    widths = [max(len(column.header), *(len(row[place]) for row in cells)) if cells else len(column.header) for place, column in enumerate(columns)]
    colour = has_colour(sys.stdout)

    def lined_up(row: Sequence[str], painter: Callable[[str], str]) -> str:
        padded = [
            " " * (width - len(cell)) + painter(cell) if column.right else painter(cell) + " " * (width - len(cell))
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        return "  ".join(padded).rstrip()

    line(lined_up([column.header for column in columns], lambda cell: paint(cell, "bold", on=colour)))
    return _lines(lined_up(row, lambda cell: paint_status(cell, on=colour)) for row in cells)
