"""Traefik from its wheel: one thread for Go code, the file provider, metrics and access log off (as is its default)."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.peers.ours import dynamic
from bench.peers.peer import Peer, Proxy, Wanted, put

STATIC = """\
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
entryPoints:
  web: {{address: "127.0.0.1:{port}"}}
providers:
  file: {{directory: {directory}/conf.d, watch: true}}
log: {{level: ERROR}}
"""


class Traefik(Peer):
    name = program = "traefik"

    def write(self, directory: Path, port: int, wanted: Wanted) -> None:
        (directory / "conf.d").mkdir()
        (directory / "traefik.yml").write_text(STATIC.format(port=port, directory=directory))
        (directory / "conf.d" / "bench.yml").write_text(dynamic(wanted))

    def argv(self, directory: Path) -> Sequence[str]:
        assert self.path is not None
        return [self.path, f"--configFile={directory}/traefik.yml"]

    def env(self, directory: Path) -> Mapping[str, str]:
        return {"GOMAXPROCS": "1", "HOME": str(directory)}

    def edit(self, proxy: Proxy, number: int) -> None:
        put(proxy.directory / "conf.d" / "edited.yml",
            f"http: {{routers: {{edited: {{rule: 'Host(`edit-{number}.example`)', service: s0}}}}}}\n")

    def edited_host(self, number: int) -> str:
        return f"edit-{number}.example"
