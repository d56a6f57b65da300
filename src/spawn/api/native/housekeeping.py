"""What goes beyond the arrays of this engine: taking over one that was launched elsewhere, and removing what was left behind in an account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spawn.api.native.planning import check_access
from spawn.api.native.service import Service
from spawn.api.native.shapes import SCHEMA_VERSION
from spawn.domain.errors import ConfigurationError
from spawn.domain.ids import JobId
from spawn.domain.jobs import Job
from spawn.domain.states import SETTLED
from spawn.engine.adopting import adopt, refuse_known
from spawn.engine.fleets import Fleets, Leftover

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What `POST /v1/adopt` takes."""

    array_id: str
    bucket: str | None = None  #: None: the account's own in the region of the access
    access: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What `POST /v1/access` takes."""

    access: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup:
    """What `POST /v1/cleanup` takes."""

    regions: tuple[str, ...] = ()  #: none: all that the account has enabled
    access: Mapping[str, str] = field(default_factory=dict, repr=False)
    dry_run: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """Its calls ask AWS: never in the engine's thread."""

    service: Service

    def adopt(self, asked: Adoption) -> Json:
        """The array, as it stands here from now on."""
        check_access(asked.access)
        job, engine = JobId(asked.array_id), self.service.engine
        engine.call(lambda state: refuse_known(state, job))

        def check(read: Job) -> None:
            # what is followed for an array that the engine then does not take would be followed for ever
            engine.call(lambda state: refuse_known(state, read.id, read.key))

        found = self._fleets().adopt(job, asked.bucket, asked.access, check=check)
        engine.call(lambda state: adopt(state, found))
        return self.service.array(job)

    def renew(self, asked: Renewal) -> Json:
        """The account of the access, and the arrays that go on with it."""
        check_access(asked.access)
        renewed = self._fleets().renew(asked.access)
        return {"schema_version": SCHEMA_VERSION, "account": renewed.account, "arrays": list(renewed.arrays)}

    def cleanup(self, asked: Cleanup) -> Json:
        """The Sweep of docs/api.md."""
        check_access(asked.access)
        swept = self._fleets().sweep(asked.access, regions=asked.regions, live=list(self._live()), remove=not asked.dry_run, at=self.service.clock.now())
        return {
            "schema_version": SCHEMA_VERSION,
            "account": swept.account,
            "regions": list(swept.regions),
            "failed": dict(swept.failed),
            "leftovers": [_leftover(one) for one in swept.leftovers],
            "removed": not asked.dry_run,
        }

    def _live(self) -> Iterator[JobId]:
        """Arrays on EC2 that this engine looks after: those that have not settled, and those with instances that live on."""
        records = self.service.records
        for row in records.all_jobs({}):
            if row.job.fleet is not None and (row.status not in SETTLED or records.read("kept_of", (int(row.job.key, 16),))):
                yield row.job.id

    def _fleets(self) -> Fleets:
        if self.service.fleets is None:
            raise ConfigurationError("this engine cannot speak with EC2: install spawn-arrays again, with boto3")
        return self.service.fleets


def _leftover(one: Leftover) -> Json:
    return {"region": one.region, "kind": one.kind, "id": one.id, "array_id": one.array, "why": one.why, "removed": one.removed, "error": one.error}
