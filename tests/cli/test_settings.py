"""Flags beat the environment beat the script's lines beat the project's file beat the user's file beat defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
from canned import array
from fake_engine import FakeEngine
from running import Run

from spawn.cli.scripts import directives
from spawn.config import Setting, did_you_mean
from spawn.domain.errors import UsageError


@pytest.fixture(autouse=True)
def one(fake: FakeEngine) -> None:
    fake.arrays = [array()]


def ttl_sent(fake: FakeEngine) -> object:
    return fake.bodies("/arrays")[-1]["ttl_s"]


def user_file(home: Path, text: str) -> Path:
    path = home / ".config" / "spawn" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_each_layer_beats_the_ones_below_it(fake: FakeEngine, spawn: Run, home: Path, tmp_path: Path) -> None:
    script = "#!/bin/sh\n#SPAWN --ttl 30m\ntrue\n"
    below = home / "project" / "deep"
    below.mkdir(parents=True)
    sent = []

    def launch(*flags: str, **variables: str) -> None:
        result = spawn("launch", *flags, cwd=below, **variables)
        assert result.code == 0, result.err
        sent.append(ttl_sent(fake))

    launch("--", "true")
    user_file(home, '[launch]\nttl = "10m"\n')
    launch("--", "true")
    (home / "project" / "spawn.toml").write_text('[launch]\nttl = "20m"\n')
    launch("--", "true")
    launch("--user-data", script)
    launch("--user-data", script, SPAWN_TTL="40m")
    launch("--user-data", script, "--ttl", "50m", SPAWN_TTL="40m")
    assert sent == [None, 600, 1200, 1800, 2400, 3000]


def test_tags_and_variables_of_all_layers_are_joined(fake: FakeEngine, spawn: Run, home: Path) -> None:
    user_file(home, '[launch]\nenv = {A = "user", B = "user"}\ntag = ["who=me", "what=old"]\n')
    (home / "spawn.toml").write_text("[launch]\ntag = {what = 'new', n = 3}\n[launch.env]\nB = 'project'\nC = 'project'\n")
    assert spawn("launch", "--env", "C=flag", "--", "true").code == 0
    body = fake.bodies("/arrays")[-1]
    assert body["env"] == {"A": "user", "B": "project", "C": "flag"}
    assert body["tags"] == {"who": "me", "what": "new", "n": "3"}


def test_every_kind_of_value_can_stand_in_a_file(fake: FakeEngine, spawn: Run, home: Path) -> None:
    (home / "spawn.toml").write_text('[launch]\nretries = 2\nretry_on = ["oom", "lost"]\ncpus = 0.5\nprivate-tmp = false\nspot = true\nmax_concurrent = 4\n')
    result = spawn("launch", "--array", "9", "--", "true")
    assert result.code == 0, result.err
    body = fake.bodies("/arrays")[-1]
    assert (body["retries"], body["retry_on"], body["cpus"], body["private_tmp"], body["max_concurrent"]) == (2, ["oom", "lost"], 0.5, False, 4)
    assert body["cloud"] == {"spot": True}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[launch]\ntll = "2h"\n', "unknown key 'launch.tll'; did you mean 'ttl'?"),
        ("[lanch]\n", "unknown table 'lanch'; did you mean 'launch'?"),
        ("launch = 3\n", "'launch' is a table"),
        ("[launch]\nspot = 'yes'\n", "launch.spot: expected true or false"),
        ("[launch]\nttl = ['2h']\n", "launch.ttl: expected a text or a number"),
        ("[launch]\nretry-on = 3\n", "launch.retry-on: expected a list of texts"),
        ("[launch\n", "not TOML"),
        ("[engine]\ncpus = 2\n", "unknown table 'engine'"),
    ],
)
def test_what_a_file_should_not_have_is_refused_with_its_name(spawn: Run, home: Path, text: str, sentence: str) -> None:
    (home / "spawn.toml").write_text(text)
    result = spawn("launch", "--", "true")
    assert result.code == 3
    assert f"{home / 'spawn.toml'}: " in result.err
    assert sentence in result.err
    assert result.err.count("\n") == 1


def test_a_bad_value_names_where_it_came_from(spawn: Run, home: Path) -> None:
    (home / "spawn.toml").write_text("[launch]\nttl = '2x'\n")
    result = spawn("launch", "--", "true")
    assert result.code == 2
    assert f"--ttl (from {home / 'spawn.toml'}: launch.ttl): '2x'" in result.err
    result = spawn("launch", "--", "true", SPAWN_TTL="3y")
    assert "--ttl (from SPAWN_TTL): '3y'" in result.err
    result = spawn("launch", "--user-data", "#!/bin/sh\n#SPAWN --ttl 4z\n")
    assert "--ttl (from the script:2): '4z'" in result.err


def test_help_needs_no_sound_settings(spawn: Run, home: Path) -> None:
    (home / "spawn.toml").write_text("[launch\n")
    assert spawn("launch", "--help").code == 0


def test_spawn_lines_are_read_up_to_the_first_command() -> None:
    script = "#!/bin/sh\n# a comment\n\n#SPAWN --array 10 --spot --no-private-tmp\n#SPAWN --tag=a=b --tag c=d # why\ntrue\n#SPAWN --array 20\n"
    found = directives(script, "s.sh").settings
    assert found == {
        "array": Setting("10", "s.sh:4"),
        "spot": Setting(True, "s.sh:4"),
        "private-tmp": Setting(False, "s.sh:4"),
        "tag": Setting(["a=b", "c=d"], "s.sh:5"),
    }


@pytest.mark.parametrize("line", ["#SPAWN --arry 3", "#SPAWN array=3", "#SPAWN --ttl", "#SPAWN --name 'open"])
def test_a_bad_spawn_line_is_refused_with_its_place(line: str) -> None:
    with pytest.raises(UsageError, match=r"s\.sh:2: "):
        directives(f"#!/bin/sh\n{line}\n", "s.sh")


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("--array=0-15%4", "array", "0-15%4"),
        ("-a 5", "array", "5-5"),
        ("--array=5%1", "array", "5-5%1"),
        ("--time=30", "timeout", "1800s"),
        ("-t 01:30", "timeout", "90s"),
        ("-t2:00:00", "timeout", "7200s"),
        ("--time=1-12", "timeout", "129600s"),
        ("--time=1-00:00:10", "timeout", "86410s"),
        ("--cpus-per-task=4", "cpus", "4"),
        ("--mem=4G", "memory", "4G"),
        ("--mem 4000", "memory", "4000"),
        ("--job-name=render", "name", "render"),
    ],
)
def test_sbatch_lines_mean_what_they_mean_to_slurm(line: str, key: str, value: str) -> None:
    assert directives(f"#!/bin/bash\n#SBATCH {line}\n", "s").settings == {key: Setting(value, "s:2")}


def test_sbatch_flags_without_meaning_here_are_named(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("launch", "--user-data", "#!/bin/bash\n#SBATCH --array=0-3 --partition=gpu\n#SBATCH -A project --time=UNLIMITED\n")
    assert result.err == "note: #SBATCH --partition, -A have no effect here\n"
    body = fake.bodies("/arrays")[-1]
    assert (body["indexes"], body["timeout_s"]) == ("0-3", None)


def test_spawn_lines_beat_sbatch_lines(fake: FakeEngine, spawn: Run) -> None:
    spawn("launch", "--user-data", "#!/bin/bash\n#SPAWN --array 3\n#SBATCH --array=0-99\n")
    assert fake.bodies("/arrays")[-1]["indexes"] == "3"


def test_a_near_word_is_offered_and_few_words_are_listed() -> None:
    assert did_you_mean("tttl", ["ttl", "tag"]) == "; did you mean 'ttl'?"
    assert did_you_mean("zzz", ["ttl", "tag"]) == "; choose from ttl, tag"
    assert did_you_mean("zzz", [str(number) for number in range(20)]) == ""
