"""`spawn launch`: one program or script, once for every index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spawn.cli import options, values
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import launched, talk
from spawn.cli.render.data import Output
from spawn.cli.scripts import Directives, directives, read_script
from spawn.cli.submissions import CLOUD_FLAGS, make_submission
from spawn.cli.verbs import Verb
from spawn.client.client import Client
from spawn.client.objects import Launched, Submission
from spawn.config import launch_settings
from spawn.domain.errors import UsageError

EXAMPLES = """\
spawn launch --array 100 -- ./process.sh                  each run finds its number in $TASK_ARRAY_INDEX
spawn launch --array 5 --ttl 30m --user-data @script.sh   a script; each run has a /tmp of its own
spawn launch --array 0-99%10 --retries 2 -- python3 step.py
                                                          at most ten at once, up to three attempts each
spawn launch --array 100 --depends-on first:N_TO_N -- ./second.sh
                                                          index i waits for index i of `first`
ID=$(spawn launch -q --array 3 --wait -- ./process.sh)    the id alone; the exit code says how it went"""


class Launch(Verb):
    """Splits the command off at `--`, and looks into the script for settings before the flags are read."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the flags; what is not given comes from the environment, the script and the settings files."""
        command: list[str] | None = None
        if "--" in args:
            place = args.index("--")
            args, command = args[:place], args[place + 1 :]
        ctx.meta["spawn.command"] = command
        given, extra, _ = self.make_parser(ctx).parse_args(list(args))
        if extra and not ctx.resilient_parsing:
            raise click.UsageError(f"unexpected '{extra[0]}': a command goes last, after `--`, such as: spawn launch --array 5 -- {extra[0]}", ctx)
        asks_for_help = (help_option := self.get_help_option(ctx)) is not None and help_option.name in given
        if not ctx.resilient_parsing and not asks_for_help:
            script, name = read_script(given["user_data"]) if "user_data" in given else (None, "")
            found = directives(script, name) if script is not None else Directives({}, ())
            settings = launch_settings(script=found.settings, cwd=_here())
            ctx.meta["spawn.script"], ctx.meta["spawn.settings"], ctx.meta["spawn.ignored"] = script, settings, found.ignored
            ctx.default_map = {key.replace("-", "_"): setting.value for key, setting in settings.items() if key not in ("env", "tag")}
        return super().parse_args(ctx, args)


