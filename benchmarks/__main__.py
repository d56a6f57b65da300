"""`python -m benchmarks [NAME …] [--quick] [--rounds N]`: run the benchmarks, print Markdown on stdout."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks import dispatch, ec2, endpoint, queries, submit, throughput, workflow
from benchmarks.figures import Figure, machine, note, table

BENCHMARKS: dict[str, tuple[str, Callable[..., list[Figure]]]] = {
    "throughput": ("Throughput: an array of /bin/true, two at a time", throughput.measure),
    "submit": ("Submission", submit.measure),
    "queries": ("Commands and restart", queries.measure),
    "dispatch": ("Who goes next, with many jobs waiting", dispatch.measure),
    "workflow": ("The workflow A to E over the AWS Batch protocol", workflow.measure),
    "endpoint": ("The AWS endpoint under load", endpoint.measure),
    "ec2": ("Arrays on EC2, in the laboratory", ec2.measure),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the children; the goals are meant for the whole")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run; the median counts (default: 3)")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark is called '{name}': choose from {', '.join(BENCHMARKS)}")

    print(f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}{'; --quick: a tenth of the children' if arguments.quick else ''}.\n")
    for name in arguments.names or BENCHMARKS:
        title, measure = BENCHMARKS[name]
        note(f"{title} ...")
        print(table(title, measure(quick=arguments.quick, rounds=arguments.rounds)), flush=True)


if __name__ == "__main__":
    main()
