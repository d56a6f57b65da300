"""What AWS clients find for this user in this shell: a region, and a key pair when there is one."""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple

from spawn.cli.render import talk
from spawn.client.objects import Key
from spawn.domain.errors import ConfigurationError

DEFAULT_REGION: Final = "us-east-1"


class Own(NamedTuple):
    """What was found. `temporary`: the pair belongs to a session that ends; `ignores_urls`: the clients are told not to heed AWS_ENDPOINT_URL_…"""

    region: str
    key: Key | None
    temporary: bool
    ignores_urls: bool


def find() -> Own:
    """Look where clients look: the environment, the profile, a cached login. Not at an instance's metadata, for which other machines wait in vain.

    ConfigurationError when the settings are such that every client refuses them.
    """
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    import botocore.session
    from botocore.exceptions import BotoCoreError

    session: Any = botocore.session.Session()
    try:
        region = os.environ.get("AWS_REGION") or session.get_config_variable("region") or DEFAULT_REGION
        ignores_urls = bool(session.get_config_variable("ignore_configured_endpoint_urls"))
    except (BotoCoreError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"AWS clients cannot work with your settings: {_sentence(error)}; see ~/.aws/config and AWS_PROFILE") from error
    key, temporary = _key(session)
    return Own(region, key, temporary, ignores_urls)


def _key(session: Any) -> tuple[Key | None, bool]:
    try:
        found = session.get_credentials()
        frozen = found and found.get_frozen_credentials()
    except Exception as error:  # a login that has expired, a role that cannot be assumed, a program that failed: each raises its own
        talk.warn(f"your AWS credentials cannot be had ({_sentence(error)}), so a key pair for this endpoint takes their place")
        return None, False
    if not frozen or not frozen.access_key or not frozen.secret_key:
        return None, False
    return Key(access_key_id=frozen.access_key, secret_access_key=frozen.secret_key), bool(frozen.token)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".:") or type(error).__name__
