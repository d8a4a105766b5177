"""hostmesh hosts: who is in the mesh, and how each is.

Owns one line for each.  Floor 4.
"""
from __future__ import annotations

from typing import Any

from mesh.names import VERSION
from workers.commands.paper import Paper, print_json
from workers.commands.sight import Cell, Sight, ago, failed, table, told, unix_ms


def hosts(config: str | None, as_json: bool) -> int:
    """Prints them; 1 where Redis cannot be asked, or there is none and no host runs here."""
    return told(config, as_json, lambda sight, paper: hosts_seen(sight, paper, as_json))


def hosts_seen(sight: Sight, paper: Paper, as_json: bool) -> int:
    """Prints who is there; 1 where nobody can be seen."""
    said = sight.mesh.hosts() if sight.mesh is not None else _alone(sight)
    if not said:
        return failed(paper, as_json, sight.blind or "no host has written to this Redis yet")
    if as_json:
        print_json({"host": sight.host, "hosts": [{"name": name, **each} for name, each in said.items()]})
        return 0
    rows: list[list[Cell]] = []
    for name, each in said.items():
        state = "up" if each.get("alive") else "down"
        here = " (here)" if name == sight.host else ""
        cores = f" of {each['capacity']}" if each.get("capacity") else ""
        load = f"{each['load']}{cores}" if "load" in each else ""
        rows.append([(state, "green" if state == "up" else "red"), f"{name}{here}", str(each.get("address", "")),
                     str(each.get("version", "")), str(each.get("workers", "")), str(each.get("generation", "")), load,
                     ago(unix_ms(each.get("started"))) if state == "up" else "", _seen(each)])
    table(paper, ["state", "host", "address", "version", "workers", "generation", "load", "up", "last seen"], rows,
          right=(4, 5, 6, 7, 8))
    for name, each in said.items():
        if each.get("twin"):
            both = f"{each.get('address')} and {each['twin']}"
            paper.line(paper.painted(f"two hosts are called {name}: {both}; give each a host.name of its own",
                                     fg="red"))
    if sight.mesh is None:
        paper.line("there is no Redis: this host shares its state with no other")
    return 0


def _seen(each: dict[str, Any]) -> str:
    told_at = f"{int(each['seenS'])} s" if "seenS" in each else ago(unix_ms(each.get("lastSeen")))
    return f"{told_at} ago" if told_at else ""


def _alone(sight: Sight) -> dict[str, dict[str, Any]]:
    if sight.seen is None:
        return {}
    return {sight.host: {"alive": sight.seen.serves, "address": sight.static.host_address,
                         "version": sight.about.version or VERSION, "workers": sight.static.workers,
                         "generation": sight.seen.generation, "started": sight.about.started}}
