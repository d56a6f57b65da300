"""The life of an instance, and the words that EC2 has for it."""

from __future__ import annotations

import re

import pytest

from spawn.testing.ec2lab.machines import Ending
from spawn.testing.ec2lab.plan import Fate, FateKind, SpotPrice
from tests.ec2lab.asking import Asking, refused
from tests.ec2lab.conftest import Opening

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


def test_a_terminated_instance_says_who_ended_it_and_is_shown_for_an_hour(shared: Asking) -> None:
    [one] = shared.run()
    [change] = shared.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])["TerminatingInstances"]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "shutting-down")
    shown = shared.one(one["InstanceId"])
    assert shown["State"]["Name"] == "terminated"
    assert shown["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert re.fullmatch(r"User initiated \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d GMT\)", shown["StateTransitionReason"])
    shared.lab.advance(3599)
    assert shared.one(one["InstanceId"])["State"]["Name"] == "terminated"
    shared.lab.advance(2)
    with refused("InvalidInstanceID.NotFound", one["InstanceId"]):
        shared.one(one["InstanceId"])
    assert shared.life(one["InstanceId"]).state == "terminated"


def test_a_machine_that_shuts_down_from_inside_is_terminated_or_stopped_as_it_was_launched(shared: Asking) -> None:
    [goes] = shared.run(InstanceInitiatedShutdownBehavior="terminate")
    [stays] = shared.run()
    for one in (goes, stays):
        shared.lab.ended(one["InstanceId"], Ending.SHUTDOWN)
    gone, off = shared.one(goes["InstanceId"]), shared.one(stays["InstanceId"])
    assert (gone["State"]["Name"], off["State"]["Name"]) == ("terminated", "stopped")
    assert gone["StateReason"]["Code"] == off["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_the_shutdown_behavior_can_be_changed(shared: Asking) -> None:
    [one] = shared.run()
    shared.ec2.modify_instance_attribute(InstanceId=one["InstanceId"], InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    shared.lab.ended(one["InstanceId"], Ending.SHUTDOWN)
    assert shared.one(one["InstanceId"])["State"]["Name"] == "terminated"


def test_a_stopped_instance_starts_again_and_costs_nothing_meanwhile(shared: Asking) -> None:
    [one] = shared.run()
    shared.lab.advance(3600)
    shared.ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    assert shared.one(one["InstanceId"])["State"]["Name"] == "stopped"
    shared.lab.advance(3600)
    shared.ec2.start_instances(InstanceIds=[one["InstanceId"]])
    assert shared.one(one["InstanceId"])["State"]["Name"] == "running"
    shared.lab.advance(1800)
    shared.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    life = shared.life(one["InstanceId"])
    assert life.cost(shared.lab.clock.now() / 1000) == pytest.approx(0.0104 * 1.5)
    assert life.ended_at == pytest.approx(life.launched_at + 9000)


def test_a_spot_instance_gets_its_notice_and_goes_two_minutes_later(shared: Asking) -> None:
    [one] = shared.run(**SPOT)
    shared.lab.interrupt(one["InstanceId"])
    shared.lab.advance(119)
    assert shared.one(one["InstanceId"])["State"]["Name"] == "running"
    shared.lab.advance(1)
    shown = shared.one(one["InstanceId"])
    assert (shown["State"]["Name"], shown["StateReason"]["Code"]) == ("terminated", "Server.SpotInstanceTermination")
    assert shown["StateTransitionReason"].startswith("Service initiated (")


def test_only_spot_instances_are_interrupted_and_only_once(shared: Asking) -> None:
    [demand], [spot] = shared.run(), shared.run(**SPOT)
    shared.lab.interrupt(spot["InstanceId"])
    for one in (demand, spot):
        with pytest.raises(ValueError, match=one["InstanceId"]):
            shared.lab.interrupt(one["InstanceId"])


def test_a_spot_instance_of_a_single_request_cannot_be_stopped(shared: Asking) -> None:
    [one] = shared.run(**SPOT)
    with refused("UnsupportedOperation", "You can't stop the Spot Instance"):
        shared.ec2.stop_instances(InstanceIds=[one["InstanceId"]])


def test_a_host_that_fails_takes_its_instance_along_at_once(shared: Asking) -> None:
    [one] = shared.run()
    shared.lab.kill(one["InstanceId"])
    shown = shared.one(one["InstanceId"])
    assert (shown["State"]["Name"], shown["StateReason"]["Code"]) == ("terminated", "Server.InternalError")


def test_terminating_twice_changes_nothing(shared: Asking) -> None:
    [one] = shared.run()
    for before in ("running", "terminated"):
        [change] = shared.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])["TerminatingInstances"]
        assert change["PreviousState"]["Name"] == before
    assert shared.life(one["InstanceId"]).state == "terminated"


def test_one_unknown_id_spares_all_the_others(shared: Asking) -> None:
    [one] = shared.run()
    with refused("InvalidInstanceID.NotFound", "i-0123456789abcdef0"):
        shared.ec2.terminate_instances(InstanceIds=[one["InstanceId"], "i-0123456789abcdef0"])
    with refused("InvalidInstanceID.Malformed", "nonsense"):
        shared.ec2.terminate_instances(InstanceIds=["nonsense"])
    assert shared.one(one["InstanceId"])["State"]["Name"] == "running"


def test_a_protected_instance_is_not_terminated(shared: Asking) -> None:
    [one] = shared.run(DisableApiTermination=True)
    with refused("OperationNotPermitted", "disableApiTermination"):
        shared.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])


def test_an_instance_that_is_terminated_before_its_machine_was_switched_on_never_boots(opened: Opening) -> None:
    asking = opened(pending_s=30)
    [one] = asking.run()
    asking.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    asking.lab.advance(60)
    assert asking.one(one["InstanceId"])["State"]["Name"] == "terminated"
    assert asking.lab.lives()[0].charges == ()


def test_fates_befall_the_instances_that_they_are_for(opened: Opening) -> None:
    fates = (Fate(kind=FateKind.DIES, nth=2, after_s=60), Fate(kind=FateKind.INTERRUPTED, nth=3, after_s=10))
    asking = opened(fates=fates, notice_s=120)
    asking.run(3, **SPOT)
    asking.lab.advance(61)
    assert [one["State"]["Name"] for one in asking.shown()] == ["running", "terminated", "running"]
    asking.lab.advance(70)
    assert [one["State"]["Name"] for one in asking.shown()] == ["running", "terminated", "terminated"]


def test_an_instance_is_charged_the_spot_price_of_each_moment(opened: Opening) -> None:
    asking = opened(spot_prices=(SpotPrice(price=0.004), SpotPrice(price=0.006, at_s=1800)))
    asking.run(**SPOT)
    asking.lab.advance(3600)
    [life] = asking.lab.lives()
    assert [charge.price for charge in life.charges] == [0.004, 0.006]
    assert life.cost(asking.lab.clock.now() / 1000) == pytest.approx(0.005, rel=1e-3)


def test_a_price_above_the_bid_takes_the_instance_back(opened: Opening) -> None:
    asking = opened(spot_prices=(SpotPrice(price=0.004),))
    options = {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.005"}}
    asking.run(InstanceMarketOptions=options)
    asking.run(**SPOT)
    asking.lab.set_spot_price(0.0051, type_="t3.micro")
    asking.lab.advance(121)
    assert [one["State"]["Name"] for one in asking.shown()] == ["terminated", "running"]
