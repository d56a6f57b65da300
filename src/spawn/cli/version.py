"""`spawn version`."""

from __future__ import annotations

import platform
import sys

import click

from spawn import __version__
from spawn.cli import options
from spawn.cli.render import data
from spawn.cli.verbs import Verb
from spawn.client.objects import SCHEMA_VERSION


@click.command(cls=Verb, examples="spawn version\nspawn version -o json")
@options.output_options
def command(output_format: str, quiet: bool) -> None:
    """Show the version of spawn."""
    output = options.output_of(output_format, quiet)
    if quiet or output.format == "name":
        data.line(__version__)
    elif output.format in ("json", "jsonl", "yaml"):
        facts = {
            "schema_version": SCHEMA_VERSION,
            "version": __version__,
            "python": platform.python_version(),
            "executable": sys.executable,
            "platform": platform.platform(),
        }
        data.document(facts, output)
    else:
        data.line(f"spawn {__version__}")
