"""nginx as a fast endpoint: for load that a server in Python could not take, and for TLS as others speak it."""
from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from running import pattern, until

CONFIG = """
{user} daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/nginx.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    {outside}
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000; client_max_body_size 0; default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port}{tls};
        root {directory}/www;
        {more}
        location = / {{ return 200 "hello\\n"; }}
        location = /who {{ return 200 "$connection $connection_requests $ssl_server_name\\n"; }}
        location / {{ }}
    }}
}}
"""


class Nginx:
    """One nginx on a port of its own.

    Lines for its configuration: `tls` names certificate and key, `more` stands in the server, `outside` before it.
    """

    def __init__(self, directory: Path, tls: str = "", more: str = "", outside: str = "") -> None:
        self.directory = directory
        (directory / "www").mkdir(parents=True)
        for size in (100, 1 << 20):
            (directory / "www" / str(size)).write_bytes(pattern(size))
        with socket.create_server(("127.0.0.1", 0)) as chosen:
            self.port = chosen.getsockname()[1]
        (directory / "nginx.conf").write_text(CONFIG.format(
            directory=directory, port=self.port, more=more, outside=outside,
            user="user root;" if not os.getuid() else "", tls=f" ssl; {tls}" if tls else ""))
        self.process = subprocess.Popen(["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")],
                                        stdin=subprocess.DEVNULL, stderr=(directory / "output").open("wb"))

    def __enter__(self) -> Nginx:
        def answers() -> bool:
            assert self.process.poll() is None, (self.directory / "output").read_text()
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", self.port)) == 0

        until(answers, "nginx listens")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)
