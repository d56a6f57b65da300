"""`spawn submit`: jobs as AWS Batch writes them, from files."""

from __future__ import annotations

import click

from spawn.cli import options, values
from spawn.cli.documents import read_documents
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import data, talk
from spawn.cli.render.arrays import ARRAYS
from spawn.cli.verbs import Verb
from spawn.domain.errors import UsageError

EXAMPLES = """\
spawn submit job.json                             what SubmitJob takes, such as the file of aws batch submit-job --cli-input-json
spawn submit pipeline.yaml                        a list of jobs; dependsOn may name an earlier one by jobName
spawn submit definitions.yaml jobs.yaml           what RegisterJobDefinition takes, too; all of it or nothing
spawn submit pipeline.yaml -p work="$PWD/build" --wait
                                                  a parameter for every job, for Ref::work in their commands"""


@click.command(cls=Verb, examples=EXAMPLES)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-p", "--parameter", "parameters", type=values.PARAMETER, multiple=True, help="A parameter of every job: NAME=VALUE, for Ref::NAME in commands.")
@click.option("--wait", is_flag=True, help="Stay until all have settled; the exit code says how.")
@click.option("--timeout-wait", type=values.DURATION, help="With --wait: stay at most so long (exit code 124).")
@options.dry_run_option
@options.output_options
def command(
    files: tuple[str, ...], parameters: tuple[tuple[str, str], ...], wait: bool, timeout_wait: float | None, dry_run: bool, output_format: str, quiet: bool
) -> int:
    """Submit jobs in the words of AWS Batch, JSON or YAML; - reads standard input. All are taken, or none."""
    if timeout_wait is not None and not wait:
        raise UsageError("--timeout-wait says how long --wait stays: add --wait")
    documents = read_documents(files)
    output = options.output_of(output_format, quiet)
    client = ensure_engine()
    submitted = client.submit_documents(documents, parameters=dict(parameters), dry_run=dry_run)
    for sentence in submitted.notes:
        talk.note(sentence)
    if not (dry_run and output.quiet):
        data.records(ARRAYS, submitted.arrays, output)
        data.flush()
    if dry_run:
        talk.note("dry run: nothing was submitted")
        return 0
    if not wait:
        return 0
    from spawn.cli.waiting import wait_for_submitted

    return wait_for_submitted(client, submitted.arrays, timeout_wait)
