"""The harness itself: a service starts, answers, takes an edit and ends."""
from __future__ import annotations

from collections.abc import Callable

from running import Endpoint, Mesh, orders, pattern


def test_a_service_answers_takes_an_edit_and_ends(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start()
    assert mesh.ask("/bytes?size=100000").body == pattern(100000)
    with Endpoint("two") as two:
        mesh.edit("orders.yml", orders(two))
        assert mesh.ask("/").json["by"] == "two"
    assert mesh.metric("mesh_entrypoint_requests_total", code="200") == 2
    assert endpoint.seen["requests"] == 1
