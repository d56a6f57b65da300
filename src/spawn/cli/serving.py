"""An endpoint from the side of its user: the lines that a shell needs, staying beside it, and closing it."""

from __future__ import annotations

import os
import select
import shlex
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from spawn.cli.credentials import Own
from spawn.cli.reaching import ensure_engine, running_engine
from spawn.cli.render import talk
from spawn.client import lock
from spawn.client.objects import Endpoint, Opened
from spawn.client.wire import NotListening
from spawn.config import ENDPOINT_NAME, state_directory
from spawn.domain.errors import NotFound, Unavailable

EXIT_INTERRUPTED: Final = 130
_LOOK_EVERY_S: Final = 1.0
_PROBE_S: Final = 3.0
_SELF_SIGNED: Final = 18  # what OpenSSL calls X509_V_ERR_…
_UNKNOWN_ISSUER: Final = (19, 20, 21)


def export_lines(opened: Opened, own: Own) -> list[str]:
    """What to `eval`: where the endpoint is, the region, and the key pair when one was made for this user."""
    variables = {
        "AWS_ENDPOINT_URL_BATCH": opened.url,
        "AWS_ENDPOINT_URL_LOGS": opened.url,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": opened.url,  # what botocore and the AWS CLI call the same service
        "AWS_DEFAULT_REGION": own.region,
        "AWS_REGION": own.region,
    }
    if own.ignores_urls:
        variables["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "false"
    if opened.pair is not None:
        variables["AWS_ACCESS_KEY_ID"] = opened.pair.access_key_id
        variables["AWS_SECRET_ACCESS_KEY"] = opened.pair.secret_access_key
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def say_how(opened: Opened, own: Own) -> None:
    """What the lines do not tell: whose keys are accepted, what is dangerous, what clients will not like."""
    if own.key is not None and opened.verify:
        talk.note(f"your own AWS credentials ({_shortened(own.key.access_key_id)}) are accepted, so no key pair is printed")
        if own.temporary:
            talk.note("they are temporary: when they change, `spawn serve --print-env` tells the endpoint the new ones")
    if own.ignores_urls:
        talk.note("your settings make clients ignore endpoint URLs; AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false overrules that")
    if not opened.verify:
        talk.warn(f"--no-verify: anybody who can reach {opened.url}, every user of this machine included, can run commands as you")
    if opened.certfile is not None and (distrust := _distrust(opened.url)) is not None:
        talk.note(f"clients will refuse the certificate: {distrust.verify_message.rstrip('.')}{_remedy(distrust.verify_code, opened.certfile)}")


def _shortened(key_id: str) -> str:
    return key_id if len(key_id) <= 8 else f"{key_id[:4]}…{key_id[-4:]}"


def _distrust(url: str) -> ssl.SSLCertVerificationError | None:
    """Why a client in this shell would refuse the certificate; None when it would not, or when nobody answers just now."""
    import botocore.httpsession

    place = urlsplit(url)
    host = place.hostname or ""
    try:
        context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or botocore.httpsession.where())
        with socket.create_connection((host, place.port or 0), _PROBE_S) as connection, context.wrap_socket(connection, server_hostname=host):
            return None
    except ssl.SSLCertVerificationError as error:
        return error
    except OSError:
        return None


def _remedy(code: int, certfile: str) -> str:
    if code == _SELF_SIGNED:
        return f"; `export AWS_CA_BUNDLE={shlex.quote(certfile)}` lets them accept it (it holds for every AWS service)"
    if code in _UNKNOWN_ISSUER:
        return "; `export AWS_CA_BUNDLE=FILE` with the certificate of its issuer lets them accept it (it holds for every AWS service)"
    return ""


def close() -> Endpoint | None:
    """Close the endpoint, and say so; None when there was none. An engine is started only to have one closed that it would open again."""
    try:
        client = running_engine()
    except NotListening:
        if not (state_directory() / ENDPOINT_NAME).exists():
            return None
        client = ensure_engine()
    try:
        return client.close_endpoint()
    except NotFound:
        return None


def stay(opened: Opened, ended: int) -> int:
    """Return when told to end by a signal, which becomes readable at `ended`, or when somebody else has closed the endpoint: the exit code.

    An engine that dies is started again; it opens the endpoint again.
    """
    said: str | None = None
    missing = 0
    while not select.select([ended], [], [], _LOOK_EVERY_S)[0]:
        try:
            now = _look(say=said is None)
            reason, missing = (None if now.open else now.reason or "it is not open"), 0
        except NotFound:
            talk.say(f"the endpoint at {opened.url} was closed by `spawn serve stop`")
            return 0
        except NotListening as error:
            # a starting engine puts its socket anew into its place: it counts as stopped only when it is missing twice
            missing += 1
            if missing > 1 and lock.holder(state_directory()) is None:
                raise Unavailable("the engine was stopped, and the endpoint with it; the next command that needs the engine opens both again") from error
            reason = said
        except Unavailable as error:
            reason = str(error)
        if reason != said:
            talk.warn(f"the endpoint at {opened.url} does not answer: {reason}; trying again") if reason else talk.say(f"it answers again at {opened.url}")
        said = reason
    return EXIT_INTERRUPTED if os.read(ended, 1)[0] == signal.SIGINT else 0


def _look(*, say: bool) -> Endpoint:
    """The endpoint of an engine that is started when the last one died; NotListening when it was stopped on purpose."""
    try:
        return running_engine().endpoint()
    except NotListening as error:
        if error.stopped:
            raise
        if say:
            talk.say("the engine has died; starting it again")
        return ensure_engine().endpoint()


@contextmanager
def told_to_end() -> Iterator[int]:
    """Within the block, Ctrl-C, SIGTERM and a closed terminal end nothing: their number can be read from this descriptor."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def tell(number: int, _: object) -> None:
        try:
            os.write(writer, bytes([number]))
        except BlockingIOError:
            pass  # told often enough

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, tell)
    try:
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
