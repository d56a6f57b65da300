"""The way of a request through the laboratory: who calls, what goes wrong, what is allowed, who answers."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from spawn.testing.ec2lab.behind import Moto
from spawn.testing.ec2lab.callers import Caller, Callers
from spawn.testing.ec2lab.calls import Call, Calls
from spawn.testing.ec2lab.deletions import first_to_delete, not_deleted
from spawn.testing.ec2lab.ec2 import Ec2
from spawn.testing.ec2lab.faults import Faults
from spawn.testing.ec2lab.images import Images
from spawn.testing.ec2lab.listings import list_objects
from spawn.testing.ec2lab.offers import Offers
from spawn.testing.ec2lab.plan import Fault, FaultKind
from spawn.testing.ec2lab.queues import OLDER_NAMES, Queues
from spawn.testing.ec2lab.refusals import Dropped, Refused, ec2_error, json_error, query_error, s3_error
from spawn.testing.ec2lab.requests import Answer, Request
from spawn.testing.ec2lab.rights import Rights
from spawn.testing.ec2lab.simulating import simulate
from spawn.testing.ec2lab.stage import Stage
from spawn.testing.ec2lab.throttling import limit_exceeded

_JSON: Final = "application/x-amz-json-1.1"
_SAID: Final = {
    FaultKind.BROKEN: Refused("InternalError", "An internal error has occurred", 500),
    FaultKind.UNAVAILABLE: Refused("ServiceUnavailable", "Service is unable to handle request.", 503),
    FaultKind.DENIED: Refused("AccessDenied", "Access Denied", 403),
}
Answers = Callable[[Request], Answer]


class Answering:
    """Answers every request, and notes it."""

    def __init__(
        self, *, stage: Stage, moto: Moto, callers: Callers, rights: Rights, faults: Faults, calls: Calls, ec2: Ec2, offers: Offers, images: Images,
        queues: Queues, sleep: Callable[[float], object], port: Callable[[], int],
    ) -> None:  # fmt: skip
        self._stage, self._moto, self._callers, self._rights, self._faults, self._calls = stage, moto, callers, rights, faults, calls
        self._ec2, self._offers, self._images, self._queues = ec2, offers, images, queues
        self._sleep, self._port = sleep, port
        self._profiles: dict[str, float] = {}
        self._services: dict[str, Callable[[Request, Caller], Answer]] = {
            "ec2": self._ask_ec2,
            "ec2-instance-connect": self._connect,
            "servicequotas": lambda request, _: self._json(self._offers.quotas(request.action, request.region, request.json)),
            "pricing": lambda request, _: self._json(self._offers.products(request.json)),
            "sqs": lambda request, _: self._queues.answer(request),
            "ssm": self._ask_ssm,
            "sts": self._ask_sts,
            "iam": self._ask_iam,
            "s3": self._ask_s3,
        }

    def respond(self, request: Request) -> Answer:
        """The answer to a request; Dropped when there is none."""
        self._stage.tick()
        name, befallen = "nobody", dict[FaultKind, Fault]()
        try:
            caller = self._callers.who(request)
            name = caller.name
            befallen = self._faults.befall(request, name, self._stage.now())
            answer = self._answer(request, caller, befallen)
        except Refused as refused:
            answer = self._refusal(request, refused)
        except Dropped:
            self._note(request, name, 0, "dropped")
            raise
        except Exception as error:
            # a client would take silence for a fault of the plan
            self._stage.failures.append(error)
            answer = self._refusal(request, Refused("InternalFailure", f"the laboratory failed: {error!r}", 500))
        if FaultKind.LOST_ANSWER in befallen:
            self._note(request, name, 0, "lost-answer")
            raise Dropped
        self._note(request, name, answer.status, answer.code or _code_in(answer))
        return answer

    def profile_age(self, profile: str) -> float | None:
        """How long ago an instance profile was made or got its role; None: it was not made here."""
        made = self._profiles.get(profile)
        return None if made is None else self._stage.now() - made

    def _answer(self, request: Request, caller: Caller, befallen: Mapping[FaultKind, Fault]) -> Answer:
        if FaultKind.SLOW in befallen:
            self._sleep(befallen[FaultKind.SLOW].delay_s)
        if FaultKind.DROPPED in befallen:
            raise Dropped
        if FaultKind.THROTTLED in befallen:
            raise (
                limit_exceeded()
                if request.service == "ec2"
                else Refused("SlowDown" if request.service == "s3" else "ThrottlingException", "Please reduce your request rate.", 503)
            )
        for kind, refused in _SAID.items():
            if kind in befallen:
                raise refused
        if FaultKind.DUPLICATED in befallen:
            self._queues.duplicate(request)
        answering = self._services.get(request.service)
        if answering is None:
            raise Refused("UnsupportedOperation", f"The laboratory has no {request.service}.")
        if request.service != "ec2" and request.action != "DeleteObjects":
            self._rights.see(caller, request)
        return answering(request, caller)

    # --- services -------------------------------------------------------------------------------------------------------

    def _ask_ec2(self, request: Request, caller: Caller) -> Answer:
        return self._ec2.answer(request, caller)

    def _ask_s3(self, request: Request, caller: Caller) -> Answer:
        if request.presigned:
            _see_that_it_holds(request)
        expected = request.headers.get("x-amz-expected-bucket-owner")
        if expected is not None and self._moto.owner(request.bucket) not in (None, expected):
            raise Refused("AccessDenied", "Access Denied", 403)
        if request.action == "ListObjectsV2" and (objects := self._moto.objects(request.bucket)) is not None:
            return list_objects(request.bucket, objects, request.arguments)
        if request.action == "DeleteObjects":
            try:
                self._rights.see(caller, request, resource=f"arn:aws:s3:::{request.bucket}/{first_to_delete(request.body)}")
            except Refused as refused:
                return not_deleted(request.body, refused)
        answer = self._moto.ask(request, self._port())
        missing = answer.status == 404 and request.key and request.method in ("GET", "HEAD")
        # who may not list a bucket is not told what is not in it
        if missing and caller.role is not None and not self._rights.allows(caller.role, "s3:ListBucket", f"arn:aws:s3:::{request.bucket}", {}):
            raise Refused("AccessDenied", "Access Denied", 403)
        return answer

    def _ask_iam(self, request: Request, caller: Caller) -> Answer:
        if request.action == "ListPolicies" or ":aws:policy/" in request.parameters.get("PolicyArn", ""):
            self._moto.know_managed_policies()
        if request.action == "SimulatePrincipalPolicy":
            return simulate(self._rights, request, self._callers.user(), _request_id(), is_role=self._moto.is_role)
        try:
            answer = self._moto.ask(request, self._port())
        except ValueError:
            if request.action != "RemoveRoleFromInstanceProfile":
                raise
            # moto looks for the role in a list that does not have it
            raise Refused("NoSuchEntity", "The role is not in the instance profile.", 404) from None
        if answer.status < 300 and request.action in ("CreateInstanceProfile", "AddRoleToInstanceProfile"):
            self._profiles[request.parameters.get("InstanceProfileName", "")] = self._stage.now()
        return answer

    def _ask_sts(self, request: Request, caller: Caller) -> Answer:
        if request.action != "GetCallerIdentity":
            return self._moto.ask(request, self._port())
        body = (
            '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
            f"<Arn>{caller.arn}</Arn><UserId>AIDALABORATORY</UserId><Account>{self._stage.account}</Account>"
            f"</GetCallerIdentityResult><ResponseMetadata><RequestId>{_request_id()}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        )
        return Answer(headers=(("Content-Type", "text/xml"),), body=body.encode())

    def _ask_ssm(self, request: Request, caller: Caller) -> Answer:
        known = self._images.parameters(request.region)
        if request.action == "GetParameter" and request.json.get("Name") in known:
            return self._json({"Parameter": self._parameter(request.json["Name"], known, request.region)})
        if request.action == "GetParameters" and all(name in known for name in request.json.get("Names", ("",))):
            return self._json({"Parameters": [self._parameter(name, known, request.region) for name in request.json["Names"]], "InvalidParameters": []})
        return self._moto.ask(request, self._port())

    def _parameter(self, name: str, known: Mapping[str, str], region: str) -> dict[str, Any]:
        arn = f"arn:aws:ssm:{region}::parameter{name}"
        return {"Name": name, "Type": "String", "Value": known[name], "Version": 1, "LastModifiedDate": 1768867200.0, "ARN": arn, "DataType": "aws:ec2:image"}

    def _connect(self, request: Request, caller: Caller) -> Answer:
        if request.action != "SendSSHPublicKey":
            raise Refused("UnsupportedOperation", f"The laboratory does not know {request.action}.")
        with self._stage.acting():
            self._ec2.see_that_it_runs(request.region, str(request.json.get("InstanceId")))
        return self._json({"RequestId": _request_id(), "Success": True})

    def _json(self, members: Mapping[str, Any]) -> Answer:
        return Answer(headers=(("Content-Type", _JSON),), body=json.dumps(members).encode())

    # --- how it ends ----------------------------------------------------------------------------------------------------

    def _refusal(self, request: Request, refused: Refused) -> Answer:
        kind, id_ = "text/xml;charset=UTF-8", _request_id()
        if request.service == "ec2":
            body = ec2_error(refused, id_)
        elif request.service == "s3":
            kind, body = "application/xml", s3_error(refused, id_)
        elif request.service in ("iam", "sts") or "x-amz-target" not in request.headers:
            body = query_error(refused, id_)
        else:
            kind, body = _JSON, json_error(refused)
        headers = (("Content-Type", kind), *_older_name(request.service, refused))
        return Answer(status=refused.status, headers=headers, body=body, code=refused.code)

    def _note(self, request: Request, caller: str, status: int, code: str | None) -> None:
        self._calls.note(
            Call(
                service=request.service, action=request.action, region=request.region, at=self._stage.now(), status=status, code=code, caller=caller,
                token=request.parameters.get("ClientToken", "") if request.service == "ec2" else "", retry=request.retry,
                resource=f"{request.bucket}/{request.key}" if request.service == "s3" else "",
            )
        )  # fmt: skip


def _older_name(service: str, refused: Refused) -> tuple[tuple[str, str], ...]:
    """The header that tells clients how an error of SQS was called before it spoke JSON."""
    older = OLDER_NAMES.get(refused.code.rpartition("#")[2])
    return (("x-amzn-query-error", f"{older};Sender"),) if service == "sqs" and older else ()


def _request_id() -> str:
    token = secrets.token_hex(16)
    return f"{token[:8]}-{token[8:12]}-{token[12:16]}-{token[16:20]}-{token[20:]}"


def _code_in(answer: Answer) -> str | None:
    """The error code in an answer of moto's."""
    if answer.status < 300:
        return None
    _, found, rest = answer.body.partition(b"<Code>")
    if found:
        return rest.partition(b"</Code>")[0].decode()
    try:
        return str(json.loads(answer.body)["__type"]).rpartition("#")[2]
    except (ValueError, KeyError, TypeError):
        return str(answer.status)


def _see_that_it_holds(request: Request) -> None:
    """Refused when a presigned address is out of date. Clients sign by the machine's clock, whatever the laboratory's shows."""
    try:
        signed = datetime.strptime(request.arguments["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        ends = signed + timedelta(seconds=int(request.arguments["X-Amz-Expires"]))
    except (KeyError, ValueError):
        raise Refused("AuthorizationQueryParametersError", "X-Amz-Date and X-Amz-Expires must be there and in form.") from None
    if datetime.fromtimestamp(time.time(), UTC) > ends:
        raise Refused("AccessDenied", "Request has expired", 403)
