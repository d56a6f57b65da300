"""docs/cli.md tells of every flag there is, and of none that there is not."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from spawn.cli.verbs import VERBS
from spawn.config import LAUNCH_SETTINGS

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def flags_of(command: click.Command) -> set[str]:
    own = {name for param in command.params if isinstance(param, click.Option) for name in (*param.opts, *param.secondary_opts) if name.startswith("--")}
    return own.union(*(flags_of(sub) for sub in command.commands.values())) if isinstance(command, click.Group) else own


def command_of(verb: str) -> click.Command:
    command = import_module(f"spawn.cli.{verb}").command
    assert isinstance(command, click.Command)
    return command


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_documented_with_all_its_flags(verb: str) -> None:
    section = DOCS.split(f"\n## spawn {verb}\n")[1].split("\n## ")[0]
    assert flags_of(command_of(verb)) <= set(re.findall(r"--[a-z][a-z-]+", section))


def test_no_flag_is_documented_that_does_not_exist() -> None:
    known = {"--help", "--version"}.union(*(flags_of(command_of(verb)) for verb in VERBS))
    of_slurm = {"--cpus-per-task", "--mem", "--job-name", "--time"}
    assert set(re.findall(r"(?<![a-z-])--[a-z][a-z-]+", DOCS)) <= known | of_slurm


def test_every_setting_is_a_flag_of_launch() -> None:
    flags = flags_of(command_of("launch"))
    assert {f"--{key}" for key in LAUNCH_SETTINGS} <= flags
    assert flags - {f"--{key}" for key in LAUNCH_SETTINGS} == {
        "--user-data", "--wait", "--timeout-wait", "--dry-run", "--output", "--quiet", "--no-private-tmp", "--no-compat-env",
    }  # fmt: skip
