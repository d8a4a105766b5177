"""What the proxies call: one nginx, with answers of all sizes.

It listens on two ports of every loopback address, so that ten thousand endpoints can differ; a third port speaks TLS.
"""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bench.machine import free_port, needed
from bench.peers.peer import START_S, status
from bench.processes import BenchFailed, Child, wait_until

FILES = {"10k": 10 * 1024, "1m": 1 << 20}
CONF = """\
{user}worker_processes 1;
pid upstream.pid;
error_log error.log error;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; multi_accept on; }}
http {{
    access_log off;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 3600s;
    client_max_body_size 0;
    client_body_buffer_size 128k;
    client_body_temp_path tmp;
    proxy_temp_path tmp;
    fastcgi_temp_path tmp;
    uwsgi_temp_path tmp;
    scgi_temp_path tmp;
    default_type text/plain;
    open_file_cache max=16 inactive=3600s;
    server {{
        listen 0.0.0.0:{first} backlog=16384;
        listen 0.0.0.0:{second} backlog=16384;
        listen 0.0.0.0:{secure} ssl backlog=16384;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        location = / {{ return 200 "{hundred}"; }}
        location /file/ {{ alias {place}/; }}
    }}
}}
"""


class Upstream:
    """The upstream, running on one core."""

    def __init__(self, directory: Path, core: int | None, files: int) -> None:
        directory.mkdir()
        (directory / "tmp").mkdir()
        (directory / "files").mkdir()
        for name, size in FILES.items():
            (directory / "files" / name).write_bytes((b"0123456789abcde\n" * (size // 16 + 1))[:size])
        done = subprocess.run(
            [needed("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", directory / "key.pem", "-out", directory / "cert.pem", "-days", "3", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], capture_output=True, text=True)
        if done.returncode:
            raise BenchFailed(f"openssl cannot make a certificate: {done.stderr}")
        self.first, self.second, self.secure = free_port(), free_port(), free_port()
        self.certificate = directory / "cert.pem"
        (directory / "upstream.conf").write_text(CONF.format(
            user="user root;\n" if os.getuid() == 0 else "", files=files, connections=files - 64, first=self.first,
            second=self.second, secure=self.secure, hundred="x" * 99 + "\\n", place=directory / "files"))
        self.child = Child([needed("nginx"), "-p", str(directory), "-c", "upstream.conf", "-e", "error.log",
                            "-g", "daemon off;"], core, directory)
        try:
            wait_until(lambda: status(self.first, "bench") == 200, START_S, "the upstream does not serve")
        except BaseException as error:
            said = self.child.last_words()
            self.child.end()
            if isinstance(error, BenchFailed):
                raise BenchFailed(f"{error}; it said:\n{said}") from None
            raise

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.end()

    def pin(self, core: int) -> None:
        """Moves it to another core."""
        for pid in self.child.pids():
            os.sched_setaffinity(pid, {core})

    def addresses(self, count: int) -> tuple[str, ...]:
        """So many different addresses that all lead here."""
        return tuple(f"127.{1 + n // 62500}.{n // 250 % 250}.{1 + n % 250}:{self.first}" for n in range(count))
