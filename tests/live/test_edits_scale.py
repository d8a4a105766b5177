"""Two thousand routers: one edit changes what it says and nothing else; what is too much is refused by its name."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest
from running import Endpoint, Mesh, ask, orders, until
from traffic import Traffic, serves

from mesh.providers.tree import MAX_BYTES

FILES, EACH = 20, 100
LONG_S = 60.0


def text(file: int, urls: list[str], changed: str = "") -> str:
    """A file of a hundred routers over one service with two endpoints; `changed` replaces the rule of the first."""
    lines = ["http:", "  routers:"]
    for number in range(EACH):
        rule = changed if changed and not number else f"Host(`r{number}.f{file}.example`)"
        lines += [f"    r{number}-f{file}:", f"      rule: {rule}", f"      service: s-f{file}"]
    lines += ["  services:", f"    s-f{file}:", "      loadBalancer:", "        servers:"]
    lines += [f"          - url: {url}" for url in urls]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def endpoints() -> Iterator[list[Endpoint]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Endpoint(name)) for name in ("one", "two", "three")]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, endpoints: list[Endpoint]) -> Iterator[Mesh]:
    """Two workers; every service has the endpoints one and two."""
    urls = [endpoint.url for endpoint in endpoints[:2]]
    files = {f"file-{number}.yml": text(number, urls) for number in range(FILES)}
    with Mesh(tmp_path_factory.mktemp("many"), files) as mesh:
        until(lambda: mesh.status()["objects"]["routers"]["total"] == FILES * EACH, "all routers are there", LONG_S)
        until(lambda: mesh.ask("/", f"r99.f{FILES - 1}.example").status == 200, "all routers serve", LONG_S)
        yield mesh


def by(connection: HTTPConnection, host: str) -> str:
    connection.request("GET", "/bytes?size=1", headers={"Host": host})
    with connection.getresponse() as answer:
        answer.read()
        assert answer.status == 200
        return str(answer.headers["X-By"])


def test_one_edit_of_two_thousand_routers_leaves_all_others_alone(many: Mesh, endpoints: list[Endpoint]) -> None:
    urls = [endpoint.url for endpoint in endpoints[:2]]
    quiet, counted = "r7.f3.example", "r5.f5.example"
    connection = HTTPConnection("127.0.0.1", many.port, timeout=30)     # one connection is one worker: turns alternate
    for endpoint in endpoints:
        endpoint.ask("/-/forget")
    turns = [by(connection, quiet)]
    before = many.metrics()
    opened = sum(endpoint.seen["connections"] for endpoint in endpoints)
    generations = {worker["pid"]: worker["generation"] for worker in many.status()["workers"]}
    with Traffic(many.port, counted) as traffic:
        many.write("file-0.yml", text(0, urls, changed="Host(`new.f0.example`)"))
        serves_new(many)
        turns += [by(connection, quiet) for _ in range(5)]
    assert traffic.wrong == []
    assert many.ask("/", "r0.f0.example").status == 404
    assert many.ask("/", "r1.f0.example").status == 200
    # turns: an even number of requests, alternating without a hitch over the edit
    assert all(one != other for one, other in zip(turns, turns[1:], strict=False))
    # connections: the endpoints saw no more of them than clients asked at once
    assert sum(endpoint.seen["connections"] for endpoint in endpoints) <= opened + 2 * len(traffic.by) + 4
    # rows: nobody's counters moved but those of whom was asked
    after = many.metrics()["mesh_router_requests_total"]
    moved = {dict(labels)["router"] for labels, value in after.items()
             if value != before["mesh_router_requests_total"].get(labels, 0.0)}
    assert moved <= {"r7-f3@file", "r5-f5@file", "r0-f0@file", "r1-f0@file"}
    asked = [value for labels, value in after.items() if dict(labels)["router"] == "r5-f5@file"]
    assert sum(asked) == traffic.asked
    # each worker moved on to the new generation, and none was replaced
    now = {worker["pid"]: worker["generation"] for worker in many.status()["workers"]}
    assert now.keys() == generations.keys()
    assert all(now[pid] > generation for pid, generation in generations.items())
    connection.close()
    many.edit("file-0.yml", text(0, urls))


def serves_new(mesh: Mesh) -> None:
    def is_there() -> bool:
        status = mesh.status()
        return (all(worker["generation"] == status["generation"] for worker in status["workers"])
                and mesh.ask("/", "new.f0.example").status == 200)
    until(is_there, "the edit is in effect", LONG_S)


def test_a_file_beyond_the_limit_is_refused_by_its_name_and_others_serve(many: Mesh, endpoints: list[Endpoint]) -> None:
    large = many.conf / "large.yml"
    with large.open("wb") as out:
        out.truncate(MAX_BYTES + 1)
    until(lambda: many.status()["problems"], "it is told", LONG_S)
    problems = many.status()["problems"]
    assert [each["text"] for each in problems] == [f"{large}: error: larger than {MAX_BYTES >> 20} MiB"]
    assert many.ask("/", "r50.f10.example").status == 200
    many.write("small.yml", orders(endpoints[2], name="small.shop"))
    serves(many, "small.shop.mesh", endpoints[2])
    large.unlink()
    until(lambda: many.status()["good"], "all is good again", LONG_S)


def test_a_large_file_is_read(start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    # 10 MiB of YAML, nearly all of it a comment, which costs a scanner as much as any text.
    mesh = start()
    mesh.write("large.yml", "# " + "x" * 98 + "\n")
    text = ("#" * 99 + "\n") * (10 * 1024 * 1024 // 100) + orders(endpoint, name="large.shop")
    mesh.write("large.yml", text)
    until(lambda: mesh.ask("/", "large.shop.mesh").status == 200, "it is read", LONG_S)
    assert mesh.status()["good"]


def test_more_files_than_are_read_are_told_with_the_directory_and_what_served_serves_on(
        start: Callable[..., Mesh], endpoint: Endpoint) -> None:
    mesh = start({"orders.yml": orders(endpoint), "zebra.yml": orders(endpoint, name="zebra.shop")})
    flood = mesh.conf / "flood"
    flood.mkdir()
    for number in range(10_001):
        (flood / f"{number:05}.yml").touch()
    until(lambda: any(each["file"] == str(mesh.conf) for each in mesh.status()["problems"]), "it is told", LONG_S)
    assert any(each["text"] == f"{mesh.conf}: error: cannot be read: holds more than 10000 files"
               for each in mesh.status()["problems"])
    for host in ("orders.shop.mesh", "zebra.shop.mesh"):
        assert mesh.ask("/", host).status == 200
    for file in flood.iterdir():
        file.unlink()
    flood.rmdir()
    until(lambda: mesh.status()["good"], "all is good again", LONG_S)
    assert sorted(each["file"] for each in ask(mesh.admin, "/api/files").json) == sorted(
        map(str, (mesh.config, mesh.conf / "orders.yml", mesh.conf / "zebra.yml")))
