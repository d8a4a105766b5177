"""Envoy from its wheel: one worker, client addresses added (use_remote_address), its usual statistics."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.peers.peer import CATCH_ALL, Peer, Route, Wanted

HTTP_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


class Envoy(Peer):
    name = program = "envoy"

    def write(self, directory: Path, port: int, wanted: Wanted) -> None:
        manager = {
            "@type": HTTP_MANAGER, "stat_prefix": "web", "use_remote_address": True,
            "upgrade_configs": [{"upgrade_type": "websocket"}], "stream_idle_timeout": "300s",
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
            "route_config": {"name": "all", "virtual_hosts": [
                {"name": f"v{number}", "domains": ["*"] if route.host == CATCH_ALL else [route.host, f"{route.host}:*"],
                 "routes": [{"match": {"prefix": "/"}, "route": {"cluster": f"c{number}", "timeout": "0s"}}]}
                for number, route in enumerate(wanted.routes)]}}
        (directory / "envoy.json").write_text(json.dumps({"static_resources": {
            "listeners": [{"name": "web", "address": _address(f"127.0.0.1:{port}"), "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
            "clusters": [_cluster(number, route, wanted) for number, route in enumerate(wanted.routes)]}}))

    def argv(self, directory: Path) -> Sequence[str]:
        assert self.path is not None
        return [self.path, "-c", str(directory / "envoy.json"), "--concurrency", "1", "--disable-hot-restart",
                "--log-level", "error"]


def _cluster(number: int, route: Route, wanted: Wanted) -> dict[str, Any]:
    most = 4 * wanted.connections
    return {
        "name": f"c{number}", "type": "STATIC", "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [
            {"max_connections": most, "max_pending_requests": most, "max_requests": most}]},
        "load_assignment": {"cluster_name": f"c{number}", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": _address(endpoint)}} for endpoint in route.endpoints]}]}}


def _address(said: str) -> dict[str, Any]:
    host, _, port = said.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
