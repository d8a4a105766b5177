"""The same files, the same requests: what Traefik does and what we do is the same, but for what the page lists."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import house
import pytest
from aspects import differences
from differences import LISTED, MISTAKES, Listed, explained, rows
from proxies import head, shares
from requests_made import BY_CHANCE, cases
from side_by_side import Both

# Routers that cannot take a request in both: refused by one of them, matching in one alone, or never reached.
REFUSED = {"path-query", "path-braces", "query-equals", "host-port", "host-part-star", "template-host", "line-breaks",
           "header-regexp-empty"}
OF_ONE_ALONE = {"host-v6", "host-stars", "host-regexp-capital", "path-escaped-letter", "path-escaped-space",
                "path-escaped-slash-lower", "header-host", "stars-prefixed"}
NOBODYS = {"client-v6", "no-host-said", "rank-lowered", "star-named"}


@dataclass
class Compared:
    """What came of all requests."""

    requests: int = 0
    statuses: Counter[tuple[int, int]] = field(default_factory=Counter)
    chosen: Counter[str] = field(default_factory=Counter)
    unlisted: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def compared(both: Both) -> Compared:
    """Every request sent to both."""
    found = Compared()
    for case in cases():
        theirs, ours = both.outcomes(case)
        found.requests += 1
        found.statuses[theirs.status, ours.status] += 1
        if theirs.by == ours.by:
            found.chosen[theirs.by] += 1
        for aspect in differences(theirs, ours, case.is_answered_as_it_stands and theirs.status != 502):
            entry = explained(case, aspect)
            if entry is None:
                found.unlisted.append(f"{case}\n    {aspect}")
            else:
                found.met[entry.title] += 1
    return found


def test_every_difference_is_on_the_list(compared: Compared) -> None:
    assert not compared.unlisted, "\n".join([f"{len(compared.unlisted)} differences:", *compared.unlisted[:40]])


@pytest.mark.parametrize("entry", [*LISTED, *MISTAKES], ids=str)
def test_what_is_on_the_list_still_differs(compared: Compared, entry: Listed) -> None:
    assert compared.met[entry.title], f"{entry.title}: no request shows it any more, so the list must not excuse it"


def test_the_page_has_a_row_for_every_entry_of_the_list_and_no_other() -> None:
    assert Counter(rows()) == Counter(each.title for each in LISTED)


def test_the_comparison_has_enough_to_compare(compared: Compared) -> None:
    assert compared.requests > 2 * BY_CHANCE >= 800
    assert compared.statuses[200, 200] > 1000
    assert compared.statuses[404, 404] > 100
    assert compared.statuses[400, 400] > 50
    assert compared.statuses[0, 0] == 0


def test_every_router_that_somebody_wrote_has_taken_a_request_in_both(compared: Compared) -> None:
    wanted = {*house.MATCHERS, *house.PRIORITIES, *house.PLACED} - REFUSED - OF_ONE_ALONE - NOBODYS
    assert not {name for name in wanted if not compared.chosen[name] and not name.startswith("equal-")}


def test_routers_made_by_chance_take_requests_in_both(compared: Compared) -> None:
    taken = {name for name in house.CHANCE if compared.chosen[name]}
    assert len(taken) >= len(house.CHANCE) // 3


@pytest.mark.parametrize("host,wanted", [
    ("weights", {"weights-3": 60, "weights-1": 20}),
    ("shared", {"shared-a": 53, "shared-b": 27}),
    ("nested", {"nested-a": 20, "nested-b": 60})], ids=lambda each: each if isinstance(each, str) else "")
def test_weights_share_requests_in_the_same_way(both: Both, host: str, wanted: dict[str, int]) -> None:
    request = head("GET", "/", f"{host}.svc.example")
    for port in (both.traefik.ports["web"], both.mesh.port):
        found = shares(port, request, sum(wanted.values()))
        assert found.keys() == wanted.keys()
        assert all(abs(found[name] - count) <= 2 for name, count in wanted.items()), found
