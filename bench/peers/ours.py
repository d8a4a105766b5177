"""Hostmesh from this working tree: one worker (two where a row says so), an agent, a master; metrics are always on."""
from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.machine import ROOT, free_port
from bench.peers.peer import CATCH_ALL, Peer, Proxy, Wanted, put

STATIC = """\
host: {{name: bench, workers: {workers}}}
stateDirectory: state
runtimeDirectory: run
entryPoints:
  web: {{address: "127.0.0.1:{port}"{entry_point}}}
providers:
  file: {{directory: conf.d}}
api: {{address: "127.0.0.1:{admin}"}}
log: {{level: WARN, filePath: hostmesh.log}}
{more}"""


class Ours(Peer):
    name = "us"

    def __init__(self) -> None:
        super().__init__()
        self.path = sys.executable

    def write(self, directory: Path, port: int, wanted: Wanted) -> None:
        said = wanted.options
        (directory / "conf.d").mkdir()
        (directory / "logs").mkdir()            # not beside the static file, whose directory the agent watches
        (directory / "hostmesh.yml").write_text(STATIC.format(
            port=port, admin=free_port(), entry_point=said.get("entry point", ""), more=said.get("static", ""),
            workers=said.get("workers", "1")))
        (directory / "conf.d" / "bench.yml").write_text(said.get("dynamic") or dynamic(wanted, **{
            key: said[key] for key in ("rule", "scheme", "balancer") if key in said}))

    def argv(self, directory: Path) -> Sequence[str]:
        assert self.path is not None
        return [self.path, "-m", "workers.cli", "run", "--config", str(directory / "hostmesh.yml")]

    def env(self, directory: Path) -> Mapping[str, str]:
        return {"PYTHONPATH": str(ROOT)}

    def edit(self, proxy: Proxy, number: int) -> None:
        put(proxy.directory / "conf.d" / "edited.yml",
            f"http: {{routers: {{edited: {{rule: 'Host(`edit-{number}.example`)', service: s0}}}}}}\n")

    def edited_host(self, number: int) -> str:
        return f"edit-{number}.example"


def dynamic(wanted: Wanted, rule: str = "Host(`{host}`)", scheme: str = "http", balancer: str = "") -> str:
    """The dynamic file; `rule` may name {host}, `balancer` is what stands in every loadBalancer beside the servers."""
    lines = ["http:", "  routers:"]
    for number, route in enumerate(wanted.routes):
        said = "PathPrefix(`/`)" if route.host == CATCH_ALL else rule.format(host=route.host)
        lines.append(f"    r{number}: {{rule: '{said}', service: s{number}}}")
    lines.append("  services:")
    for number, route in enumerate(wanted.routes):
        servers = ", ".join(f"{{url: '{scheme}://{endpoint}'}}" for endpoint in route.endpoints)
        lines.append(f"    s{number}: {{loadBalancer: {{servers: [{servers}]{balancer}}}}}")
    return "\n".join(lines) + "\n"
