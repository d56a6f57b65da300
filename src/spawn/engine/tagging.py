"""Tags of everything that AWS Batch tags: read, set and removed in the engine's thread."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from spawn.domain.catalog import Resource
from spawn.domain.definitions import JobDefinition, is_gone
from spawn.domain.errors import InvalidField, NotFound
from spawn.domain.ids import JobId
from spawn.domain.jobs import Job
from spawn.domain.submission_rules import check_tags
from spawn.engine.state import EngineState

RESERVED: tuple[str, ...] = ("aws:", "spawn:")
"""Beginnings of tag keys that cannot be set or removed.

`spawn:` tags say how the attempts of a compute environment are run. That is settled when it is created: attempts that were placed there
are told to the provider again after a restart, and must not meet another runtime then.
"""

Tagged = Resource | Job | JobDefinition
"""What has tags."""


def checked_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    """The tags that something is created with. InvalidField for more than 50, and for keys that only AWS or spawn sets."""
    check_keys(tags)
    check_tags(tags)
    return tags


def check_keys(keys: Collection[str]) -> None:
    """Refuse keys that only AWS or spawn sets (InvalidField)."""
    for key in keys:
        if key.lower().startswith(RESERVED):
            problem = f"'{key[:60]}' begins with '{key.partition(':')[0]}:', which is reserved: no such tag can be set or removed here"
            raise InvalidField("tags", problem)


def tag(state: EngineState, tagged: Tagged, tags: Mapping[str, str]) -> None:
    """Set these tags; others stay. InvalidField when that makes more than 50, or a key is reserved."""
    check_keys(tags)
    both = {**tagged.tags, **tags}
    check_tags(both)
    _retag(state, tagged, both)


def untag(state: EngineState, tagged: Tagged, keys: Collection[str]) -> None:
    """Remove the tags of these keys; one that is not there: nothing."""
    check_keys(keys)
    _retag(state, tagged, {key: value for key, value in tagged.tags.items() if key not in keys})


def find_job(state: EngineState, job: JobId) -> Job:
    """A job, live or settled, or NotFound."""
    array = state.book.by_id.get(job)
    if array is not None:
        return array.job
    # changed by an earlier command of this turn: the store does not have it yet
    waiting = next((one for one in reversed(state.batch.retagged) if one.id == job), None)
    if waiting is not None:
        return waiting
    array = state.store.array(job)
    if array is None:
        raise NotFound(f"There is no job '{job[:200]}'")
    return array.job


def find_revision(state: EngineState, name: str, revision: int) -> JobDefinition:
    """One revision of a job definition, or NotFound."""
    both = [*reversed(state.batch.definitions), *state.store.revisions(name)]
    found = next((one for one in both if (one.name, one.revision) == (name, revision) and not is_gone(one, state.now)), None)
    if found is None:
        raise NotFound(f"There is no job definition '{name}:{revision}'")
    return found


def _retag(state: EngineState, tagged: Tagged, tags: Mapping[str, str]) -> None:
    if tags == tagged.tags:
        return
    if isinstance(tagged, Job):
        job = replace(tagged, tags=tags)
        array = state.book.by_id.get(job.id)
        if array is not None:
            array.job = job
        state.batch.retagged.append(job)
    elif isinstance(tagged, JobDefinition):
        state.batch.definitions.append(replace(tagged, tags=tags))
    else:
        state.put(replace(tagged, tags=tags))
