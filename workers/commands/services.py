"""hostmesh services: every service, and how many of its endpoints are well.

Owns one line for each.  Floor 4.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.agent.mesh_seen import Away
from workers.agent.table_seen import STATES, ServiceSeen
from workers.commands.paper import Paper, print_json
from workers.commands.sight import COLOURS, Cell, Sight, count, failed, latency, table, told

_WORST_FIRST = ("down", "ejected", "mixed", "drain", "disabled", "waits")


def services(config: str | None, as_json: bool) -> int:
    """Prints them; 1 where neither this host nor Redis knows any."""
    return told(config, as_json, lambda sight, paper: services_seen(sight, paper, as_json))


def services_seen(sight: Sight, paper: Paper, as_json: bool) -> int:
    """Prints what can be seen; 1 where nothing can."""
    others, away = _of_others(sight)
    if sight.seen is None and not others:
        return failed(paper, as_json, away or sight.blind)
    rows = [_of_ours(each) for each in sight.seen.services.values()] if sight.seen is not None else []
    rows += [_of_theirs(name, documents) for name, documents in sorted(others.items())]
    if as_json:
        print_json({"host": sight.host, "notAsked": [away] if away else [], "services": rows})
        return 0
    if not rows:
        paper.line("there are no services: no provider names one")
        return 0
    _print(paper, rows)
    if sight.seen is not None and not sight.seen.serves:
        paper.line(paper.painted("this host does not serve: what is above is how it was", fg="yellow"))
    if away:
        paper.line(paper.painted(f"other hosts cannot be asked: {away}", fg="yellow"))
    return 0


def _of_others(sight: Sight) -> tuple[dict[str, dict[str, dict[str, Any]]], str]:
    """The services that only other hosts know, and why they cannot be asked."""
    if sight.mesh is None:
        return {}, ""
    try:
        ours = sight.seen.services if sight.seen is not None else {}
        return sight.mesh.endpoints(sorted(sight.mesh.services() - set(ours))), ""
    except Away as away:
        return {}, str(away)


def _of_ours(each: ServiceSeen) -> dict[str, Any]:
    requests = sum(one.requests for one in each.endpoints)
    timed = [(one.latency_us, one.requests) for one in each.endpoints if one.latency_us and one.requests]
    spent, weight = sum(us * many for us, many in timed), sum(many for _, many in timed)
    return {"name": each.name, "strategy": each.strategy, "endpoints": len(each.endpoints), "states": each.counts,
            "services": [{"name": name, "weight": weight} for name, weight in each.children],
            "inFlight": sum(one.in_flight for one in each.endpoints), "requests": requests,
            "failures": sum(one.failures for one in each.endpoints),
            "latencyMs": round(spent / weight / 1000, 2) if weight else 0.0, "here": True}


def _of_theirs(name: str, documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    states = [str(each.get("state", "")) for each in documents.values()]
    counts = {state: states.count(state) for state in (*STATES, "mixed") if state in states}

    def summed(field: str) -> int:
        numbers = [each.get(field, 0) for each in documents.values()]
        return sum(int(number) for number in numbers if isinstance(number, (int, float)))

    return {"name": name, "strategy": "", "endpoints": len(documents), "states": counts, "services": [],
            "inFlight": summed("inFlight"), "requests": summed("requests"), "failures": summed("failures"),
            "latencyMs": 0.0, "here": False}


def _print(paper: Paper, rows: list[dict[str, Any]]) -> None:
    printed: list[list[Cell]] = []
    for each in rows:
        states: dict[str, int] = each["states"]
        how = ", ".join(f"{number:,} {state}" for state, number in states.items())
        worst = next((state for state in _WORST_FIRST if state in states), "up")
        if each["services"]:
            how = "shares: " + ", ".join(f"{one['name']} {one['weight']}" for one in each["services"])
            worst = ""
        elif not states:
            how, worst = "none", "down"
        printed.append([each["name"], (how, COLOURS.get(worst, "")), f"{each['inFlight']:,}", f"{each['requests']:,}",
                        f"{each['failures']:,}", latency(each["latencyMs"] * 1000),
                        each["strategy"] or "on other hosts"])
    table(paper, ["service", "endpoints", "in flight", "requests", "failed", "latency", "strategy"], printed,
          right=(2, 3, 4, 5))
    bad = sum(1 for each in rows if each["endpoints"] and not each["states"].get("up"))
    if bad:
        paper.line(paper.painted(f"{count(bad, 'service')} without any endpoint that is up", fg="red"))
