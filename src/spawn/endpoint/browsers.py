"""No web page may call an endpoint that verifies nothing: a browser on this machine reaches it, and shows any page that its user opens."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from starlette.types import Receive, Scope, Send

from spawn.api.aws.writing import written_failure

if TYPE_CHECKING:
    from spawn.api.aws.app import AwsApp

_OF_BROWSERS: Final = frozenset((b"origin", b"sec-fetch-site"))
_REFUSAL: Final = "requests of web pages are refused: with --no-verify whoever calls runs commands as the user of this endpoint"


class NoBrowsers:
    """An application in front of another: what a page in a browser sends is refused with 403, all else is passed on."""

    def __init__(self, app: AwsApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. No AWS client sends the headers by which a browser is known, and no page can make one leave them out of a POST."""
        if scope["type"] != "http" or not _is_of_a_page(scope["headers"]):
            await self._app(scope, receive, send)
            return
        body = written_failure("AccessDeniedException", _REFUSAL)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"x-amzn-errortype", b"AccessDeniedException")]
        await send({"type": "http.response.start", "status": 403, "headers": [*headers, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})

    def close(self) -> None:
        """Close the other one."""
        self._app.close()


def _is_of_a_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a browser sent this, or whether it came by another name than this machine's, as a page does that has pointed its own name here."""
    return any(name in _OF_BROWSERS or (name == b"host" and not _is_this_machine(value)) for name, value in headers)


def _is_this_machine(host: bytes) -> bool:
    name = host.decode("latin-1").rpartition("]")[0].lstrip("[") or host.decode("latin-1").partition(":")[0]
    if name == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
