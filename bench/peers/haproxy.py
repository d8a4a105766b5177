"""HAProxy: one thread, upstream connections shared between clients (http-reuse always); and the same with splicing."""
from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

from bench.peers.peer import CATCH_ALL, Peer, Wanted

MAIN = """\
global
    nbthread 1
    maxconn {connections}
defaults
    mode http
    option forwardfor
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout tunnel 300s
    timeout http-keep-alive 300s
{more}frontend web
    bind 127.0.0.1:{port} backlog 4096
{use}{backends}"""


class HAProxy(Peer):
    name = program = "haproxy"
    more = ""

    def write(self, directory: Path, port: int, wanted: Wanted) -> None:
        (directory / "hosts.map").write_text("".join(
            f"{route.host} b{number}\n" for number, route in enumerate(wanted.routes) if route.host != CATCH_ALL))
        use = "    default_backend b0\n" if wanted.routes[0].host == CATCH_ALL else (
            "    use_backend %[req.hdr(host),field(1,:),map_str(hosts.map)]\n")
        backends = "".join(f"backend b{number}\n" + "".join(
            f"    server s{n} {endpoint}\n" for n, endpoint in enumerate(route.endpoints))
            for number, route in enumerate(wanted.routes))
        most = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 400) // 2
        (directory / "haproxy.cfg").write_text(MAIN.format(
            more=self.more + ("    option http-no-delay\n" if "streams" in wanted.options else ""),
            port=port, use=use, backends=backends, connections=max(256, min(wanted.connections + 256, most))))

    def argv(self, directory: Path) -> Sequence[str]:
        assert self.path is not None
        return [self.path, "-W", "-f", str(directory / "haproxy.cfg")]


class HAProxySplicing(HAProxy):
    """Bodies go from socket to socket inside the kernel.  Off by default, and what its experts use for large ones.

    `splice-auto` is not it: it leaves out what comes in short pieces, and over loopback that is everything.
    """

    name = "haproxy-splice"
    more = "    option splice-request\n    option splice-response\n"
