"""`spawn serve`: the AWS endpoint of the engine."""

from __future__ import annotations

import os
from typing import Final

import click
from click.core import ParameterSource

from spawn.cli import credentials, options, serving
from spawn.cli.credentials import Own
from spawn.cli.reaching import ensure_engine, running_engine
from spawn.cli.render import data, talk
from spawn.cli.render.data import Column, Kind
from spawn.cli.verbs import Verb, VerbGroup
from spawn.client.client import Client
from spawn.client.objects import Endpoint, Key, Opened, Opening
from spawn.client.wire import NotListening
from spawn.config import ENDPOINT_NAME, state_directory
from spawn.domain.errors import NotFound, Unavailable, UsageError

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8642

EXAMPLES = """\
spawn serve --detach                        open it, print what a shell needs, and end
eval "$(spawn serve --print-env)"           then `aws batch …`, boto3 and the like talk to this engine
spawn serve                                 the same, and stay until Ctrl-C, which closes it
spawn serve stop                            close it"""

ENDPOINTS: Final[Kind[Endpoint]] = Kind(
    (
        Column("URL", lambda e: e.url),
        Column("OPEN", lambda e: e.open),
        Column("VERIFY", lambda e: e.verify),
        Column("KEYS", lambda e: len(e.access_key_ids), right=True),
        Column("CERTFILE", lambda e: e.certfile),
        Column("REASON", lambda e: e.reason),
    ),
    identity=lambda e: e.url,
    name=lambda e: e.url,
)


@click.group(cls=VerbGroup, examples=EXAMPLES, invoke_without_command=True, subcommand_metavar="[stop|status]")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, metavar="PORT", help=f"Where to listen; 0: a free one (default: {DEFAULT_PORT}).")
@click.option("--host", default=DEFAULT_HOST, metavar="HOST", help=f"An address or name of this machine (default: {DEFAULT_HOST}).")
@click.option("--certfile", metavar="FILE", help="Speak TLS, with this certificate and its chain (PEM).")
@click.option("--keyfile", metavar="FILE", help="The key of the certificate (PEM, without password).")
@click.option("--no-verify", is_flag=True, help="Take requests of anybody who can reach it, without looking at their signatures.")
@click.option("--detach", is_flag=True, help="End when it is open; `spawn serve stop` closes it.")
@click.option("--print-env", is_flag=True, help="Print the lines of the endpoint that is open, and end.")
@click.pass_context
def command(ctx: click.Context, port: int, host: str, certfile: str | None, keyfile: str | None, no_verify: bool, detach: bool, print_env: bool) -> int | None:
    """Answer AWS Batch clients: the AWS CLI, boto3 and what is built on them. Prints what to `eval` in a shell."""
    given = [param.opts[-1] for param in ctx.command.params if ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE]
    if ctx.invoked_subcommand is not None:
        if given:
            raise UsageError(f"{given[0]} opens an endpoint and means nothing to `{ctx.command_path} {ctx.invoked_subcommand}`: leave it out")
        return None
    if print_env:
        if others := [flag for flag in given if flag != "--print-env"]:
            raise UsageError(f"--print-env is about the endpoint that is open, and {others[0]} about one to be opened: give one of them")
        return _print_env()
    if (certfile is None) != (keyfile is None):
        raise UsageError("--certfile and --keyfile go together: give both, or neither")
    own = credentials.find()
    opening = Opening(host=host, port=port, verify=not no_verify, certfile=_absolute(certfile), keyfile=_absolute(keyfile), keys=_keys(own))
    client = ensure_engine()
    return _detached(client, opening, own) if detach else _foreground(client, opening, own)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)


def _keys(own: Own) -> list[Key]:
    return [] if own.key is None else [own.key]


def _detached(client: Client, opening: Opening, own: Own) -> int:
    _print(client.open_endpoint(opening), own)
    talk.hint("`spawn serve stop` closes it")
    return 0


def _foreground(client: Client, opening: Opening, own: Own) -> int:
    with serving.told_to_end() as ended:
        opened = client.open_endpoint(opening)
        stopped = False
        try:
            _print(opened, own)
            talk.say(f"serving at {opened.url} until Ctrl-C")
            try:
                return serving.stay(opened, ended)
            except Unavailable:
                stopped = True  # by its user: the next engine opens it again
                raise
        finally:
            if not stopped and serving.close() is not None:
                talk.say(f"closed {opened.url}")


def _print(opened: Opened, own: Own) -> None:
    for line in serving.export_lines(opened, own):
        data.line(line)
    data.flush()
    serving.say_how(opened, own)


def _print_env() -> int:
    own = credentials.find()
    client = _client()
    endpoint = client.endpoint()
    if not endpoint.open:
        raise Unavailable(f"the endpoint at {endpoint.url} is not open: {endpoint.reason}")
    opening = Opening(host=endpoint.host, port=endpoint.port, verify=endpoint.verify, certfile=endpoint.certfile, keyfile=endpoint.keyfile, keys=_keys(own))
    _print(client.open_endpoint(opening), own)
    return 0


def _client() -> Client:
    """The engine that has the endpoint, started when an earlier one had it; NotFound when there is none to be open."""
    try:
        return running_engine()
    except NotListening:
        if (state_directory() / ENDPOINT_NAME).exists():
            return ensure_engine()
        raise NotFound("no endpoint is open: `spawn serve --detach` opens one") from None


@command.command(cls=Verb, examples="spawn serve stop")
def stop() -> None:
    """Close the endpoint. Jobs that were submitted there go on."""
    closed = serving.close()
    talk.say("no endpoint is open" if closed is None else f"closed {closed.url}; what was submitted there goes on")


@command.command(cls=Verb, examples="spawn serve status\nspawn serve status -o json")
@options.output_options
def status(output_format: str, quiet: bool) -> None:
    """Say which endpoint is open. Exits with 4 when there is none."""
    endpoint = _client().endpoint()
    output = options.output_of(output_format, quiet)
    if output.format in ("json", "jsonl", "yaml") and not quiet:
        data.document(endpoint, output)
    else:
        data.records(ENDPOINTS, [endpoint], output)