@click.command(cls=Launch, examples=EXAMPLES, options_metavar="[FLAGS] [-- CMD ARG...]")
@click.option("--array", type=values.ARRAY, help="Which indexes: 100 (= 0-99), 0-99, 1,3,5-7, 0-15:4, with %10 at most ten at once. Without it, one job.")
@click.option("--name", type=values.NAME, help="A name to call it by; members are NAME-INDEX.")
@click.option("--user-data", metavar="TEXT|@FILE", help="A script to run (@- reads it from stdin). Its #SPAWN and #SBATCH lines set flags.")
@click.option("--ttl", type=values.DURATION, help="When an instance ends at the latest: 90s, 30m, 2h, 1d12h.")
@click.option("--timeout", type=values.DURATION, help="How long one attempt may run.")
@click.option("--grace", type=values.DURATION, help="How long a stopped attempt may clean up before it is killed (default: 30s).")
@click.option("--on-complete", type=values.OneOf("choice", ("terminate", "stop", "none")), help="What becomes of an instance when its work is done.")
@click.option("--max-concurrent", type=values.POSITIVE, help="How many may run at once (also --array 100%10).")
@click.option("--retries", type=values.COUNT, default="0", help="How many further attempts a failed index has.")
@click.option("--retry-on", type=values.RETRY_RULE, multiple=True, help="Retry only what ended so: exit:137, exit:1*, reason:OutOfMemory*, oom, lost, any.")
@click.option("--max-failures", type=values.SHARE, help="Give up the rest when more than so many, or so many percent, failed.")
@click.option("--env", type=values.VARIABLE, multiple=True, help="A variable for every run: NAME=VALUE, or NAME to pass on this shell's.")
@click.option("--tag", type=values.TAG, multiple=True, help="A tag, to find it again.")
@click.option("--cpus", type=values.CPUS, help="vCPUs that one run takes (default: 1).")
@click.option("--memory", type=values.MEMORY, help="Memory that one run takes: 512M, 2G.")
@click.option("--workdir", type=values.DIRECTORY, help="Where to run (default: here).")
@click.option("--private-tmp/--no-private-tmp", default=None, help="A /tmp of its own for every run (default: for scripts, where the kernel allows).")
@click.option("--compat-env/--no-compat-env", default=True, help="Also set the index variables of Slurm, Kubernetes and others (default: yes).")
@click.option("--depends-on", type=values.DEPENDS_ON, multiple=True, help="Wait for another job to succeed; with :N_TO_N, index by index.")
@click.option("--sequential", is_flag=True, help="One index after the other.")
@click.option("--provider", type=values.OneOf("provider", ("local", "ec2", "slurm", "awsbatch")), default="local", help="Where to run; this version: local.")
@click.option("--instance-type", type=values.INSTANCE_TYPE, help="Cloud only.")
@click.option("--spot", is_flag=True, help="Cloud only.")
@click.option("--spot-max-price", type=values.PRICE, help="Cloud only.")
@click.option("--ami", type=values.AMI, help="Cloud only.")
@click.option("--region", type=values.REGION, help="Cloud only.")
@click.option("--iam-policy", type=values.IAM_POLICY, multiple=True, help="Cloud only.")
@click.option("--key-name", type=values.KEY_NAME, help="Cloud only.")
@click.option("--wait", is_flag=True, help="Stay until it has settled; the exit code says how.")
@click.option("--timeout-wait", type=values.DURATION, help="With --wait: stay at most so long (exit code 124).")
@options.dry_run_option
@options.output_options
@click.pass_context
def command(ctx: click.Context, /, output_format: str, quiet: bool, wait: bool, timeout_wait: float | None, **flags: Any) -> int:
    """Run a program or script once for every index of an array."""
    if timeout_wait is not None and not wait:
        raise UsageError("--timeout-wait says how long --wait stays: add --wait")
    output = options.output_of(output_format, quiet)
    submission = make_submission(ctx, flags)
    _say_what_is_ignored(ctx, submission)
    client = ensure_engine()
    array = _launch(client, submission, output)
    for sentence in array.notes:
        talk.note(sentence)
    if submission.dry_run:
        talk.note("dry run: nothing was launched")
        return 0
    if not wait:
        return 0
    from spawn.cli.waiting import wait_for_launched

    return wait_for_launched(client, array, output, timeout_wait)


def _here() -> Path | None:
    """The working directory; None when it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _say_what_is_ignored(ctx: click.Context, submission: Submission) -> None:
    if flags := [flag for flag in CLOUD_FLAGS if flag.lstrip("-").replace("-", "_") in submission.cloud]:
        talk.note(
            f"{', '.join(flags)} {'has' if len(flags) == 1 else 'have'} no effect on this machine, and {'is' if len(flags) == 1 else 'are'} kept with the array"
        )
    if ignored := ctx.meta.get("spawn.ignored"):
        talk.note(f"#SBATCH {', '.join(dict.fromkeys(ignored))} {'has' if len(set(ignored)) == 1 else 'have'} no effect here")
    if ctx.meta.get("spawn.waits"):
        talk.note("neither a script nor a command was given: the instances only wait for `spawn connect`")


def _launch(client: Client, submission: Submission, output: Output) -> Launched:
    """Launch, and print what is data of it."""
    wants_children = not output.quiet and output.format in ("json", "jsonl", "yaml")
    for_people = launched.is_for_people(output)
    if for_people:
        launched.begin(submission)
    array = client.submit(submission, children=wants_children)
    if for_people:
        first = [] if submission.dry_run else launched.first_members(client, array)
        launched.finish(array, first, dry_run=submission.dry_run)
    else:
        launched.record(array, output)
    return array
