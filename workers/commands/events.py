"""hostmesh events: who changed what, what went up and down, on all hosts, as it comes with -f.

Owns one line for each event.  They stand in Redis (`mesh:events`), the last ten thousand or so.  Floor 4.
"""
from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import click
import orjson

from workers.agent.mesh_seen import Away, Mesh
from workers.commands.paper import Paper
from workers.commands.sight import Sight, failed, told, unix_ms

AGAIN_S = 1.0

_COLOURS = {"endpoint-up": "green", "endpoint-returned": "green", "host-up": "green", "endpoint-down": "red",
            "endpoint-ejected": "red", "host-down": "red", "host-twice": "red", "reload-failed": "red",
            "override": "yellow"}


def events(config: str | None, last: int, follow: bool, as_json: bool) -> int:
    """Prints the last ones (JSON: one object in each line), and goes on until Ctrl-C if they are followed."""
    return told(config, as_json, lambda sight, paper: events_seen(sight, paper, last, follow, as_json))


def events_seen(sight: Sight, paper: Paper, last: int, follow: bool, as_json: bool) -> int:
    """Prints events; 1 where there is no Redis that keeps them."""
    if sight.mesh is None:
        return failed(paper, as_json, f"events are kept in Redis, and this host has none{_why(sight)}; what it sees"
                      f" itself stands in {sight.static.log_file or 'its log'}, in lines of the agent")
    found, newest = sight.mesh.events(last)
    for number, event in found:
        _print(paper, number, event, as_json)
    if not found and not follow and not as_json:
        paper.line("nothing has happened yet")
    if not follow:
        return 0
    with suppress(KeyboardInterrupt):       # the way to end it
        _follow(sight.mesh, paper, newest, as_json)
    return 0


def _why(sight: Sight) -> str:
    if not sight.static.redis.embedded:
        return " (redis.embedded is false)"
    return " now (its private one runs while it serves, where there is a redis-server to run)"


def _follow(mesh: Mesh, paper: Paper, after: str, as_json: bool) -> None:
    """For ever; a Redis that goes away and comes back is told of beside the events, and none is missed."""
    is_away = False
    while True:
        try:
            for number, event in mesh.follow(after):
                if is_away:
                    click.echo("Redis is back", err=True)
                is_away = False
                if number:
                    after = number
                    _print(paper, number, event, as_json)
                    paper.stream.flush()
        except Away as away:
            if not is_away:
                click.echo(f"{away}; it is tried again", err=True)
            is_away = True
            time.sleep(AGAIN_S)


def _print(paper: Paper, number: str, event: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        paper.line(orjson.dumps({"id": number, **event}).decode())
        return
    at_ms = unix_ms(event.get("at")) or float(number.partition("-")[0])
    at = datetime.fromtimestamp(at_ms / 1000).strftime("%Y-%m-%d %H:%M:%S")
    kind = event.get("kind", "?")
    what = event.get("what", "")
    subject = event.get("who", "") if kind.startswith("host-") else ""
    about = " ".join(filter(None, (event.get("service", ""), event.get("url", ""), subject)))
    said = "" if not what or kind.endswith(f"-{what}") else f" {what}"
    by = f" by {event['who']}" if event.get("who") and not subject else ""
    reason = f": {event['why']}" if event.get("why") else ""
    host = f"  [{event['host']}]" if event.get("host") else ""
    paper.line(f"{at}  {paper.painted(f'{kind:<17}', fg=_COLOURS.get(kind))}  {about}{said}{by}{reason}{host}")
