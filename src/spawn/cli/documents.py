"""Job files: SubmitJob and RegisterJobDefinition documents, in JSON or YAML, one or a list of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from spawn.domain.errors import UsageError

MOST_BYTES: Final = 16 * 1024 * 1024
"""Largest job file that is read: a list of some hundred jobs of AWS's largest size."""

STDIN: Final = "-"

Document = dict[str, Any]


def read_documents(names: tuple[str, ...]) -> list[Document]:
    """The documents of all files, in order. Raises UsageError that names the file, and the line where there is one."""
    if names.count(STDIN) > 1:
        raise UsageError("'-' reads standard input, which can be read once: name it once")
    documents: list[Document] = []
    for name in names:
        documents += _documents(_parsed(_text(name), _title(name)), _title(name))
    return documents


def _title(name: str) -> str:
    return "standard input" if name == STDIN else name


def _text(name: str) -> str:
    try:
        if name == STDIN:
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise UsageError(f"{_title(name)} is larger than {MOST_BYTES >> 20} MiB: split it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{_title(name)} is not UTF-8 text: byte {error.start} is 0x{content[error.start]:02x}") from error


def _parsed(text: str, title: str) -> list[Any]:
    """Everything in the text: one JSON value, or else YAML, of which there may be several documents."""
    import json

    try:
        return [json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, title))]
    except json.JSONDecodeError as error:
        try:
            return _parsed_yaml(text, title)
        except UsageError:
            # what looks like JSON to its end was meant as JSON
            if not text.lstrip().startswith(("{", "[")):
                raise
        raise UsageError(f"{title}, line {error.lineno}, column {error.colno}: not JSON, nor YAML: {error.msg}") from error
    except RecursionError as error:
        raise UsageError(f"{title} is nested too deeply") from error


def _parsed_yaml(text: str, title: str) -> list[Any]:
    import yaml

    try:
        return [document for document in yaml.load_all(text, Loader=_loader()) if document is not None]
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{title}{place}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{title} is not YAML: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{title} is nested too deeply") from error


def _loader() -> Any:
    """A safe loader in which a key that stands twice is an error, and dates stay the text that they are."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:str" and key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands there twice", key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _unique(pairs: list[tuple[str, Any]], title: str) -> Document:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{title}: '{twice[:60]}' stands there twice")
    return document


def _documents(values: list[Any], title: str) -> list[Document]:
    found = [entry for value in values for entry in (value if isinstance(value, list) else [value])]
    if not found:
        raise UsageError(f"{title} holds no job")
    for number, entry in enumerate(found, start=1):
        if not isinstance(entry, dict) or not all(isinstance(key, str) for key in entry):
            raise UsageError(f"{title}, entry {number}: a job is a mapping, such as {{jobName: …, jobQueue: …, jobDefinition: …}}")
        if "jobName" not in entry and "jobDefinitionName" not in entry:
            raise UsageError(
                f"{title}, entry {number}: it has neither a jobName (what SubmitJob takes) nor a jobDefinitionName (what RegisterJobDefinition takes)"
            )
    return found
