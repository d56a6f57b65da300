"""EC2's actions on instances and volumes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from spawn.testing.ec2lab.catalogue import instance_types
from spawn.testing.ec2lab.fleet import Fleet
from spawn.testing.ec2lab.instances import Instance, State, Volume
from spawn.testing.ec2lab.launch_checks import check_tags, see_number_of_tags
from spawn.testing.ec2lab.launching import Launching
from spawn.testing.ec2lab.placing import Placing
from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.showing import INSTANCE_LOOKS, VOLUME_LOOKS, filtered, moment, page, volume_members, written
from spawn.testing.ec2lab.stage import Stage
from spawn.testing.ec2lab.throttling import Throttle

_ID = re.compile(r"i-[0-9a-f]{8,17}")
Members = Mapping[str, Any]
Action = Callable[[str, Members], dict[str, Any]]


class InstanceActions:
    """Each is called with the stage held, a region and the members of the request."""

    def __init__(self, stage: Stage, fleet: Fleet, launching: Launching, placing: Placing, throttle: Throttle, console: Callable[[str], bytes]) -> None:
        self._stage = stage
        self._fleet = fleet
        self._launching = launching
        self._placing = placing
        self._throttle = throttle
        self._console = console
        self.actions: dict[str, Action] = {
            "RunInstances": self._run,
            "DescribeInstances": self._describe,
            "DescribeInstanceStatus": self._status,
            "TerminateInstances": self._terminate,
            "StopInstances": self._stop,
            "StartInstances": self._start,
            "DescribeVolumes": self._volumes,
            "DeleteVolume": self._delete_volume,
            "GetConsoleOutput": self._output,
            "ModifyInstanceAttribute": self._modify,
            "DescribeInstanceAttribute": self._attribute,
        }

    def _run(self, region: str, members: Members) -> dict[str, Any]:
        reservation, instances = self._launching.run(region, members)
        return self._reservation(reservation, instances)

    def _reservation(self, reservation: str, instances: Sequence[Instance]) -> dict[str, Any]:
        account = self._stage.account
        return {"ReservationId": reservation, "OwnerId": account, "Groups": [], "Instances": [written(one, account) for one in instances]}

    def _describe(self, region: str, members: Members) -> dict[str, Any]:
        instances = self._chosen(region, members)
        found, token = page(filtered(instances, members.get("Filters", ()), INSTANCE_LOOKS, lambda one: one.tags), members, lambda one: one.number)
        return {"Reservations": [self._reservation(key, list(group)) for key, group in groupby(found, key=lambda one: one.reservation)], "NextToken": token}

    def _status(self, region: str, members: Members) -> dict[str, Any]:
        wanted = None if members.get("IncludeAllInstances") else State.RUNNING
        chosen = [one for one in self._chosen(region, members) if wanted in (None, one.state)]
        found, token = page(filtered(chosen, members.get("Filters", ()), INSTANCE_LOOKS, lambda one: one.tags), members, lambda one: one.number)
        return {
            "InstanceStatuses": [
                {
                    "InstanceId": one.id,
                    "AvailabilityZone": one.machine.zone,
                    "InstanceState": one.state.shown(),
                    "InstanceStatus": {"Status": "ok" if one.state is State.RUNNING else "not-applicable"},
                    "SystemStatus": {"Status": "ok" if one.state is State.RUNNING else "not-applicable"},
                }
                for one in found
            ],
            "NextToken": token,
        }

    def _chosen(self, region: str, members: Members) -> list[Instance]:
        ids = members.get("InstanceIds")
        if ids is None:
            return list(self._fleet.seen(region))
        if members.get("MaxResults") is not None:
            raise Refused("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
        return sorted(self._known(region, ids), key=lambda one: one.number)

    def _known(self, region: str, ids: Sequence[str]) -> list[Instance]:
        """The instances of these ids, each once; Refused when one is not seen."""
        if not ids:
            raise Refused("MissingParameter", "The request must contain the parameter InstanceIds")
        malformed = [each for each in ids if not _ID.fullmatch(each)]
        if malformed:
            raise Refused("InvalidInstanceID.Malformed", f'Invalid id: "{malformed[0]}"')
        found = {each: self._fleet.get(each, region) for each in ids}
        missing = [each for each, one in found.items() if one is None]
        if missing:
            one_is, those = ("instance ID", f"'{missing[0]}' does") if len(missing) == 1 else ("instance IDs", f"'{', '.join(missing)}' do")
            raise Refused("InvalidInstanceID.NotFound", f"The {one_is} {those} not exist")
        return [one for one in found.values() if one is not None]

    # --- changes of state -----------------------------------------------------------------------------------------------

    def _terminate(self, region: str, members: Members) -> dict[str, Any]:
        def check(instances: list[Instance]) -> None:
            for one in instances:
                if one.protected:
                    raise Refused(
                        "OperationNotPermitted",
                        f"The instance '{one.id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.",
                    )

        return {"TerminatingInstances": self._change(region, members, "TerminateInstances", check, self._fleet.terminate)}

    def _stop(self, region: str, members: Members) -> dict[str, Any]:
        def check(instances: list[Instance]) -> None:
            for one in instances:
                if one.machine.spot:
                    raise Refused(
                        "UnsupportedOperation",
                        f"You can't stop the Spot Instance '{one.id}' because it is associated with a one-time Spot Instance request. You can only stop Spot "
                        "Instances associated with persistent Spot Instance requests.",
                    )
                if one.state not in (State.RUNNING, State.STOPPING, State.STOPPED):
                    raise _wrong_state(one, "stopped")
                if members.get("Hibernate") and not one.hibernates:
                    raise Refused("UnsupportedHibernationConfiguration", f"Hibernation is not configured for the instance '{one.id}'.")

        return {"StoppingInstances": self._change(region, members, "StopInstances", check, self._fleet.stop)}

    def _start(self, region: str, members: Members) -> dict[str, Any]:
        def check(instances: list[Instance]) -> None:
            for one in instances:
                if one.state not in (State.STOPPED, State.RUNNING, State.PENDING):
                    raise _wrong_state(one, "started")
                if one.state is State.STOPPED:
                    self._placing.see_room_for(region, instance_types()[one.machine.type], one.machine.zone, spot=one.machine.spot)

        def start(one: Instance) -> None:
            if one.state is State.STOPPED:
                self._fleet.start(one)

        return {"StartingInstances": self._change(region, members, "StartInstances", check, start)}

    def _change(
        self, region: str, members: Members, action: str, check: Callable[[list[Instance]], None], act: Callable[[Instance], None]
    ) -> list[dict[str, Any]]:
        """Do something to all of the instances that are named, or to none."""
        instances = self._known(region, members.get("InstanceIds", ()))
        check(instances)
        self._throttle.resources(region, action, len(instances), self._stage.now())
        changes = list[dict[str, Any]]()
        for one in instances:
            before = one.state.shown()
            act(one)
            changes.append({"InstanceId": one.id, "CurrentState": one.state.shown(), "PreviousState": before})
        return changes

    # --- the rest -------------------------------------------------------------------------------------------------------

    def _volumes(self, region: str, members: Members) -> dict[str, Any]:
        ids = members.get("VolumeIds")
        volumes = [self._volume(region, each) for each in ids] if ids else [one for one in self._fleet.volumes.values() if one.region == region]
        numbers = {volume.id: number for number, volume in enumerate(self._fleet.volumes.values())}
        found, token = page(filtered(volumes, members.get("Filters", ()), VOLUME_LOOKS, lambda one: one.tags), members, lambda one: numbers[one.id])
        return {"Volumes": [volume_members(one) for one in found], "NextToken": token}

    def _volume(self, region: str, volume_id: str) -> Volume:
        found = self._fleet.volumes.get(volume_id)
        if found is None or found.region != region:
            raise Refused("InvalidVolume.NotFound", f"The volume '{volume_id}' does not exist.")
        return found

    def _delete_volume(self, region: str, members: Members) -> dict[str, Any]:
        volume = self._volume(region, str(members.get("VolumeId")))
        if volume.instance_id:
            raise Refused("VolumeInUse", f"Volume {volume.id} is currently attached to {volume.instance_id}")
        del self._fleet.volumes[volume.id]
        return {}

    def _output(self, region: str, members: Members) -> dict[str, Any]:
        [one] = self._known(region, [str(members.get("InstanceId"))])
        said = self._console(one.id)[-65536:]
        return {"InstanceId": one.id, "Timestamp": moment(self._stage.now()), "Output": base64.b64encode(said).decode()}

    def _modify(self, region: str, members: Members) -> dict[str, Any]:
        [one] = self._known(region, [str(members.get("InstanceId"))])
        if "InstanceInitiatedShutdownBehavior" in members:
            one.shutdown_behavior = str(members["InstanceInitiatedShutdownBehavior"].get("Value"))
        elif "DisableApiTermination" in members:
            one.protected = bool(members["DisableApiTermination"].get("Value"))
        else:
            raise Refused("UnsupportedOperation", "The laboratory changes instanceInitiatedShutdownBehavior and disableApiTermination only.")
        return {}

    def _attribute(self, region: str, members: Members) -> dict[str, Any]:
        [one] = self._known(region, [str(members.get("InstanceId"))])
        shown = {
            "instanceInitiatedShutdownBehavior": ("InstanceInitiatedShutdownBehavior", {"Value": one.shutdown_behavior}),
            "disableApiTermination": ("DisableApiTermination", {"Value": one.protected}),
            "userData": ("UserData", {"Value": base64.b64encode(one.machine.user_data).decode()}),
            "instanceType": ("InstanceType", {"Value": one.machine.type}),
        }.get(str(members.get("Attribute")))
        if shown is None:
            raise Refused("UnsupportedOperation", f"The laboratory does not show the attribute {members.get('Attribute')}.")
        return {"InstanceId": one.id, shown[0]: shown[1]}


def change_tags(resource: Instance | Volume, action: str, pairs: Sequence[Mapping[str, str]]) -> None:
    """Set or remove tags of an instance or a volume."""
    tags = resource.tags
    if action == "CreateTags":
        changed = tags | check_tags(pairs)
        see_number_of_tags(changed)
        resource.tags = changed
    elif not pairs:
        resource.tags = {}
    else:
        gone = {pair["Key"] for pair in pairs if "Value" not in pair or tags.get(pair["Key"]) == pair["Value"]}
        resource.tags = {key: value for key, value in tags.items() if key not in gone}
    if isinstance(resource, Instance):
        resource.written = None


def _wrong_state(one: Instance, verb: str) -> Refused:
    return Refused("IncorrectInstanceState", f"The instance '{one.id}' is not in a state from which it can be {verb}.")
