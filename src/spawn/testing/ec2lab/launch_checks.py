"""What RunInstances refuses by looking at its parameters alone."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, Final

from spawn.testing.ec2lab.refusals import Refused

USER_DATA_LIMIT: Final = 16384
"""Bytes, before they are written in base64."""

TAGS_LIMIT: Final = 50
_KEY_LIMIT: Final = 127
_VALUE_LIMIT: Final = 256


def user_data_of(members: Mapping[str, Any]) -> bytes:
    """The user data as it was before base64; Refused when it is none or too long."""
    try:
        data = base64.b64decode(members.get("UserData", ""), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from None
    if len(data) > USER_DATA_LIMIT:
        raise Refused("InvalidParameterValue", f"User data is limited to {USER_DATA_LIMIT} bytes")
    return data


def check_tags(pairs: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags that EC2 takes, by key."""
    tags: dict[str, str] = {}
    for pair in pairs:
        key, value = pair.get("Key", ""), pair.get("Value", "")
        if key in tags:
            raise Refused("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        if not key or key.lower().startswith("aws:"):
            raise Refused("InvalidParameterValue", f"Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use")
        if len(key) > _KEY_LIMIT:
            raise Refused("InvalidParameterValue", f"Tag key exceeds the maximum length of {_KEY_LIMIT} characters")
        if len(value) > _VALUE_LIMIT:
            raise Refused("InvalidParameterValue", f"Tag value exceeds the maximum length of {_VALUE_LIMIT} characters")
        tags[key] = value
    see_number_of_tags(tags)
    return tags


def see_number_of_tags(tags: Mapping[str, str]) -> None:
    """Refused when they are more than a resource may have."""
    if len(tags) > TAGS_LIMIT:
        raise Refused("TagLimitExceeded", f"The maximum number of Tags for a resource has been reached. (Limit: {TAGS_LIMIT})")


def profile_name(asked: Mapping[str, str] | None) -> str | None:
    """The instance profile that is meant by name or by ARN."""
    if asked is None:
        return None
    if "Arn" in asked and "Name" in asked:
        raise Refused("InvalidParameterCombination", "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'")
    return asked["Name"] if "Name" in asked else asked.get("Arn", "").rpartition("/")[2]
