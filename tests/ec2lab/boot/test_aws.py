"""The AWS CLI inside a machine, against a moto server."""

from __future__ import annotations

from collections.abc import Callable

import boto3
import pytest
from moto.server import ThreadedMotoServer

from spawn.testing.ec2lab.boot.sandboxes import RealMachines
from spawn.testing.ec2lab.machines import Ending
from tests.ec2lab.boot.conftest import Recorder, a_machine


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder("http://127.0.0.1:9")


def test_a_script_copies_from_and_to_the_laboratorys_bucket_with_the_machines_role(boots: Callable[..., RealMachines], recorder: Recorder) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        recorder.endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        s3 = boto3.client("s3", endpoint_url=recorder.endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        s3.create_bucket(Bucket="my-data")
        s3.put_object(Bucket="my-data", Key="input/file-000.csv", Body=b"a,b\n")
        machines = boots()
        # a clean environment, as some programs make it: the settings are in a file too
        script = "#!/bin/bash\nset -e\naws s3 cp s3://my-data/input/file-000.csv /tmp/in.csv\ntr a-z A-Z < /tmp/in.csv > /tmp/out.csv\n"
        machine = a_machine(script + "env -i PATH=$PATH aws s3 cp /tmp/out.csv s3://my-data/output/file-000.csv\nshutdown -h now\n")
        machines.boot(machine)
        assert recorder.wait_for_end(machine) is Ending.SHUTDOWN, machines.console(machine.instance_id)
        assert s3.get_object(Bucket="my-data", Key="output/file-000.csv")["Body"].read() == b"A,B\n"
        s3.close()
    finally:
        server.stop()
