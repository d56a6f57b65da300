"""What botocore raises, in the words of the domain, and what a launcher does about it."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from botocore import exceptions as boto
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from spawn.domain.errors import ConfigurationError, Conflict, NotFound, ProviderUnavailable, SpawnError, Unavailable, UsageError


class Kind(Enum):
    """What a refused or unanswered call means for whoever made it."""

    THROTTLED = "throttled"  #: nothing was done; ask again later, and more slowly
    OVER_QUOTA = "over-quota"  #: nothing was done; there is room when instances of this account have ended
    NO_CAPACITY = "no-capacity"  #: nothing was done; another zone, type or market may have room
    NOT_YET = "not-yet"  #: what was named may have been made a moment ago and not be known everywhere; ask again for some seconds
    UNCLEAR = "unclear"  #: it may have been done or not; look, or ask again with the same token
    EXPIRED = "expired"  #: nothing was done, and nothing will be with this access until somebody renews it
    FINAL = "final"  #: nothing was done, and the same call will never be answered otherwise


_THROTTLED: Final = frozenset(
    (
        "RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
        "TooManyRequestsException", "SlowDown", "BandwidthLimitExceeded", "EC2ThrottledException", "PriorRequestNotComplete",
        "OperationAborted", "ConcurrentModification", "ConcurrentModificationException", "ConcurrentTagAccess",
        # S3: another writer of the same key is under way; SQS: the name of a deleted queue is free again after 60 s
        "ConditionalRequestConflict", "QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently",
    )
)  # fmt: skip
_OVER_QUOTA: Final = frozenset(
    (
        "VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded", "VolumeLimitExceeded", "NetworkInterfaceLimitExceeded",
        "MaxIOPSLimitExceeded",
    )
)  # fmt: skip
_NO_CAPACITY: Final = frozenset(
    (
        "InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity", "InsufficientCapacity",
        "InsufficientCapacityOnHost", "InsufficientFreeAddressesInSubnet", "InsufficientVolumeCapacity", "SpotMaxPriceTooLow", "Unsupported",
    )
)  # fmt: skip
_NOT_YET: Final = frozenset(
    (
        "InvalidInstanceID.NotFound", "InvalidGroup.NotFound", "InvalidGroupId.NotFound", "InvalidIamInstanceProfileArn", "NoSuchEntity",
    )
)  # fmt: skip
_UNCLEAR: Final = frozenset(
    (
        "InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException", "Unavailable",
        "RequestTimeout", "500", "502", "503", "504", "IdempotentParameterMismatch",
    )
)  # fmt: skip
_EXPIRED: Final = frozenset(
    (
        "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired",
    )
)  # fmt: skip
_UNKNOWN_KEY: Final = frozenset(
    (
        "InvalidClientTokenId", "AuthFailure", "UnrecognizedClientException", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
        "InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
    )
)  # fmt: skip
_CLOSED: Final = frozenset(
    (
        "OptInRequired", "Blocked", "PendingVerification", "SubscriptionRequiredException", "NotSignedUp", "AccountDisabled",
    )
)  # fmt: skip
_DENIED: Final = frozenset(
    (
        "UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "403", "Forbidden",
    )
)  # fmt: skip
_NO_ACCESS: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.SSOError,
    boto.TokenRetrievalError,
    boto.RefreshWithMFAUnsupportedError,
    boto.ProfileNotFound,
)
_SILENCE: Final = (boto.HTTPClientError, boto.ConnectionError, ResponseParserError, boto.IncompleteReadError)

_HOW: Final = "run `aws configure` or `aws sso login`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_ACTION = re.compile(r"not authorized to perform:? ([\w-]+:\w+)")
_RESOURCE = re.compile(r"on resource:? \"?([^\s\"]+)")
_USER = re.compile(r"User: (\S+)")
_WHY = re.compile(r"(?:because|with an) (.*?)(?:\.? Encoded|\.?$)")
_PAGE = re.compile(r"<!doctype html|<html|<head|<body|<title", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE)
_ADVICE = re.compile(r"(?:: |, and )try again(?: in a minute)?$")
_QUERY = re.compile(r"(https?://[^\s\"'?]+)\?[^\s\"']*")
_ENCODED = re.compile(r"Encoded authorization failure message: (\S+)")


def code_of(error: BaseException) -> str:
    """The service's code of an error, such as `RequestLimitExceeded`; empty when no service answered."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_denial(error: BaseException) -> bool:
    """Whether an error says that the caller may not do this."""
    return is_denial_code(code_of(error))


def is_denial_code(code: str) -> bool:
    """Whether a service's code says that the caller may not do this; a HEAD has no other word for it than its status."""
    return code in _DENIED


def classify(error: BaseException) -> Kind:
    """What to do about an error of botocore."""
    if isinstance(error, _NO_ACCESS):
        return Kind.EXPIRED
    if isinstance(error, _SILENCE):
        return Kind.UNCLEAR
    if not isinstance(error, ClientError):
        return Kind.FINAL
    code = code_of(error)
    for kind, codes in _KINDS:
        if code in codes:
            return kind
    if code == "InvalidParameterValue" and "iaminstanceprofile" in _message(error).lower().replace(" ", ""):
        return Kind.NOT_YET
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Kind.UNCLEAR if status >= 500 else Kind.THROTTLED if status == 429 else Kind.FINAL


