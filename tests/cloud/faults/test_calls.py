"""What a thousand children take of EC2's API."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from spawn.domain.costs import launch_seconds
from spawn.testing.ec2lab.boot.acts import Act, ActPlan
from tests.cloud.faults.world import world


def test_a_thousand_children_take_ten_launches_one_look_a_poll_and_no_tagging(tmp_path: Path) -> None:
    acts = ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=120.0), detail=False)
    with world(tmp_path, acts=acts, direct=True) as it:
        job = it.launch(1000)
        it.run(until=lambda: it.clock.now() > it.began + 16_000)
        launches = it.lab.calls.of("RunInstances")
        assert [call.code for call in launches] == ["DryRunOperation"] + [None] * 10
        assert len(it.lab.lives()) == job.size
        assert it.lab.calls.count("CreateTags") == 0
        looks = Counter(call.at for call in it.lab.calls.of("DescribeInstances"))
        assert set(looks.values()) == {1}
        assert len(looks) >= 3
        # the plan's own try has taken a token
        assert max(life.launched_at for life in it.lab.lives()) - it.began / 1000 <= launch_seconds(1000, per_call=100) + 0.6
