"""nginx: one worker, upstream keep-alive, buffers that hold what is relayed in memory."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.peers.peer import CATCH_ALL, Peer, Wanted

MAIN = """\
{user}worker_processes 1;
pid nginx.pid;
error_log error.log error;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; multi_accept on; }}
http {{
    access_log off;
    server_tokens off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    client_max_body_size 0;
    client_body_buffer_size 128k;
    client_body_temp_path tmp;
    proxy_temp_path tmp;
    fastcgi_temp_path tmp;
    uwsgi_temp_path tmp;
    scgi_temp_path tmp;
    proxy_http_version 1.1;
    proxy_buffer_size 16k;
    proxy_buffers 32 16k;
    proxy_busy_buffers_size 64k;
    proxy_max_temp_file_size 0;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header Connection $connection_for_upstream;
    proxy_set_header Upgrade $http_upgrade;
    proxy_read_timeout 300s;
    server_names_hash_max_size 65536;
    map $http_upgrade $connection_for_upstream {{ default upgrade; "" ""; }}
{blocks}}}
"""


class Nginx(Peer):
    name = program = "nginx"

    def write(self, directory: Path, port: int, wanted: Wanted) -> None:
        (directory / "tmp").mkdir(exist_ok=True)
        blocks = []
        for number, route in enumerate(wanted.routes):
            servers = "".join(f" server {endpoint};" for endpoint in route.endpoints)
            name = "server_name _;" if route.host == CATCH_ALL else f"server_name {route.host};"
            backlog = "" if number else " backlog=4096"         # said once for all that listen there
            blocks.append(
                f"    upstream u{number} {{{servers} keepalive 512; keepalive_requests 100000000;"
                " keepalive_timeout 300s; }\n"
                f"    server {{ listen 127.0.0.1:{port}{backlog}; {name}"
                f" location / {{ proxy_pass http://u{number}; }} }}\n")
        (directory / "nginx.conf").write_text(MAIN.format(
            user="user root;\n" if os.getuid() == 0 else "", files=4 * wanted.connections + 2048,
            connections=2 * wanted.connections + 1024, blocks="".join(blocks)))

    def argv(self, directory: Path) -> Sequence[str]:
        assert self.path is not None
        return [self.path, "-p", str(directory), "-c", "nginx.conf", "-e", "error.log", "-g", "daemon off;"]
