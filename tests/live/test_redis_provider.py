"""A real service that reads keys of a real Redis, under load: no accident of Redis costs a request."""
from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kv_redis import SERVER, RedisRunning
from running import Endpoint, Mesh, until

pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server on this machine")
HOST = "keys.example"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisRunning]:
    with RedisRunning(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint("one") as one:
        yield one


@pytest.fixture
def mesh(tmp_path: Path, store: RedisRunning) -> Iterator[Mesh]:
    static = {"providers": {"redis": {"endpoints": [store.server.addresses[0]]}}, "redis": {"embedded": False}}
    with Mesh(tmp_path / "mesh", {}, static) as running:
        yield running


def write(store: RedisRunning, endpoint: Endpoint) -> None:
    store.put(services__keys__loadbalancer__servers__0__url=endpoint.url, routers__keys__rule=f"Host(`{HOST}`)",
              routers__keys__service="keys")


def status(mesh: Mesh) -> int:
    return mesh.ask("/bytes?size=1", HOST).status


class Load:
    """One client that goes on asking; `seen` are the statuses that it got."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh, self.seen, self._over = mesh, set[int](), threading.Event()
        self.count = 0
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._over.wait(0.01):
            self.seen.add(status(self.mesh))
            self.count += 1

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def goes_on(self, requests: int = 50) -> None:
        before = self.count
        until(lambda: self.count >= before + requests, "requests go on")


def is_told_away(mesh: Mesh) -> bool:
    return any("cannot be read" in problem["message"] for problem in mesh.status()["problems"])


def test_a_route_comes_and_goes_with_its_keys(mesh: Mesh, store: RedisRunning, endpoint: Endpoint) -> None:
    assert status(mesh) == 404
    write(store, endpoint)
    until(lambda: status(mesh) == 200, "the route is there")
    store.client.delete(*store.client.keys("traefik/*"))
    until(lambda: status(mesh) == 404, "the last key is gone, and the route with it", 20.0)


def test_no_accident_of_redis_costs_a_request(mesh: Mesh, store: RedisRunning, endpoint: Endpoint) -> None:
    write(store, endpoint)
    until(lambda: status(mesh) == 200, "the route is there")
    mesh.wait_for_generation(mesh.generation)       # at the other worker too
    with Load(mesh) as load:
        store.signal(signal.SIGSTOP)
        until(lambda: is_told_away(mesh), "it hangs", 20.0)
        load.goes_on()
        store.signal(signal.SIGCONT)
        until(lambda: not is_told_away(mesh), "it is back", 20.0)
        store.kill()
        until(lambda: is_told_away(mesh), "it is away", 20.0)
        load.goes_on()
        store.start()
        until(lambda: any("no key stands there" in each["message"] for each in mesh.status()["problems"]),
              "it is back, and empty", 20.0)
        load.goes_on()
        write(store, endpoint)
        until(lambda: not mesh.status()["problems"], "it is filled again", 20.0)
        load.goes_on()
    assert load.seen == {200}
