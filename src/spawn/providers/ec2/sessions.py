"""Sessions of botocore that know nothing but an access: the engine acts for whoever launched, not for the shell that started the engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    ConfigChainFactory,
    ConfiguredEndpointProvider,
    ConfigValueStore,
    create_botocore_default_config_mapping,
)
from botocore.credentials import (
    AssumeRoleProvider,
    CanonicalNameCredentialSourcer,
    ContainerProvider,
    CredentialResolver,
    EnvProvider,
    InstanceMetadataFetcher,
    InstanceMetadataProvider,
    ProfileProviderBuilder,
)
from botocore.loaders import Loader, create_loader
from botocore.session import Session
from botocore.utils import JSONFileCache, parse_timestamp, resolve_imds_endpoint_mode


class AccessSession(Session):  # type: ignore[misc]  # botocore has no types
    """A session whose region, profile, credentials and endpoints come from an access: its variables, and the files that they name.

    Proxies and `credential_process` programs are the machine's: they see the engine's environment. Not safe to use from two threads at once.
    """

    def __init__(self, access: Mapping[str, str]) -> None:
        super().__init__()
        self._access = _with_files(access)
        self.register_component("config_store", ConfigValueStore(mapping=_config_mapping(self, self._access)))
        self.lazy_register_component("credential_provider", self._resolver)
        self.register_component("data_loader", _loader())
        self.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_time)

    def create_client(self, service_name: str, *args: Any, endpoint_url: str | None = None, **settings: Any) -> Any:
        """A client of a service at the endpoint that the access names for it, else at AWS's own."""
        if endpoint_url is None and not self.get_config_variable("ignore_configured_endpoint_urls"):
            endpoint_url = self.endpoint(service_name)
        return super().create_client(service_name, *args, endpoint_url=endpoint_url, **settings)

    def endpoint(self, service: str) -> str | None:
        """The URL that the access names for a service; None: AWS's own."""
        found: str | None = ConfiguredEndpointProvider(self.full_config, self.get_scoped_config(), service, environ=self._access).provide()
        return found

    def _resolver(self) -> CredentialResolver:
        """The same chain as botocore's own, where that would look into this process's environment."""
        cache: dict[str, Any] = {}
        region = self.get_config_variable("region")
        profile = self.get_config_variable("profile") or "default"
        machine = [EnvProvider(environ=self._access), ContainerProvider(environ=self._access), self._metadata()]
        builder = ProfileProviderBuilder(self, cache=cache, region_name=region, sso_token_cache=_sso_cache(self._access))
        assumed = AssumeRoleProvider(
            load_config=lambda: self.full_config,
            client_creator=partial(self.create_client, region_name=region),
            cache=cache,
            profile_name=profile,
            credential_sourcer=CanonicalNameCredentialSourcer(machine),
            profile_provider_builder=builder,
        )
        return CredentialResolver([machine[0], assumed, *builder.providers(profile_name=profile), *machine[1:]])

    def _metadata(self) -> InstanceMetadataProvider:
        config = {
            "ec2_metadata_service_endpoint": self.get_config_variable("ec2_metadata_service_endpoint"),
            "ec2_metadata_service_endpoint_mode": resolve_imds_endpoint_mode(self),
            "ec2_credential_refresh_window": 15 * 60,
            "ec2_metadata_v1_disabled": self.get_config_variable("ec2_metadata_v1_disabled"),
        }
        fetcher = InstanceMetadataFetcher(timeout=1, num_attempts=1, user_agent=self.user_agent(), config=config, env=dict(self._access))
        return InstanceMetadataProvider(iam_role_fetcher=fetcher)


def read_time(said: object) -> datetime:
    """A time as AWS writes it. botocore's own way takes a third of the time in which a page of a thousand instances is read."""
    if isinstance(said, str) and said.endswith("Z"):
        try:
            return datetime.fromisoformat(said)
        except ValueError:
            pass
    read: datetime = parse_timestamp(said)
    return read


@cache
def _loader() -> Loader:
    """What reads the descriptions of services: megabytes, the same for every access."""
    return create_loader()


def _with_files(access: Mapping[str, str]) -> dict[str, str]:
    """The access with its files by absolute path, and its region where botocore looks for it (the AWS CLI and other SDKs read AWS_REGION)."""
    home = access.get("HOME") or str(Path.home())
    made = {name: value for name, value in access.items() if value}
    for variable, name in (("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")):
        path = made.get(variable, f"~/.aws/{name}")
        made[variable] = home + path[1:] if path.startswith("~/") else path
    if region := made.get("AWS_REGION"):
        made["AWS_DEFAULT_REGION"] = region
    return made


def _config_mapping(session: Session, access: Mapping[str, str]) -> dict[str, Any]:
    chains = ConfigChainFactory(session=session, environ=access)
    mapping: dict[str, Any] = create_botocore_default_config_mapping(session)
    for name, (in_file, variables, default, convert) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items():
        mapping[name] = chains.create_config_chain(
            instance_name=name, env_var_names=variables, config_property_names=in_file, default=default, conversion_func=convert
        )
    return mapping


def _sso_cache(access: Mapping[str, str]) -> JSONFileCache | None:
    home = access.get("HOME")
    return JSONFileCache(os.path.join(home, ".aws", "sso", "cache")) if home else None