_KINDS: Final = (
    (Kind.THROTTLED, _THROTTLED),
    (Kind.OVER_QUOTA, _OVER_QUOTA),
    (Kind.NO_CAPACITY, _NO_CAPACITY),
    (Kind.NOT_YET, _NOT_YET),
    (Kind.UNCLEAR, _UNCLEAR),
    (Kind.EXPIRED, _EXPIRED | _UNKNOWN_KEY),
)


def translate(error: BaseException, *, action: str) -> SpawnError:
    """The failure to raise for an error of botocore; `action` completes "cannot …", such as `launch instances in us-east-1`.

    What is no error of botocore's, or one of ours already, comes back as it is or as the most general failure. The cause is kept.
    """
    if isinstance(error, SpawnError):
        return error
    found = _of_answer(error, action) if isinstance(error, ClientError) else _of_silence(error, action)
    found.__cause__ = error
    return found


def said_by_engine(sentence: str) -> str:
    """What `translate` says, for those who need not do it again themselves."""
    return _ADVICE.sub("; the engine tries again", sentence)


def _of_silence(error: BaseException, action: str) -> SpawnError:
    """No service answered: there was nothing to ask with, or nobody to ask."""
    problem = _QUERY.sub(r"\1", str(error).strip().rstrip("."))
    if isinstance(error, boto.NoCredentialsError):
        return ConfigurationError(f"cannot {action}: no AWS credentials were found: {_HOW}")
    if isinstance(error, boto.PartialCredentialsError):
        return ConfigurationError(f"cannot {action}: the AWS credentials are incomplete ({problem}): {_HOW}")
    if isinstance(error, (boto.SSOError, boto.TokenRetrievalError)):
        return ConfigurationError(f"cannot {action}: the AWS session has expired or was never opened ({problem}): run `aws sso login`")
    if isinstance(error, _NO_ACCESS):
        return ConfigurationError(f"cannot {action}: the AWS credentials could not be read ({problem}): {_HOW}")
    if isinstance(error, (boto.NoRegionError, boto.InvalidRegionError, boto.UnknownRegionError)):
        return ConfigurationError(f"cannot {action}: {problem}: name a region with --region or AWS_REGION")
    if isinstance(error, (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError)):
        return Unavailable(f"cannot {action}: AWS cannot be reached ({problem}): check the network and the name of the region, and try again")
    if isinstance(error, boto.SSLError):
        return Unavailable(f"cannot {action}: the certificate of AWS could not be verified ({problem}): see AWS_CA_BUNDLE")
    if isinstance(error, _SILENCE):
        return ProviderUnavailable(f"cannot {action}: AWS did not answer ({problem}): try again")
    if isinstance(error, boto.BotoCoreError):
        return ConfigurationError(f"cannot {action}: {problem}")
    return SpawnError(f"cannot {action}: {problem or type(error).__name__}")


def _of_answer(error: ClientError, action: str) -> SpawnError:
    code, message = code_of(error), _message(error)
    if code in _EXPIRED:
        return ConfigurationError(f"cannot {action}: the AWS credentials have expired ({code}): renew them, for instance with `aws sso login`, and try again")
    if code in _UNKNOWN_KEY:
        return ConfigurationError(f"cannot {action}: AWS does not accept these credentials ({code}: {message}): {_HOW}")
    if code in _CLOSED:
        return ConfigurationError(f"cannot {action}: the account or the region is not open for this ({code}: {message})")
    if code in _DENIED:
        return ConfigurationError(_denial(error, action))
    kind = classify(error)
    if kind is Kind.THROTTLED:
        return Unavailable(f"cannot {action}: AWS takes no more requests of this account for now ({code}): try again in a minute")
    if kind is Kind.OVER_QUOTA:
        return Conflict(f"cannot {action}: the account's quota is used up ({code}: {message})")
    if kind is Kind.NO_CAPACITY:
        return Unavailable(f"cannot {action}: there is no room for it ({code}: {message})")
    if kind is Kind.UNCLEAR:
        return ProviderUnavailable(f"cannot {action}: AWS failed to answer ({f'{code}: {message}' if message else code}): try again")
    if code.endswith("NotFound") or code.startswith(("NoSuch", "404")):
        return NotFound(f"cannot {action}: {message or 'it is not there'} ({code})")
    if code.startswith(("Invalid", "Missing", "Malformed", "ValidationE", "Unknown")):
        return UsageError(f"cannot {action}: {message} ({code})")
    return Conflict(f"cannot {action}: {message or 'AWS refused it'} ({code})")


def _denial(error: ClientError, action: str) -> str:
    """Who is not allowed to do what on which resource, as far as the message tells."""
    message = _message(error)
    what, user, where, why = (_first(pattern, message) for pattern in (_ACTION, _USER, _RESOURCE, _WHY))
    sentence = f"cannot {action}: {user or 'this identity'} may not call {what or error.operation_name}"
    sentence += f" on {where.rstrip('.,')}" if where else ""
    sentence += f" ({why})" if why else ""
    if encoded := _first(_ENCODED, message):
        sentence += f"; the whole reason: aws sts decode-authorization-message --encoded-message {encoded}"
    return sentence + ": see docs/ec2.md for a policy that allows what spawn needs"


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return None if match is None else match[1]


def _message(error: ClientError) -> str:
    """What the service said, on one line; of a page that a proxy or a load balancer sent in its place the title."""
    text = " ".join(str(error.response.get("Error", {}).get("Message") or "").split())
    if _PAGE.search(text):
        text = " ".join(re.sub(r"<[^>]*>", " ", _first(_TITLE, text) or "").split()) or "a page in HTML, which is not of AWS's API"
    return text.rstrip(".")
