"""Launching on EC2: what is asked, what is sent, what is shown before and after."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest
from canned import SPOT_PRICE, array, check, cost, member, plan, quote
from fake_engine import FakeEngine, refuse
from running import Run

from spawn.client import cloud
from spawn.client.client import Client
from spawn.client.submission import Submission

ID = "array-20260127-100000"
SCRIPT = "#!/bin/bash\necho $TASK_ARRAY_INDEX\n"
EC2 = ("launch", "--provider", "ec2")
DEAR = quote(instances=500, hours=1.0, usd=175.5, volume_usd=0.5)


@pytest.fixture(autouse=True)
def five(fake: FakeEngine) -> None:
    fake.arrays = [array(provider="ec2", counts={"STARTING": 5}, instances={"pending": 5})]
    fake.members = [member(index, state="pending", status="STARTING") for index in range(5)]
    fake.costs = [cost()]


def sent(fake: FakeEngine) -> dict[str, object]:
    body = fake.bodies("/arrays")[-1]
    assert isinstance(body, dict)
    return body


def launched(fake: FakeEngine) -> bool:
    return bool(fake.bodies("/arrays"))


def test_on_a_terminal_a_launch_reads_as_in_the_tutorial(on_terminal: Run) -> None:
    result = on_terminal(*EC2, "--instance-type", "t3.micro", "--array", "5", "--ttl", "30m", "--name", "my-array", "--user-data", SCRIPT, TERM="dumb")
    estimate = """\
Estimated cost: ~$0.03 (5 instances × 30 minutes × $0.0104/hour)
Spot cost: ~$0.0099 (65% savings; spot price history, 2026-01-27)
Prices: AWS Price List, 2026-01-27
"""
    assert result.code == 0
    assert (
        result.out
        == f"""\
🚀 Launching job array...

Array Size: 5
Instance Type: t3.micro
TTL: 30m
{estimate}
Progress:
  ✓ Creating 5 instances
  ✓ Launching instances...

Instances:
  my-array-0 → i-00000000000000000 (launching)
  my-array-1 → i-00000000000000001 (launching)
  my-array-2 → i-00000000000000002 (launching)
  my-array-3 → i-00000000000000003 (launching)
  my-array-4 → i-00000000000000004 (launching)

Job array launched! 🎉

Array ID: array-20260127-100000
Instances: 5

Monitor:
  spawn list --tag array:id=array-20260127-100000

