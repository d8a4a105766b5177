"""hostmesh endpoints: how each endpoint of a service is, why, since when, and what other hosts think.

Owns how that looks.  What this host sees is what it acts by, so it comes first; another host's opinion is told where it
differs.  Floor 4.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh.report import Unclear, service_meant
from workers.agent.mesh_seen import Away, dissent
from workers.agent.states import EndpointState
from workers.agent.table_seen import ServiceSeen, why
from workers.commands.paper import Paper, print_json
from workers.commands.sight import (
    COLOURS,
    Cell,
    Sight,
    ago,
    count,
    failed,
    latency,
    spelled,
    table,
    told,
    unix_ms,
)

Documents = Mapping[str, Mapping[str, Any]]


def endpoints(config: str | None, said: str, as_json: bool) -> int:
    """Prints the endpoints of one service; 1 where there is no such service."""
    return told(config, as_json, lambda sight, paper: endpoints_seen(sight, paper, said, as_json))


def known(sight: Sight) -> tuple[set[str], str]:
    """The services that this host or Redis knows, and why Redis cannot be asked."""
    names = set(sight.seen.services) if sight.seen is not None else set()
    if sight.mesh is None:
        return names, ""
    try:
        return names | sight.mesh.services(), ""
    except Away as away:
        return names, str(away)


def endpoints_seen(sight: Sight, paper: Paper, said: str, as_json: bool) -> int:
    """Prints what can be seen of one service; 1 where there is none of this name."""
    names, away = known(sight)
    if not names:
        return failed(paper, as_json, away or sight.blind or "there are no services: no provider names one")
    try:
        name = service_meant(said, names)
    except Unclear as unclear:
        return failed(paper, as_json, str(unclear))
    documents: Documents = {}
    if sight.mesh is not None and not away:
        documents = sight.mesh.endpoints([name])[name]
    ours = sight.seen.services.get(name) if sight.seen is not None else None
    if as_json:
        print_json(_as_dict(sight, name, ours, documents, away))
        return 0
    _print(paper, sight, name, ours, documents)
    if sight.seen is not None and not sight.seen.serves:
        paper.line(paper.painted("this host does not serve: what is above is how it was", fg="yellow"))
    if away:
        paper.line(paper.painted(f"other hosts cannot be asked: {away}", fg="yellow"))
    return 0


def _print(paper: Paper, sight: Sight, name: str, ours: ServiceSeen | None, documents: Documents) -> None:
    if ours is not None and ours.children:
        shares = ", ".join(f"{child} {weight}" for child, weight in ours.children)
        paper.line(f"{paper.painted(name, bold=True)} has no endpoints of its own; it shares requests among: {shares}")
        return
    mine = {each.url: each for each in ours.endpoints} if ours is not None else {}
    rows: list[list[Cell]] = []
    below: list[list[str]] = []
    for url, each in mine.items():
        rows.append(_row_of_ours(each))
        lines = dissent(documents.get(url, {}), sight.host, each.state)
        below.append([line for line in (why(each), *lines) if line])
    for url, document in sorted(documents.items()):
        if url not in mine:
            rows.append(_row_of_theirs(url, document))
            below.append([line for line in (str(document.get("why", "")), "known to other hosts alone") if line])
    how = f", {ours.strategy}" if ours is not None else ""
    paper.line(f"{paper.painted(name, bold=True)}{how}, {count(len(rows), 'endpoint')}, as {sight.host} sees it")
    if rows:
        heads = ["state", "endpoint", "since", "weight", "in flight", "requests", "failed", "latency", "from"]
        table(paper, heads, rows, right=(3, 4, 5, 6, 7), below=below)


def _row_of_ours(each: EndpointState) -> list[Cell]:
    source = f"{each.source} on {each.host}" if each.host else each.source
    return [(each.state, COLOURS.get(each.state, "")), each.url, ago(each.since_ms), f"{each.weight:,}",
            f"{each.in_flight:,}", f"{each.requests:,}", f"{each.failures:,}", latency(each.latency_us),
            f"{source}, here" if each.local else source]


def _row_of_theirs(url: str, document: Mapping[str, Any]) -> list[Cell]:
    state = str(document.get("state", "?"))
    numbers = [f"{document.get(name, 0):,}" if isinstance(document.get(name, 0), (int, float)) else "?"
               for name in ("weight", "inFlight", "requests", "failures")]
    ms = document.get("latencyMs", 0)
    return [(state, COLOURS.get(state, "")), url, ago(unix_ms(document.get("since", ""))), *numbers,
            latency(ms * 1000 if isinstance(ms, (int, float)) else 0), str(document.get("source", ""))]


def _as_dict(sight: Sight, name: str, ours: ServiceSeen | None, documents: Documents, away: str) -> dict[str, Any]:
    mine = {each.url: each for each in ours.endpoints} if ours is not None else {}
    listed = [{"url": url, "here": True, **_facts(each), "opinions": documents.get(url, {}).get("opinions", {})}
              for url, each in mine.items()]
    listed += [{"url": url, "here": False, **document}
               for url, document in sorted(documents.items()) if url not in mine]
    return {"service": name, "host": sight.host, "strategy": ours.strategy if ours is not None else "",
            "services": [{"name": child, "weight": weight} for child, weight in ours.children] if ours else [],
            "notAsked": [away] if away else [], "endpoints": listed}


def _facts(each: EndpointState) -> dict[str, Any]:
    return {"state": each.state, "why": why(each), "since": spelled(each.since_ms), "weight": each.weight,
            "override": each.override, "source": each.source, "host": each.host, "local": each.local,
            "inFlight": each.in_flight, "requests": each.requests, "failures": each.failures,
            "latencyMs": round(each.latency_us / 1000, 2), "probed": spelled(each.probed_ms),
            "probeMs": round(each.probe_us / 1000, 2), "probesInARow": each.probes, "lastError": each.error,
            "lastFailure": spelled(each.failed_ms)}
