"""Endpoints behind TLS: believed by their certificate or not at all, reused, and cut when they are cut."""
from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest
from nginx import Nginx
from running import Mesh, pattern

NAME = "orders.internal"


@dataclass(frozen=True)
class Certificates:
    """A certificate authority, one that signed nothing, and a certificate for NAME and 127.0.0.1."""

    ca: Path
    other_ca: Path
    certificate: Path
    key: Path


def openssl(*said: str) -> None:
    subprocess.run(["openssl", *said], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    at = tmp_path_factory.mktemp("certificates")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        openssl("req", "-x509", *new_key, "-days", "2", "-subj", f"/CN=a test's {name}", "-keyout",
                str(at / f"{name}.key"), "-out", str(at / f"{name}.pem"))
    openssl("req", "-x509", *new_key, "-days", "2", "-subj", f"/CN={NAME}", "-CA", str(at / "ca.pem"), "-CAkey",
            str(at / "ca.key"), "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1", "-addext",
            "basicConstraints=critical,CA:FALSE", "-keyout", str(at / "key"), "-out", str(at / "certificate"))
    return Certificates(at / "ca.pem", at / "other.pem", at / "certificate", at / "key")


@pytest.fixture(scope="module")
def nginx(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    tls = f"ssl_certificate {certificates.certificate}; ssl_certificate_key {certificates.key}"
    with Nginx(tmp_path_factory.mktemp("nginx"), tls) as nginx:
        yield nginx


def service(url: str, **transport: Any) -> str:
    """A dynamic file: orders.shop.mesh at this url, with this serversTransport."""
    return json.dumps({"http": {
        "routers": {"orders": {"rule": "Host(`orders.shop.mesh`)", "service": "orders"}},
        "services": {"orders": {"loadBalancer": {"servers": [{"url": url}], "serversTransport": "tls"}}},
        "serversTransports": {"tls": transport}}})


@pytest.fixture(scope="module")
def mesh(nginx: Nginx, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """One service whose file each test sets to what it needs; one worker, so that reuse can be seen."""
    good = service(f"https://127.0.0.1:{nginx.port}/at-first", rootCAs=[str(certificates.ca)])
    with Mesh(tmp_path_factory.mktemp("https"), {"orders.yml": good}, {"host": {"workers": 1}}) as mesh:
        yield mesh


def test_an_endpoint_with_a_certificate_of_the_named_authority_serves(
        mesh: Mesh, nginx: Nginx, certificates: Certificates) -> None:
    mesh.edit("orders.yml", service(f"https://127.0.0.1:{nginx.port}/", rootCAs=[str(certificates.ca)]))
    assert mesh.ask("/").text == "hello\n"


def test_another_authority_s_certificate_is_not_believed(
        mesh: Mesh, nginx: Nginx, certificates: Certificates) -> None:
    mesh.edit("orders.yml", service(f"https://127.0.0.1:{nginx.port}", rootCAs=[str(certificates.other_ca)]))
    answer = mesh.ask("/")
    assert answer.status == 502
    assert "certificate cannot be verified" in answer.text


def test_without_root_cas_the_system_s_authorities_decide(mesh: Mesh, nginx: Nginx) -> None:
    mesh.edit("orders.yml", service(f"https://127.0.0.1:{nginx.port}", forwardingTimeouts={"dialTimeout": "5s"}))
    answer = mesh.ask("/")
    assert (answer.status, "certificate" in answer.text) == (502, True)


def test_a_server_name_is_sent_and_verified(mesh: Mesh, nginx: Nginx, certificates: Certificates) -> None:
    roots = [str(certificates.ca)]
    mesh.edit("orders.yml", service(f"https://localhost:{nginx.port}", rootCAs=roots, serverName=NAME))
    assert mesh.ask("/who").text.split()[2] == NAME


def test_a_name_that_the_certificate_does_not_hold_is_not_believed(
        mesh: Mesh, nginx: Nginx, certificates: Certificates) -> None:
    roots = [str(certificates.ca)]
    mesh.edit("orders.yml", service(f"https://127.0.0.1:{nginx.port}", rootCAs=roots, serverName="users.internal"))
    answer = mesh.ask("/")
    assert (answer.status, "certificate" in answer.text) == (502, True)


def test_insecure_skip_verify_believes_anybody(mesh: Mesh, nginx: Nginx) -> None:
    mesh.edit("orders.yml", service(f"https://127.0.0.1:{nginx.port}", insecureSkipVerify=True))
    assert mesh.ask("/").text == "hello\n"


def test_a_secure_connection_is_used_again(mesh: Mesh, nginx: Nginx, certificates: Certificates) -> None:
    roots = [str(certificates.ca)]
    mesh.edit("orders.yml", service(f"https://127.0.0.1:{nginx.port}/", rootCAs=roots, serverName=NAME))
    seen = [mesh.ask("/who").text.split()[:2] for _ in range(5)]
    assert [uses for _, uses in seen] == ["1", "2", "3", "4", "5"]
    assert len({connection for connection, _ in seen}) == 1


def test_a_megabyte_through_tls_is_whole(mesh: Mesh, nginx: Nginx, certificates: Certificates) -> None:
    mesh.edit("orders.yml", service(f"https://127.0.0.1:{nginx.port}", rootCAs=[str(certificates.ca)]))
    for _ in range(3):
        assert mesh.ask(f"/{1 << 20}").body == pattern(1 << 20)


def test_a_plain_endpoint_behind_https_is_told_as_what_it_is(mesh: Mesh, tmp_path: Path) -> None:
    with Nginx(tmp_path / "plain") as plain:
        mesh.edit("orders.yml", service(f"https://127.0.0.1:{plain.port}", insecureSkipVerify=True))
        answer = mesh.ask("/")
        assert (answer.status, "TLS handshake" in answer.text) == (502, True)


class Scripted:
    """A TLS endpoint in a thread that reads one request on each connection and says what it was told to."""

    def __init__(self, certificates: Certificates, says: bytes, how: str) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates.certificate, certificates.key)
        self.says, self.how, self.received = says, how, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            with accepted, self.context.wrap_socket(accepted, server_side=True) as client:
                if self.how == "echo":
                    self._echo(client)
                    continue
                client.recv(65536)
                client.sendall(self.says)
                if self.how == "goodbye":
                    with contextlib.suppress(ssl.SSLError, OSError):    # the proxy does not wait to be answered
                        client.unwrap()
                # else it ends without close_notify, as a cut connection does

    def _echo(self, client: ssl.SSLSocket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        head, _, body = head.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        left = length - len(body)
        client.sendall(body)
        while left:
            piece = client.recv(65536)
            client.sendall(piece)
            left -= len(piece)

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


class InRecords(Scripted):
    """The same for one connection, whose every answer comes in many small records, all in one send."""

    def __init__(self, certificates: Certificates, body: bytes, record: int) -> None:
        self.record = record
        super().__init__(certificates, body, "records")

    def _serve(self) -> None:
        with self.listener.accept()[0] as self.client:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = self.context.wrap_bio(incoming, outgoing, server_side=True)
            self._step(incoming, outgoing, tls.do_handshake)
            while self._step(incoming, outgoing, lambda: tls.read(65536)):
                tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.says))
                for at in range(0, len(self.says), self.record):
                    tls.write(self.says[at:at + self.record])
                self.client.sendall(outgoing.read())

    def _step(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, step: Callable[[], bytes | None]) -> bytes | None:
        """Takes one step of TLS, with what it takes of the socket; b"" when that has ended."""
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                done = step()
                self.client.sendall(outgoing.read())
                return done
            self.client.sendall(outgoing.read())
            if not (received := self.client.recv(65536)):
                return b""
            incoming.write(received)

    def __exit__(self, *how: object) -> None:
        self.client.shutdown(socket.SHUT_RDWR)
        super().__exit__(*how)


def test_an_answer_in_many_small_records_that_came_at_once_does_not_stand_still(
        mesh: Mesh, certificates: Certificates) -> None:
    """On a kept connection, the rest waited within TLS for an event that only new bytes would have brought."""
    body = pattern(3000)
    with InRecords(certificates, body, record=30) as endpoint:
        mesh.edit("orders.yml", service(f"https://127.0.0.1:{endpoint.port}", rootCAs=[str(certificates.ca)]))
        assert [mesh.ask("/", within_s=10).body for _ in range(3)] == [body, body, body]


@pytest.mark.parametrize("size", [0, 1, 65_537, 1 << 20])
def test_a_body_goes_up_and_comes_back_through_tls(mesh: Mesh, certificates: Certificates, size: int) -> None:
    with Scripted(certificates, b"", "echo") as endpoint:
        mesh.edit("orders.yml", service(f"https://127.0.0.1:{endpoint.port}", rootCAs=[str(certificates.ca)]))
        assert mesh.ask("/", method="POST", body=pattern(size)).body == pattern(size)


@pytest.mark.parametrize("says", [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
                                  b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
                                  b"HTTP/1.1 200 OK\r\n\r\nhalf"], ids=["length", "chunked", "until close"])
def test_an_answer_that_is_cut_is_seen_to_be_cut(mesh: Mesh, certificates: Certificates, says: bytes) -> None:
    """Without TLS's goodbye the end of a connection proves nothing, not even for an answer without a length."""
    with Scripted(certificates, says, "cut") as endpoint:
        mesh.edit("orders.yml", service(f"https://127.0.0.1:{endpoint.port}", rootCAs=[str(certificates.ca)]))
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            mesh.ask("/")


def test_an_answer_without_a_length_ends_with_a_goodbye(mesh: Mesh, certificates: Certificates) -> None:
    with Scripted(certificates, b"HTTP/1.1 200 OK\r\n\r\nall of it", "goodbye") as endpoint:
        mesh.edit("orders.yml", service(f"https://127.0.0.1:{endpoint.port}", rootCAs=[str(certificates.ca)]))
        assert mesh.ask("/").text == "all of it"


def test_a_ca_that_is_replaced_decides_from_then_on(
        mesh: Mesh, nginx: Nginx, certificates: Certificates, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(certificates.other_ca.read_bytes())
    mesh.edit("orders.yml", service(f"https://127.0.0.1:{nginx.port}", rootCAs=[str(roots)]))
    assert mesh.ask("/").status == 502
    roots.write_bytes(certificates.ca.read_bytes())
    mesh.edit("orders.yml", service(f"https://127.0.0.1:{nginx.port}", rootCAs=[str(roots)],
                                    forwardingTimeouts={"dialTimeout": "29s"}))
    assert mesh.ask("/").text == "hello\n"