{estimate}"""
    )


def test_the_instances_are_counted_as_they_come(fake: FakeEngine, on_terminal: Run) -> None:
    fake.plan_answer = plan(children=100, instances=100, quotes=[quote(instances=100)])
    fake.growing = [0, 23, 23, 23, 100]
    fake.reasons = [{"indexes": "23-99", "count": 77, "reason": "throttled by EC2", "kind": "throttled"}]
    shown = on_terminal(*EC2, "--array", "100", "--ttl", "30m", "--", "./run.sh").out
    assert re.search(r"Launching 100 instances\.\.\.\n.*0/100 launched.*23/100 launched: throttled by EC2.*✓ Progress: 100/100 launched\n", shown, re.DOTALL)
    assert "launched! 🎉" in shown


def test_what_is_not_launched_yet_is_told_as_that(fake: FakeEngine, on_terminal: Run) -> None:
    fake.arrays = [array(provider="ec2", counts={"RUNNABLE": 3, "RUNNING": 2})]
    fake.growing = [2]
    booting = {"indexes": "0-1", "count": 2, "reason": "its instance is booting", "kind": "instance"}
    fake.reasons = [booting, {"indexes": "2-4", "count": 3, "reason": "over quota: 4 of 4 vCPUs are in use", "kind": "over-quota"}]
    shown = on_terminal(*EC2, "--array", "5", "--ttl", "30m", "--", "./run.sh", TERM="dumb").out
    assert "2 of 5 instances launched so far; the others follow by themselves, also when you leave:\n  3 × over quota: 4 of 4 vCPUs are in use\n" in shown
    assert "booting" not in shown
    assert "🎉" not in shown


def test_in_a_pipe_the_id_is_all_there_is(in_process: Run) -> None:
    result = in_process(*EC2, "--array", "5", "--ttl", "30m", "--", "./run.sh")
    assert (result.code, result.out, result.err) == (0, f"{ID}\n", "")


def test_every_flag_is_sent_in_the_words_of_fleet_options(fake: FakeEngine, spawn: Run) -> None:
    flags = {
        "--instance-type": "c7i.large",
        "--instance-types": "c6i.large,m7i.large",
        "--region": "us-east-1",
        "--spot-max-price": "0.15",
        "--spot-retries": "0",
        "--ami": "ami-blender",
        "--volume-size": "20",
        "--subnet-id": "subnet-1,subnet-2",
        "--security-group-id": "sg-1",
        "--iam-policy": "s3:FullAccess,sqs:ReadOnly",
        "--instance-profile": "mine",
        "--key-name": "k",
        "--instances": "25",
        "--per-instance": "2",
        "--distribute": "dynamic",
        "--bucket": "my-bucket",
        "--budget": "20",
        "--on-complete": "none",
        "--idle-timeout": "10m",
        "--ttl": "1h",
        "--workdir": "/home/ec2-user",
        "--env": "A=1",
    }
    words = [word for pair in flags.items() for word in pair]
    result = spawn(*EC2, *words, "--region", "us-west-2", "--spot", "--on-demand-fallback", "--array", "100", "--", "./there.sh", AWS_PROFILE="lab", SECRET="x")
    assert result.code == 0, result.err
    body = sent(fake)
    assert body["cloud"] == {
        "instance_types": ["c7i.large", "c6i.large", "m7i.large"],
        "regions": ["us-east-1", "us-west-2"],
        "spot": True,
        "spot_max_price": 0.15,
        "on_demand_fallback": True,
        "spot_retries": 0,
        "ami": "ami-blender",
        "volume_gib": 20,
        "subnets": ["subnet-1", "subnet-2"],
        "security_groups": ["sg-1"],
        "iam_policies": ["s3:FullAccess", "sqs:ReadOnly"],
        "instance_profile": "mine",
        "key_name": "k",
        "instances": 25,
        "per_instance": 2,
        "distribute": "dynamic",
        "bucket": "my-bucket",
        "budget_usd": 20.0,
    }
    assert (body["provider"], body["on_complete"], body["idle_s"], body["workdir"]) == ("ec2", "none", 600, "/home/ec2-user")
    assert (body["environment"], body["env"], body["umask"]) == ({}, {"A": "1"}, None)
    access = body["access"]
    assert isinstance(access, dict)
    assert (access["AWS_PROFILE"], "SECRET" in access, "HOME" in access) == ("lab", False, True)
    assert fake.bodies("/plans")[-1] == body


def test_every_flag_is_a_setting_too(fake: FakeEngine, spawn: Run, home: Path) -> None:
    (home / "spawn.toml").write_text(
        "[launch]\nprovider = 'ec2'\nregion = 'eu-west-1'\ninstance-types = ['m7i.large']\nvolume-size = 30\nspot = true\nno-ttl = true\nyes = true\n"
    )
    script = "#!/bin/bash\n#SPAWN --iam-policy s3:FullAccess --iam-policy sqs:ReadOnly --on-demand-fallback --no-ttl\n"
    result = spawn("launch", "--user-data", script, SPAWN_SUBNET_ID="subnet-1 subnet-2", SPAWN_BUDGET="7.5", SPAWN_CONFIRM_ABOVE="100")
    assert result.code == 0, result.err
    body = sent(fake)
    assert body["cloud"] == {
        "instance_types": ["m7i.large"],
        "regions": ["eu-west-1"],
        "spot": True,
        "on_demand_fallback": True,
        "volume_gib": 30,
        "subnets": ["subnet-1", "subnet-2"],
        "iam_policies": ["s3:FullAccess", "sqs:ReadOnly"],
        "budget_usd": 7.5,
    }
    assert (body["provider"], body["no_ttl"], body["ttl_s"]) == ("ec2", True, None)


@pytest.mark.parametrize(
    ("words", "variables", "ends"),
    [
        (["--ttl", "1h"], {"SPAWN_NO_TTL": "1"}, (3600, False)),
        (["--no-ttl", "--yes"], {"SPAWN_TTL": "1h"}, (None, True)),
        ([], {"SPAWN_NO_TTL": "1", "SPAWN_YES": "1"}, (None, True)),
        ([], {"SPAWN_TTL": "2h"}, (7200, False)),
    ],
)
def test_a_ttl_and_none_take_each_others_place(
    fake: FakeEngine, spawn: Run, home: Path, words: list[str], variables: dict[str, str], ends: tuple[object, bool]
) -> None:
    (home / "spawn.toml").write_text("[launch]\nttl = '30m'\n")
    assert spawn(*EC2, *words, "--", "x", **variables).code == 0
    body = sent(fake)
    assert (body["ttl_s"], body["no_ttl"]) == ends


@pytest.mark.parametrize(("typed", "ends"), [("\n", (14400, False)), ("90m\n", (5400, False)), ("none\n", (None, True))])
def test_without_a_ttl_the_terminal_is_asked(fake: FakeEngine, on_terminal: Run, typed: str, ends: tuple[object, bool]) -> None:
    fake.plan_answer = plan(ttl_s=ends[0], usd=0.028192 if ends[0] else None)
    result = on_terminal(*EC2, "--array", "5", "--", "x", typed=f"{typed}y\n", TERM="dumb")
    assert "When do the instances end at the latest? A duration, or none [4h]" in result.out
    body = sent(fake)
    assert (body["ttl_s"], body["no_ttl"]) == ends


def test_without_a_ttl_and_a_terminal_the_default_is_used_and_said(fake: FakeEngine, in_process: Run) -> None:
    result = in_process(*EC2, "--array", "5", "--", "x")
    assert (result.code, result.err) == (0, "note: no --ttl was given: the instances end after 4h at the latest\n")
    assert sent(fake)["ttl_s"] == 14400


@pytest.mark.parametrize("typed", ["\x04", "90m\x04\x04", "90m\n\x04", "90m\ny\x04\x04"])
def test_the_end_of_input_at_a_question_is_no_answer_and_launches_nothing(fake: FakeEngine, on_terminal: Run, typed: str) -> None:
    fake.plan_answer = plan(usd=175.5, quotes=[DEAR])
    result = on_terminal(*EC2, "--array", "5", "--", "x", typed=typed, TERM="dumb")
    assert (result.code, launched(fake)) == (8, False)
    assert "\nNothing was launched.\n" in result.out


def test_what_was_typed_wrongly_is_refused(fake: FakeEngine, on_terminal: Run) -> None:
    result = on_terminal(*EC2, "--", "x", typed="soon\n")
    assert (result.code, "--ttl: 'soon' is not a duration" in result.out) == (2, True)
    assert not launched(fake)


def test_no_ttl_on_a_terminal_asks_with_the_price_of_an_hour(fake: FakeEngine, on_terminal: Run) -> None:
    fake.plan_answer = plan(ttl_s=None, usd=None, usd_per_hour=0.028192)
    result = on_terminal(*EC2, "--no-ttl", "--", "x", typed="n\n", TERM="dumb")
    assert "Estimated cost: ~$0.03 an hour (5 instances × $0.0104/hour), until they are ended\n" in result.out
    assert "Without a TTL this costs ~$0.03 an hour until somebody ends it. Launch? [y/N]" in result.out
    assert (result.code, launched(fake)) == (8, False)


def test_a_plan_without_a_ttl_has_a_price_an_hour_and_no_other(fake: FakeEngine, in_process: Run) -> None:
    fake.plan_answer = plan(ttl_s=None, usd=None, usd_per_hour=0.028192)
    facts = dict(line.split("\t", 1) for line in in_process(*EC2, "--no-ttl", "--dry-run", "--", "x").lines)
    assert (facts["ttl_s"], facts["usd"], facts["usd_per_hour"]) == ("-", "-", "0.028192")


def test_a_dear_launch_asks_and_a_no_launches_nothing(fake: FakeEngine, on_terminal: Run) -> None:
    fake.plan_answer = plan(usd=175.5, quotes=[DEAR])
    result = on_terminal(*EC2, "--ttl", "1h", "--", "x", typed="n\n", TERM="dumb")
    assert "This may cost up to ~$175.50. Launch? [y/N]" in result.out
    assert "Nothing was launched." in result.out
    assert (result.code, launched(fake)) == (8, False)


def test_a_dear_launch_without_a_terminal_needs_yes(fake: FakeEngine, in_process: Run) -> None:
    fake.plan_answer = plan(usd=175.5, quotes=[DEAR])
    refused = in_process(*EC2, "--ttl", "1h", "--", "x")
    assert (refused.code, refused.out, launched(fake)) == (2, "", False)
    assert refused.err == (
        "error: this may cost up to ~$175.50, and only what costs at most $5.00 (--confirm-above) is launched unasked: "
        "add --yes, or --dry-run to see the whole plan\n"
    )
    assert in_process(*EC2, "--ttl", "1h", "--confirm-above", "200", "--", "x").code == 0
    assert in_process(*EC2, "--ttl", "1h", "--yes", "--", "x").code == 0


def test_what_has_no_known_price_is_not_launched_unasked(fake: FakeEngine, in_process: Run) -> None:
    fake.plan_answer = plan(usd=None, usd_per_hour=None, quotes=[])
    refused = in_process(*EC2, "--ttl", "1h", "--", "x")
    assert (refused.code, launched(fake)) == (2, False)
    assert "what this may cost is not known" in refused.err


def test_a_dry_run_shows_the_whole_plan_and_launches_nothing(fake: FakeEngine, on_terminal: Run) -> None:
    fewer = quote("3 instances × 2 indexes, on-demand", instances=3, usd=0.016915)
    fake.plan_answer = plan(quotes=[quote(), quote("spot", usd=0.009942, price=SPOT_PRICE), fewer], waves=3, quota=4.0, seconds=120.0, seconds_one_by_one=180.0)
    result = on_terminal(*EC2, "--array", "5", "--ttl", "30m", "--dry-run", "--user-data", SCRIPT)
    assert result.code == 0
    assert "🚀 Checking job array..." in result.out
    assert "5 instances: t3.micro, on-demand, 10 vCPUs in all\n  Zones:     us-east-1a, us-east-1b\n" in result.out
    assert "1 RunInstances call; all launched after 2m00s (with a call for each: 3m00s)" in result.out
    assert "4 vCPUs at once: 3 waves, each when instances of the one before have ended" in result.out
    assert re.search(r"3 instances × 2 indexes, on-demand +3 +30 minutes +\$0\.0104/hour +\$0\.0022 +\$0\.00 +~\$0\.02 +AWS Price List, 2026-01-27", result.out)
    assert result.out.endswith("note: dry run: nothing was launched\n")
    assert not launched(fake)


def test_a_dry_run_in_a_pipe_is_a_fact_a_line_and_json_has_the_same(fake: FakeEngine, in_process: Run) -> None:
    piped = in_process(*EC2, "--array", "5", "--dry-run", "--", "x")
    facts = dict(line.split("\t", 1) for line in piped.lines)
    assert (facts["run_calls"], facts["usd"], facts["zones"]) == ("1", "0.028192", "us-east-1a,us-east-1b")
    assert facts["quote"] == "spot\t5\t0.5\t0.0031\t0.002192\t0.009942\tspot price history\t2026-01-27"
    value = json.loads(in_process(*EC2, "--array", "5", "--dry-run", "-o", "json", "--", "x").out)
    check("plan", value)
    assert value == fake.plan_answer
    assert in_process(*EC2, "--array", "5", "--dry-run", "-q", "--", "x").out == ""
    assert not launched(fake)


def test_a_spot_launch_shows_what_on_demand_would_cost(fake: FakeEngine, on_terminal: Run) -> None:
    spot = quote("spot", instances=500, hours=1.0, usd=50.0, volume_usd=0.5, price=SPOT_PRICE | {"usd": 0.1})
    fake.plan_answer = plan(spot=True, usd=50.0, quotes=[spot, quote(instances=500, hours=1.0, usd=175.0)])
    shown = on_terminal(*EC2, "--spot", "--ttl", "1h", "--yes", "--", "x", TERM="dumb").out
    assert "Estimated cost: ~$50.00 (500 instances × 1 hour × $0.10/hour)\nOn-demand: ~$175.00 (savings: $125.00, 71%)\n" in shown


def test_the_notes_of_the_plan_are_said_once(fake: FakeEngine, in_process: Run) -> None:
    warning = "s3:FullAccess lets the instances read, write and delete every bucket of the account"
    fake.plan_answer = plan(notes=[warning])
    fake.arrays = [array(provider="ec2", notes=[warning, "a second thing"])]
    assert in_process(*EC2, "--ttl", "1h", "--", "x").err == f"note: {warning}\nnote: a second thing\n"


def test_who_waits_for_a_plan_hears_when_aws_is_slow(fake: FakeEngine) -> None:
    told = threading.Event()
    fake.on_plan = lambda: told.wait(30)
    found = cloud.plan(Client(fake.state_dir, slow_s=0.01), Submission(provider="ec2", command=["x"]), on_silence=told.set)
    assert (found.usd, told.is_set()) == (0.028192, True)


def test_a_launch_that_was_taken_is_told_also_when_it_cannot_be_followed(fake: FakeEngine, on_terminal: Run) -> None:
    fake.costs = refuse(503, "unavailable", "AWS did not answer")
    result = on_terminal(*EC2, "--ttl", "1h", "--", "x", TERM="dumb")
    assert (result.code, launched(fake)) == (0, True)
    assert f"{ID} is launched, and how far it is could not be seen (AWS did not answer): `spawn status {ID}` says" in result.out


def test_what_the_plan_refuses_launches_nothing(fake: FakeEngine, in_process: Run) -> None:
    fake.plan_answer = refuse(400, "configuration", "no AWS credentials were found: run `aws configure`")
    result = in_process(*EC2, "--ttl", "1h", "--", "x")
    assert (result.code, result.err) == (3, "error: no AWS credentials were found: run `aws configure`\n")
    assert not launched(fake)


def test_scripts_and_commands_need_not_be_able_to_run_here(fake: FakeEngine, in_process: Run) -> None:
    assert in_process(*EC2, "--ttl", "1h", "--user-data", "#!/opt/there/bin/tool\nx\n").code == 0
    assert in_process(*EC2, "--ttl", "1h", "--", "/opt/there/tool", "-x").code == 0
    assert [body["command"] for body in fake.bodies("/arrays")] == [None, ["/opt/there/tool", "-x"]]


def test_flags_without_effect_on_ec2_are_named(in_process: Run) -> None:
    assert "--private-tmp has no effect on EC2: every run has an instance of its own" in in_process(*EC2, "--ttl", "1h", "--private-tmp", "--", "x").err


TUTORIAL = [
    "--instance-type t3.micro --array 5 --ttl 30m --name my-array --user-data @s.sh",
    "--instance-type c7i.large --array 100 --ttl 2h --name file-processor --iam-policy s3:FullAccess --on-complete terminate --user-data @s.sh",
    (
        "--instance-type c7i.2xlarge --array 500 --ttl 1h --name video-render --ami ami-blender --iam-policy s3:FullAccess --spot --spot-max-price 0.15 "
        "--on-complete terminate --user-data @s.sh"
    ),
    "--instance-type t3.medium --array 1000 --ttl 30m --name monte-carlo --iam-policy s3:FullAccess --spot --on-complete terminate --user-data @s.sh",
    "--array 100 --spot --spot-max-price 0.05",
    "--array 50 --region us-west-2",
    "--array 100 --dry-run",
    "--array 100 --on-complete terminate",
]


@pytest.mark.parametrize("words", TUTORIAL)
@pytest.mark.parametrize("provider", ["local", "ec2"])
def test_the_commands_of_the_tutorial_are_understood_word_for_word(
    fake: FakeEngine, in_process: Run, home: Path, monkeypatch: pytest.MonkeyPatch, provider: str, words: str
) -> None:
    (home / "s.sh").write_text(SCRIPT)
    monkeypatch.setenv("SPAWN_PROVIDER", provider)
    result = in_process("launch", *words.split())
    assert result.code == 0, result.err
    assert (fake.bodies("/plans") != []) == (provider == "ec2")


NO_BUCKETS = [
    *("My_Bucket", "my..bucket", "192.168.1.1", "ab", "-my", "my.", "x" * 64, "a/b", "xn--bucket", "sthree-bucket", "amzn-s3-demo-bucket"),
    *("my-s3alias", "my--ol-s3", "my.mrap", "my--use1-az4--x-s3", "my--table-s3"),
]

BAD = [
    ([*EC2, "--no-ttl", "--", "x"], "--no-ttl lets instances run, and cost, until somebody ends them: add --yes"),
    ([*EC2, "--no-ttl", "--ttl", "1h", "--", "x"], "--ttl and --no-ttl contradict each other"),
    ([*EC2, "--workdir", "here", "--", "x"], "--workdir: 'here' is not an absolute path: it is a directory of the instance"),
    ([*EC2, "--spot-max-price", "0.1", "--", "x"], "--spot-max-price: it is a limit for --spot: add --spot"),
    ([*EC2, "--on-demand-fallback", "--", "x"], "add --spot"),
    ([*EC2, "--spot-retries", "3", "--", "x"], "--spot-retries: it counts losses to the spot market: add --spot"),
    ([*EC2, "--spot", "--on-complete", "stop", "--", "x"], "--on-complete: a spot instance is launched once and cannot be stopped: use terminate or none"),
    ([*EC2, "--spot", "--on-complete", "hibernate", "--", "x"], "cannot be hibernated"),
    ([*EC2, "--distribute", "dynamic", "--", "x"], "say how many with --instances M"),
    ([*EC2, "--distribute", "dynamc", "--", "x"], "did you mean 'dynamic'?"),
    ([*EC2, "--per-instance", "2", "--", "x"], "say how many instances with --instances M"),
    ([*EC2, "--instances", "0", "--", "x"], "--instances: '0' is not a number"),
    ([*EC2, "--instances", "2", "--private-tmp", "--array", "4", "--", "x"], "share its /tmp"),
    ([*EC2, "--instance-types", "c7i.large,huge", "--", "x"], "--instance-types: 'huge' is not an instance type"),
    ([*EC2, "--subnet-id", "net-1", "--", "x"], "--subnet-id: 'net-1' is not a subnet id: write one such as subnet-0abc1234"),
    ([*EC2, "--security-group-id", "web", "--", "x"], "'web' is not a security group id"),
    ([*EC2, "--iam-policy", "s3:FullAccess,everything", "--", "x"], "'everything' is not a policy"),
    *(
        ([*EC2, "--bucket", name, "--", "x"], f"--bucket: '{name[:60]}' is not a name that a bucket can have: write one such as my-bucket")
        for name in NO_BUCKETS
    ),
    ([*EC2, "--tag", "a=1", "--tag", "b=1", "--tag", "a=2", "--", "x"], "--tag: 'a' is given twice, as '1' and as '2': give it once"),
    ([*EC2, "--budget", "cheap", "--", "x"], "--budget: 'cheap' is not an amount: write US dollars, such as 20 or 2.50"),
    ([*EC2, "--region", "mars", "--", "x"], "'mars' is not a region"),
    (["launch", "--on-complete", "hibernate", "--", "true"], "only EC2 instances hibernate: write stop, or add --provider ec2"),
    (["launch", "--rehearse", "--", "true"], "--rehearse plays a launch on EC2: add --provider ec2"),
    (["launch", "--user-data", "#!/bin/sh\n#SPAWN --no-array 3\n"], "the script:2: unknown flag '--no-array'; did you mean '--array'?"),
]


@pytest.mark.parametrize("name", ["abc", "my.data-1", "192.168.1.1a", "1.2.3", "x" * 63, "my-s3alias-2", "spawn-123456789012-us-east-1"])
def test_what_s3_takes_as_a_name_of_a_bucket_is_taken(fake: FakeEngine, in_process: Run, name: str) -> None:
    assert in_process(*EC2, "--ttl", "1h", "--bucket", name, "--", "x").code == 0
    assert sent(fake)["cloud"] == {"bucket": name}


@pytest.mark.parametrize("words", [["status"], ["list"], ["cost"]])
def test_a_tag_that_is_asked_for_twice_is_refused(fake: FakeEngine, in_process: Run, words: list[str]) -> None:
    result = in_process(*words, "--tag", "a=1", "--tag", "a=1")
    assert (result.code, result.err, fake.asked) == (2, "error: --tag: 'a' is given twice, as '1' and as '1': give it once\n", [])


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_refused_in_one_sentence_before_anything_is_asked(fake: FakeEngine, in_process: Run, arguments: list[str], sentence: str) -> None:
    result = in_process(*arguments)
    assert (result.code, result.err.count("\n"), result.out) == (2, 1, "")
    assert sentence in result.err
    assert fake.asked == []
