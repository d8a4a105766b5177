"""/api/rawdata and /api/overview of the same files: what Traefik's have, ours have, but for what docs/api.md says."""
from __future__ import annotations

from typing import Any

import pytest
from side_by_side import Both

WITHOUT = {"observability", "ruleSyntax", "serverStatus"}       # keys of Traefik's that are not here
ONLY_HERE = {"provider", "place", "type"}
# Refused here with the way to write it, or refused there: the list of differences has a row for each.
REFUSED_HERE = {f"{name}@file" for name in (
    "host-port", "host-part-star", "path-braces", "path-query", "query-equals", "template-host")}
REFUSED_THERE = {"line-breaks@file"}
WARNED_HERE = {"plain-path@file"}       # its url has a path that means nothing


@pytest.fixture(scope="module")
def rawdata(both: Both) -> tuple[dict[str, Any], dict[str, Any]]:
    """Traefik's without its own services, and ours."""
    theirs, ours = both.api("/api/rawdata")
    return ({section: {name: one for name, one in said.items() if not name.endswith("@internal")}
             for section, said in theirs.items()}, ours)


@pytest.mark.parametrize("section", ["routers", "services"])
def test_both_know_the_same_objects(rawdata: tuple[dict[str, Any], dict[str, Any]], section: str) -> None:
    theirs, ours = rawdata
    assert theirs[section].keys() == ours[section].keys()


def test_a_router_is_enabled_or_not_in_both(rawdata: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = ({name: one["status"] for name, one in said["routers"].items()} for said in rawdata)
    differ = {name for name, status in theirs.items() if ours[name] != status}
    assert differ == REFUSED_HERE | REFUSED_THERE
    assert all((theirs[name], ours[name]) == ("enabled", "disabled") for name in REFUSED_HERE)
    assert set(theirs.values()) == {"enabled", "disabled", "warning"}


def test_a_router_says_the_same_of_itself_in_both(rawdata: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = (said["routers"] for said in rawdata)
    served = [name for name, one in theirs.items() if "disabled" not in (one["status"], ours[name]["status"])]
    assert len(served) > 150
    for name in served:
        one, other = theirs[name], ours[name]
        assert one.keys() - WITHOUT == other.keys() - ONLY_HERE, name
        uncounted = 2 * one["rule"].count("**.")        # their stars, which 3.7 counts
        assert (one["rule"], one["priority"] - uncounted, f"{one['service']}@file") == (
            other["rule"], other["priority"], other["service"])
        assert set(one["using"]) == set(other["using"]), name


def test_a_service_says_the_same_of_itself_in_both(rawdata: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = (said["services"] for said in rawdata)
    for name, one in theirs.items():
        other = ours[name]
        assert (one["status"] == other["status"]) is (name not in WARNED_HERE), name
        if one["status"] == "disabled" or "loadBalancer" not in one:
            continue
        servers = [{"weight": 1, **each} for each in one["loadBalancer"].get("servers", ())]
        balancer = {**one["loadBalancer"], "servers": servers}
        assert balancer.pop("responseForwarding") == {"flushInterval": "100ms"}     # nothing is held back here
        assert other["loadBalancer"] == balancer


def test_who_uses_a_service_is_told_in_both(rawdata: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = (said["services"] for said in rawdata)
    enabled = {name for name, one in rawdata[1]["routers"].items() if one["status"] != "disabled"}
    for name, one in theirs.items():
        direct = set(one.get("usedBy", ())) & enabled
        assert direct <= set(ours[name].get("usedBy", ())), name


def test_the_overview_has_what_traefiks_has(both: Both) -> None:
    theirs, ours = both.api("/api/overview")
    assert theirs.keys() - ours.keys() == {"certificates"}
    assert theirs["features"].keys() == ours["features"].keys()
    assert theirs["providers"] == ours["providers"]
    for kind in ("http", "tcp", "udp"):
        assert theirs[kind].keys() == ours[kind].keys()
        assert all(theirs[kind][section].keys() == ours[kind][section].keys() for section in ours[kind])
    internal = 2        # Traefik counts its own routers, for the API and for /ping
    assert theirs["http"]["routers"]["total"] == ours["http"]["routers"]["total"] + internal
    assert (theirs["http"]["routers"]["errors"] + len(REFUSED_HERE) - len(REFUSED_THERE)
            == ours["http"]["routers"]["errors"])
