"""Run COUNT tasks on a HyperQueue server and worker of this machine, and print the seconds from submission to the last end.

A process of its own: the server's threads end with it. Tasks keep their output in a file each, as they do by default, unless --no-logs is given.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("cores", type=int)
    parser.add_argument("--no-logs", action="store_true")
    arguments = parser.parse_args()

    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig

    with tempfile.TemporaryDirectory(prefix="spawn-bench-hq.") as directory, LocalCluster(server_dir=str(Path(directory) / "server")) as cluster:
        cluster.start_worker(WorkerConfig(cores=arguments.cores))
        client = cluster.client()
        output = {"stdout": None, "stderr": None} if arguments.no_logs else {}
        began = time.perf_counter()
        job = Job(default_workdir=Path(directory))
        for _ in range(arguments.count):
            job.program(["/bin/true"], **output)
        client.wait_for_jobs([client.submit(job)])
        print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
