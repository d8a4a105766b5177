"""Caddy from its wheel: one thread for Go code, as many idle upstream connections as there are clients."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.peers.peer import Peer, Wanted


class Caddy(Peer):
    name = program = "caddy"

    def write(self, directory: Path, port: int, wanted: Wanted) -> None:
        lines = ["{", "\tadmin off", "\tauto_https off", "\tpersist_config off",
                 "\tlog {", "\t\tlevel ERROR", "\t}", "}"]
        for route in wanted.routes:
            lines += [f"http://{route.host}:{port} {{", "\tbind 127.0.0.1",
                      f"\treverse_proxy {' '.join(route.endpoints)} {{", "\t\ttransport http {",
                      "\t\t\tkeepalive 5m", "\t\t\tkeepalive_idle_conns_per_host 512", "\t\t}", "\t}", "}"]
        (directory / "Caddyfile").write_text("\n".join(lines) + "\n")

    def argv(self, directory: Path) -> Sequence[str]:
        assert self.path is not None
        return [self.path, "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"]

    def env(self, directory: Path) -> Mapping[str, str]:
        return {"GOMAXPROCS": "1", "HOME": str(directory), "XDG_DATA_HOME": str(directory),
                "XDG_CONFIG_HOME": str(directory)}
