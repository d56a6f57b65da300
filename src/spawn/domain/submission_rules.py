"""What a submission may say: the rules of SubmitJob that need no look at anything else, in AWS's words (spec 2.11), and the laxer ones of `spawn launch`.

Every check passes in silence, or raises UsageError or InvalidField.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sized
from datetime import timedelta
from typing import Final

from spawn.domain.errors import InvalidField, UsageError

BATCH_ARRAY_SIZES: Final = range(2, 10_001)
"""Sizes of an array that AWS Batch takes; `spawn launch` takes 1 to ids.MAX_CHILDREN."""

MAX_JOB_KIB: Final = 30
"""Most KiB of a SubmitJob request."""

MAX_DEFINITION_KIB: Final = 24
"""Most KiB of a RegisterJobDefinition request."""

MAX_TAGS: Final = 50
"""Most tags of anything, those of the definition included when they are propagated."""

MAX_TAG_KEY: Final = 128
"""Most characters of a tag's key."""

MAX_TAG_VALUE: Final = 256
"""Most characters of a tag's value."""

MAX_CONSUMABLES: Final = 5
"""Most consumable resources that a job takes of."""

MAX_OVERRIDES: Final = 8192
"""Most characters of the JSON of a job's container overrides; a job with more is accepted, and fails (spec 2.8)."""

MAX_SHARES: Final = 500
"""Most share identifiers of the unfinished jobs of one queue."""

MAX_REASON: Final = 1024
"""Most characters of the reason of CancelJob and TerminateJob."""

BATCH_MIN_TIMEOUT: Final = timedelta(seconds=60)
"""Shortest timeout of an attempt that AWS Batch takes."""

OWN_TAGS: Final = ("array:", "spawn:", "aws:")
"""Beginnings of tag keys that spawn or AWS sets."""

EC2: Final = "EC2"
"""The capability of jobs whose definition states none."""

_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_LAUNCH_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_SHARE = re.compile(r"[A-Za-z0-9]{1,255}")


def check_job_name(name: str) -> None:
    """Refuse a jobName that is not a letter or digit and up to 127 letters, digits, hyphens and underscores."""
    if not _JOB_NAME.fullmatch(name):
        raise UsageError("Error executing request, Exception : Job name should match valid pattern")


def check_array_size(size: int) -> None:
    """Refuse an arrayProperties.size outside 2 to 10,000."""
    if size not in BATCH_ARRAY_SIZES:
        raise InvalidField("arrayProperties.size", f"{size} is not between 2 and 10000")


def check_job_payload(size: int) -> None:
    """Refuse a job of more than 30 KiB; `size` in bytes of its JSON."""
    if size > MAX_JOB_KIB * 1024:
        raise UsageError(f"Job size must be less than {MAX_JOB_KIB} KiB, got {-(-size // 1024)} KiB")


def check_definition_payload(size: int) -> None:
    """Refuse a job definition of more than 24 KiB; `size` in bytes of its JSON."""
    if size > MAX_DEFINITION_KIB * 1024:
        raise UsageError(f"Job definition size must be less than {MAX_DEFINITION_KIB} KiB, got {-(-size // 1024)} KiB")


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse more than 50 tags, keys of none or more than 128 characters, and values of more than 256."""
    if len(tags) > MAX_TAGS:
        raise InvalidField("tags", f"{len(tags)} tags: Member must have length less than or equal to {MAX_TAGS}")
    for key, value in tags.items():
        _check_tag("tags", key, value)


def check_environment(names: Iterable[str]) -> None:
    """Refuse environment variables without a name, and those that AWS Batch sets itself: names that begin with AWS_BATCH."""
    for name in names:
        if not name or "=" in name or "\0" in name:
            raise InvalidField("environment", f"'{name[:60]}' is not the name of a variable")
        if name.startswith("AWS_BATCH"):
            raise InvalidField("environment", f"'{name[:60]}': names that begin with AWS_BATCH are reserved")


def check_timeout(seconds: int) -> timedelta:
    """The timeout of an attempt; less than 60 s is refused."""
    timeout = timedelta(seconds=seconds)
    if timeout < BATCH_MIN_TIMEOUT:
        raise InvalidField("timeout.attemptDurationSeconds", f"{seconds} is below 60")
    return timeout


def check_share(share_identifier: str | None, priority: int | None, *, fair_share: bool) -> None:
    """Refuse a share identifier or priority on a queue without a fair-share policy, and no identifier on one with it.

    An identifier has up to 255 letters and digits; a priority is 0 to 9999.
    """
    if not fair_share:
        if share_identifier is not None or priority is not None:
            # "onlybe" is how AWS writes it, and what clients match
            raise UsageError("Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy.")
        return
    if share_identifier is None:
        raise InvalidField("shareIdentifier", "the job queue has a fair-share scheduling policy: the job needs an identifier")
    if not _SHARE.fullmatch(share_identifier):
        raise InvalidField("shareIdentifier", f"'{share_identifier[:60]}' is not 1 to 255 letters and digits")
    check_priority(priority)


def check_share_count(share: str, others: Iterable[str | None]) -> None:
    """Refuse a share identifier that would be the 501st of the unfinished jobs of its queue; `others` is read no further than need be."""
    active: set[str] = set()
    for other in others:
        if other == share:
            return
        if other is not None:
            active.add(other)
    if len(active) >= MAX_SHARES:
        raise UsageError(f"shareIdentifier: '{share}' would be one more than the {MAX_SHARES} that the unfinished jobs of a job queue can have")


def check_consumables(names: Sized) -> None:
    """Refuse more than five consumable resources."""
    if len(names) > MAX_CONSUMABLES:
        raise InvalidField("consumableResourceList", f"{len(names)} resources are more than the {MAX_CONSUMABLES} that a job can take of")


def check_capability(wanted: Iterable[str], offered: Iterable[frozenset[str]]) -> None:
    """Refuse, in AWS's words, a job of which no compute environment of its queue has a capability; one that states none wants EC2."""
    wanted = tuple(wanted) or (EC2,)
    if not any(capabilities.intersection(wanted) for capabilities in offered):
        raise UsageError(f"Job Queue is attached to Compute Environment that can not run Jobs with capability {wanted[0]}.")


