"""Certificates, made by openssl once for all tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest


class Certificate(NamedTuple):
    """A certificate that signed itself, and its key."""

    certfile: str
    keyfile: str


def make_certificate(directory: Path, name: str) -> Certificate:
    """One for localhost and 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed here")
    made = Certificate(str(directory / f"{name}.pem"), str(directory / f"{name}.key"))
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    alt = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", made.certfile, "-keyout", made.keyfile]
    subprocess.run([*words, *alt], check=True, capture_output=True)
    return made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One for this machine."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "one")


@pytest.fixture(scope="session")
def other_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Another one."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "other")
