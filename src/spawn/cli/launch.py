"""`spawn launch`: one program or script, once for every index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spawn.cli import options, values
from spawn.cli.ec2_options import ec2_options, given_flags
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import launched, talk
from spawn.cli.render.data import Output
from spawn.cli.scripts import Directives, directives, read_script
from spawn.cli.submissions import make_submission
from spawn.cli.verbs import Verb
from spawn.client.client import Client
from spawn.client.objects import Launched
from spawn.client.submission import Submission
from spawn.config import Settings, launch_settings
from spawn.domain.errors import UsageError

EXAMPLES = """\
spawn launch --array 100 -- ./process.sh                  each run finds its number in $TASK_ARRAY_INDEX
spawn launch --array 5 --ttl 30m --user-data @script.sh   a script; each run has a /tmp of its own
spawn launch --array 0-99%10 --retries 2 -- python3 step.py
                                                          at most ten at once, up to three attempts each
spawn launch --array 100 --depends-on first:N_TO_N -- ./second.sh
                                                          index i waits for index i of `first`
spawn launch --provider ec2 --array 100 --spot --ttl 1h --user-data @script.sh
                                                          an EC2 instance each, which ends itself
spawn launch --provider ec2 --array 100 --dry-run         what that would take and cost
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
            _let_flags_win(settings, given)
            ctx.meta["spawn.provider"] = _provider(settings, given)
            ctx.meta["spawn.script"], ctx.meta["spawn.script_name"] = script, name
            ctx.meta["spawn.settings"], ctx.meta["spawn.ignored"] = settings, found.ignored
            ctx.default_map = {key.replace("-", "_"): setting.value for key, setting in settings.items() if key not in ("env", "tag")}
        return super().parse_args(ctx, args)


@click.command(cls=Launch, examples=EXAMPLES, options_metavar="[FLAGS] [-- CMD ARG...]")
@click.option("--array", type=values.ARRAY, help="Which indexes: 100 (= 0-99), 0-99, 1,3,5-7, 0-15:4, with %10 at most ten at once. Without it, one job.")
@click.option("--name", type=values.NAME, help="A name to call it by; members are NAME-INDEX.")
@click.option("--user-data", metavar="TEXT|@FILE", help="A script to run (@- reads it from stdin). Its #SPAWN and #SBATCH lines set flags.")
@click.option("--ttl", type=values.DURATION, help="When an instance ends at the latest: 90s, 30m, 2h, 1d12h.")
@click.option("--idle-timeout", type=values.DURATION, help="When an instance ends after its work is done.")
@click.option("--timeout", type=values.DURATION, help="How long one attempt may run.")
@click.option("--grace", type=values.DURATION, help="How long a stopped attempt may clean up before it is killed (default: 30s).")
@click.option("--on-complete", type=values.ON_COMPLETE, help="What becomes of an instance when its work is done.")
@click.option("--max-concurrent", type=values.POSITIVE, help="How many may run at once (also --array 100%10).")
@click.option("--retries", type=values.COUNT, default="0", help="How many further attempts a failed index has.")
@click.option("--retry-on", type=values.RETRY_RULE, multiple=True, help="Retry only what ended so: exit:137, exit:1*, reason:OutOfMemory*, oom, lost, any.")
@click.option("--max-failures", type=values.SHARE, help="Give up the rest when more than so many, or so many percent, failed.")
@click.option("--env", type=values.VARIABLE, multiple=True, help="A variable for every run: NAME=VALUE, or NAME to pass on this shell's.")
@options.tag_option("A tag, to find it again.")
@click.option("--cpus", type=values.CPUS, help="vCPUs that one run takes (default: 1).")
@click.option("--memory", type=values.MEMORY, help="Memory that one run takes: 512M, 2G.")
@click.option("--workdir", type=values.DIRECTORY, help="Where to run (default: here).")
@click.option("--private-tmp/--no-private-tmp", default=None, help="A /tmp of its own for every run (default: for scripts, where the kernel allows).")
@click.option("--compat-env/--no-compat-env", default=True, help="Also set the index variables of Slurm, Kubernetes and others (default: yes).")
@click.option("--depends-on", type=values.DEPENDS_ON, multiple=True, help="Wait for another job to succeed; with :N_TO_N, index by index.")
@click.option("--sequential", is_flag=True, help="One index after the other.")
@click.option("--provider", type=values.PROVIDER, default="local", help="Where to run: local (the default) or ec2.")
@ec2_options
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
    _say_what_is_ignored(ctx, submission, flags)
    if flags["rehearse"]:
        from spawn.cli.rehearsing import rehearse

        return rehearse(submission, output, timeout_wait)
    array: Launched | None
    if submission.provider == "local":
        client = ensure_engine()
        array = _launch(client, submission, output)
    else:
        from spawn.cli.planning import Consent, launch_on_ec2, with_ttl

        consent = Consent(yes=flags["yes"], confirm_above=flags["confirm_above"])
        submission = with_ttl(submission, consent)
        client = ensure_engine()
        array = launch_on_ec2(client, submission, consent, output)
    for sentence in array.notes if array is not None else ():
        talk.note(sentence)
    if submission.dry_run or array is None:
        talk.note("dry run: nothing was launched")
        if submission.provider == "local":
            talk.hint("On EC2: --provider ec2 --dry-run shows what it would take and cost there")
        return 0
    if not wait:
        return 0
    from spawn.cli.waiting import wait_for_launched

    return wait_for_launched(client, array, output, timeout_wait)


def _let_flags_win(settings: Settings, given: dict[str, Any]) -> None:
    """A flag also beats the setting that it contradicts."""
    for flag, other in (("ttl", "no-ttl"), ("no_ttl", "ttl")):
        if flag in given:
            settings.pop(other, None)


def _provider(settings: Settings, given: dict[str, Any]) -> str:
    """Where it is to run, before the flags are checked: what some of them may be depends on it."""
    setting = settings.get("provider")
    return str(given.get("provider") or (setting.value if setting else "local")).lower()


def _here() -> Path | None:
    """The working directory; None when it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _say_what_is_ignored(ctx: click.Context, submission: Submission, flags: dict[str, Any]) -> None:
    if submission.provider == "local" and (cloud := given_flags(flags)):
        talk.note(f"{', '.join(cloud)} {_has(cloud)} no effect on this machine, and {'is' if len(cloud) == 1 else 'are'} kept with the array")
    if submission.provider != "local" and flags["private_tmp"]:
        talk.note("--private-tmp has no effect on EC2: every run has an instance of its own")
    if ignored := list(dict.fromkeys(ctx.meta.get("spawn.ignored", ()))):
        talk.note(f"#SBATCH {', '.join(ignored)} {_has(ignored)} no effect here")
    if ctx.meta.get("spawn.waits"):
        ends = {"terminate": "end", "stop": "stop", "hibernate": "hibernate"}.get(flags["on_complete"] or "none")
        what = "only wait for `spawn connect`" if ends is None else f"{ends} as soon as they are up, as --on-complete {flags['on_complete']} says"
        talk.note(f"neither a script nor a command was given: the instances {what}")


def _has(flags: list[str]) -> str:
    return "has" if len(flags) == 1 else "have"


def _launch(client: Client, submission: Submission, output: Output) -> Launched:
    """Launch, and print what is data of it."""
    for_people = launched.is_for_people(output)
    if for_people:
        launched.begin(submission)
    array = client.submit(submission, children=launched.wants_children(output))
    if for_people:
        first = [] if submission.dry_run else launched.first_members(client, array)
        launched.finish(array, first, dry_run=submission.dry_run)
    else:
        launched.record(array, output)
    return array
