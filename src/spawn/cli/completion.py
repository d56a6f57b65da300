"""`spawn completion`: the script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from spawn.cli import values
from spawn.cli.render import data
from spawn.cli.verbs import Verb

EXAMPLES = """\
spawn completion bash > ~/.local/share/bash-completion/completions/spawn
spawn completion zsh > "${fpath[1]}/_spawn"
spawn completion fish > ~/.config/fish/completions/spawn.fish"""


@click.command(cls=Verb, examples=EXAMPLES)
@click.argument("shell", type=values.OneOf("shell", ("bash", "zsh", "fish")))
def command(shell: str) -> None:
    """Print the script that completes verbs, flags and live ids."""
    completer = get_completion_class(shell)
    assert completer is not None
    data.write(completer(click.Group("spawn"), {}, "spawn", "_SPAWN_COMPLETE").source())
