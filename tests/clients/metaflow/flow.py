"""A Metaflow flow: a foreach whose steps run as AWS Batch jobs, one of which fails at its first attempt."""

import os

from metaflow import FlowSpec, batch, current, environment, retry, step

# what a job needs to find Python and S3; on AWS the image and the job's role bring it
IN_THE_JOB = {
    **{name: os.environ.get(name, "") for name in ("PATH", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    "METAFLOW_SKIP_INSTALL_DEPENDENCIES": "1",
}


class Squares(FlowSpec):  # type: ignore[misc]
    """Squares of three numbers, each from a job of its own, added up."""

    @step
    def start(self) -> None:
        self.numbers = [2, 3, 4]
        self.next(self.square, foreach="numbers")

    @environment(vars=IN_THE_JOB)
    @retry(times=1, minutes_between_retries=0)
    @batch(cpu=1, memory=1024)
    @step
    def square(self) -> None:
        print("squaring", self.input)  # noqa: T201 - the job's log
        if self.input == 3 and current.retry_count == 0:
            raise RuntimeError("not at the first attempt")
        self.result = self.input**2
        self.job = os.environ["AWS_BATCH_JOB_ID"]
        self.next(self.join)

    @step
    def join(self, inputs) -> None:  # type: ignore[no-untyped-def]
        self.squares = sorted(each.result for each in inputs)
        self.jobs = [each.job for each in inputs]
        self.next(self.end)

    @step
    def end(self) -> None:
        pass


if __name__ == "__main__":
    Squares()