def why_doomed(*, overrides: int, tags: int) -> str | None:
    """Why a job is accepted and yet fails before it runs: overrides of more than 8192 characters, or more than 50 tags with those of its definition.

    `tags` counts those that would be propagated, the definition's among them. None: it may run.
    """
    if overrides > MAX_OVERRIDES:
        return f"Container Overrides length must be at most {MAX_OVERRIDES}"
    if tags > MAX_TAGS:
        return f"The tags of the job and of its job definition are {tags} together, and at most {MAX_TAGS} can be propagated"
    return None


def check_priority(priority: int | None, *, field: str = "schedulingPriorityOverride") -> None:
    """Refuse a scheduling priority outside 0 to 9999; None passes."""
    if priority is not None and not 0 <= priority <= 9999:
        raise InvalidField(field, f"{priority} is not between 0 and 9999")


def check_reason(reason: str) -> None:
    """Refuse an empty reason for cancelling or terminating, and one of more than 1024 characters (spec 2.9)."""
    if not reason:
        raise InvalidField("reason", "it is empty: say why, it is shown with the job")
    if len(reason) > MAX_REASON:
        raise InvalidField("reason", f"{len(reason)} characters are more than {MAX_REASON}")


def check_launch_name(name: str, *, field: str = "--name") -> None:
    """Refuse a name that is not 1 to 128 letters, digits, `_`, `-` and `.`: it becomes part of file names and of `NAME-INDEX`.

    A name that begins with `-` looks like an option, and `.` and `..` are directories: they are refused as well.
    """
    if not _LAUNCH_NAME.fullmatch(name):
        raise InvalidField(field, f"'{name[:140]}' is not a name: write 1 to {MAX_TAG_KEY} letters, digits, '_', '-' and '.'")
    if name.startswith("-") or name in (".", ".."):
        raise InvalidField(field, f"'{name}' is not a name: begin it with a letter, a digit or '_'")


def check_own_tags(tags: Mapping[str, str], *, field: str = "--tag") -> None:
    """Refuse, at launch, more than 50 tags, keys and values that are too long or empty keys, and keys that spawn or AWS sets itself."""
    if len(tags) > MAX_TAGS:
        raise InvalidField(field, f"{len(tags)} tags are more than {MAX_TAGS}")
    for key, value in tags.items():
        _check_tag(field, key, value)
        if key.startswith(OWN_TAGS):
            raise InvalidField(field, f"'{key}' begins with '{key.partition(':')[0]}:', which is reserved: choose another key")


def _check_tag(field: str, key: str, value: str) -> None:
    if not key:
        raise InvalidField(field, "a tag without a key: write KEY=VALUE")
    if len(key) > MAX_TAG_KEY:
        raise InvalidField(field, f"the key '{key[:40]}...' has {len(key)} characters, more than {MAX_TAG_KEY}")
    if len(value) > MAX_TAG_VALUE:
        raise InvalidField(field, f"the value of '{key}' has {len(value)} characters, more than {MAX_TAG_VALUE}")
