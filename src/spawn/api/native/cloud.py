"""The calls about EC2 and about money (docs/api.md): plans, costs, and what goes beyond one array."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spawn.api.native.costs import Costs
from spawn.api.native.housekeeping import Adoption, Cleanup, Housekeeping, Renewal
from spawn.api.native.planning import Planning
from spawn.api.native.routes import json_response, query_tags, read_body
from spawn.engine.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """What answers these calls."""

    planning: Planning
    costs: Costs
    housekeeping: Housekeeping


def cloud_routes(cloud: Cloud) -> list[Route]:
    """The routes about EC2. Every call may ask AWS and take seconds, so all of it runs in a thread."""

    async def plan(request: Request) -> Response:
        submission = await read_body(request, Submission)
        return json_response(await run_in_threadpool(cloud.planning.plan, submission))

    async def costs(request: Request) -> Response:
        query = request.query_params
        found = await run_in_threadpool(cloud.costs.costs, refs=query.getlist("array"), tags=query_tags(query.getlist("tag")), by=query.get("by"))
        return json_response(found)

    async def cleanup(request: Request) -> Response:
        return json_response(await run_in_threadpool(cloud.housekeeping.cleanup, await read_body(request, Cleanup)))

    async def adopt(request: Request) -> Response:
        return json_response(await run_in_threadpool(cloud.housekeeping.adopt, await read_body(request, Adoption)))

    async def access(request: Request) -> Response:
        return json_response(await run_in_threadpool(cloud.housekeeping.renew, await read_body(request, Renewal)))

    return [
        Route("/v1/plans", plan, methods=["POST"]),
        Route("/v1/costs", costs),
        Route("/v1/cleanup", cleanup, methods=["POST"]),
        Route("/v1/adopt", adopt, methods=["POST"]),
        Route("/v1/access", access, methods=["POST"]),
    ]
