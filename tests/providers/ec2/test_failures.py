"""What botocore raises, in the domain's words."""

from __future__ import annotations

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError

from spawn.domain.errors import ConfigurationError, Conflict, NotFound, ProviderUnavailable, SpawnError, Unavailable, UsageError
from spawn.providers.ec2.clients import Kind, classify, is_denial, translate


def answer(code: str, message: str = "words of AWS", *, status: int = 400, operation: str = "RunInstances") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


def test_a_page_in_place_of_an_answer_is_told_by_its_title() -> None:
    page = "<!DOCTYPE html>\n<html><head><title>500 Internal\n Server Error</title></head><body><h1>Oops</h1>%s</body></html>" % ("x" * 5000)
    said = str(translate(answer("500", page, status=500), action="look up the vCPU quota in us-east-1"))
    assert said == "cannot look up the vCPU quota in us-east-1: AWS failed to answer (500: 500 Internal Server Error): try again"
    untitled = str(translate(answer("500", "<html><body>x</body></html>", status=500), action="look"))
    assert untitled == "cannot look: AWS failed to answer (500: a page in HTML, which is not of AWS's API): try again"
    assert str(translate(answer("503", "", status=503), action="look")) == "cannot look: AWS failed to answer (503): try again"


@pytest.mark.parametrize(
    ("error", "kind", "raised"),
    [
        (answer("RequestLimitExceeded", status=503), Kind.THROTTLED, Unavailable),
        (answer("SlowDown", status=503), Kind.THROTTLED, Unavailable),
        (answer("Anything", status=429), Kind.THROTTLED, Unavailable),
        (answer("VcpuLimitExceeded"), Kind.OVER_QUOTA, Conflict),
        (answer("MaxSpotInstanceCountExceeded"), Kind.OVER_QUOTA, Conflict),
        (answer("InsufficientInstanceCapacity", status=500), Kind.NO_CAPACITY, Unavailable),
        (answer("Unsupported"), Kind.NO_CAPACITY, Unavailable),
        (answer("SpotMaxPriceTooLow"), Kind.NO_CAPACITY, Unavailable),
        (
            answer("InvalidParameterValue", "Value (spawn-1) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"),
            Kind.NOT_YET,
            UsageError,
        ),
        (answer("InvalidInstanceID.NotFound"), Kind.NOT_YET, NotFound),
        (answer("InternalError", status=500), Kind.UNCLEAR, ProviderUnavailable),
        (answer("Whatever", status=502), Kind.UNCLEAR, ProviderUnavailable),
        (boto.ReadTimeoutError(endpoint_url="https://ec2"), Kind.UNCLEAR, ProviderUnavailable),
        (boto.ConnectionClosedError(endpoint_url="https://ec2"), Kind.UNCLEAR, ProviderUnavailable),
        (boto.EndpointConnectionError(endpoint_url="https://ec2"), Kind.UNCLEAR, Unavailable),
        (answer("RequestExpired"), Kind.EXPIRED, ConfigurationError),
        (answer("AuthFailure", status=401), Kind.EXPIRED, ConfigurationError),
        (boto.NoCredentialsError(), Kind.EXPIRED, ConfigurationError),
        (boto.UnauthorizedSSOTokenError(), Kind.EXPIRED, ConfigurationError),
        (answer("UnauthorizedOperation", status=403), Kind.FINAL, ConfigurationError),
        (answer("OptInRequired", status=401), Kind.FINAL, ConfigurationError),
        (answer("InvalidAMIID.NotFound"), Kind.FINAL, NotFound),
        (answer("InvalidParameterValue"), Kind.FINAL, UsageError),
        (answer("IdempotentParameterMismatch"), Kind.UNCLEAR, ProviderUnavailable),
        (boto.ParamValidationError(report="x"), Kind.FINAL, ConfigurationError),
        (ValueError("ours"), Kind.FINAL, SpawnError),
    ],
)
def test_an_error_has_a_remedy_and_a_sentence(error: Exception, kind: Kind, raised: type[SpawnError]) -> None:
    found = translate(error, action="launch instances in us-east-1")
    assert classify(error) is kind
    assert type(found) is raised
    assert str(found).startswith("cannot launch instances in us-east-1: ")
    assert found.__cause__ is error


def test_an_error_of_ours_stays_what_it_is() -> None:
    error = NotFound("it is gone")
    assert translate(error, action="look") is error


_OF_EC2 = (
    "You are not authorized to perform this operation. User: arn:aws:iam::1:user/me is not authorized to perform: ec2:RunInstances on resource: "
    "arn:aws:ec2:us-east-1:1:instance/* because no identity-based policy allows the ec2:RunInstances action. "
    "Encoded authorization failure message: aB-c_9"
)
_SAID_OF_EC2 = (
    "arn:aws:iam::1:user/me may not call ec2:RunInstances on arn:aws:ec2:us-east-1:1:instance/* (no identity-based policy allows the "
    "ec2:RunInstances action); the whole reason: aws sts decode-authorization-message --encoded-message aB-c_9"
)
_OF_S3 = (
    'User: arn:aws:iam::1:user/me is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::b/k.json" '
    "with an explicit deny in an identity-based policy"
)
_SHORT = "You are not authorized to perform this operation. Encoded authorization failure message: xyz"


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (_OF_EC2, _SAID_OF_EC2),
        (_OF_S3, "arn:aws:iam::1:user/me may not call s3:PutObject on arn:aws:s3:::b/k.json (explicit deny in an identity-based policy)"),
        (_SHORT, "this identity may not call RunInstances; the whole reason: aws sts decode-authorization-message --encoded-message xyz"),
        ("Access Denied", "this identity may not call RunInstances: see docs/ec2.md"),
    ],
)
def test_a_denial_says_who_may_not_do_what_and_where(message: str, sentence: str) -> None:
    error = answer("AccessDenied", message, status=403)
    assert is_denial(error)
    assert sentence in str(translate(error, action="launch"))
