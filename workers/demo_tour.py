"""The tour that the demo takes by itself: an edit, a mistake, a drain, a lost instance, while requests go on.

Owns the steps, and what counts as good behaviour in each.  Requests are made all the while on one connection that is
kept; at the end none of them may have failed and the connection must still be the first one.  Floor 4.
"""
from __future__ import annotations

import os
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from mesh.errors import Place, Problem
from mesh.model import Redis, RedisServer
from mesh.names import KEY_OVERRIDES
from workers.commands.paper import Paper
from workers.demo_mesh import Answer, Demo, DemoFailed, wait_until
from workers.stores import client_of

EFFECT_S = 10.0         # until an edit must be in effect
PACE_S = 0.02           # between two requests of the load

HELLO = """\
http:
  routers:
    hello:
      rule: Host(`hello.shop.mesh`)
      service: orders.shop@mesh
"""


class Load:
    """One client that goes on asking for orders.shop on one connection, in a thread of its own."""

    def __init__(self, address: str) -> None:
        self.sent = self.connections = 0
        self.failures: list[str] = []
        self._address = address
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(15)

    def _run(self) -> None:
        connection = HTTPConnection(self._address, timeout=10)
        while not self._over.wait(PACE_S):
            self.connections += connection.sock is None
            self.sent += 1
            try:
                connection.request("GET", "/", headers={"Host": "orders.shop.mesh"})
                with connection.getresponse() as answer:
                    answer.read()
                    if answer.status != 200:
                        self.failures.append(str(answer.status))
            except (OSError, HTTPException) as error:
                self.failures.append(str(error) or type(error).__name__)
                connection.close()
        connection.close()


class Tour:
    """The steps, spread over so many seconds."""

    def __init__(self, demo: Demo, paper: Paper, seconds: float) -> None:
        self._demo, self._paper, self._seconds = demo, paper, seconds
        self._orders = demo.conf_d / "orders.yml"
        self._before = 0            # the generation that served before the last save

    def take(self) -> int:
        """Takes it; 0.  Raises DemoFailed at the first thing that does not behave."""
        steps = [("A new file is a new route", self._add_a_route), ("A weight is changed", self._change_a_weight),
                 ("A slip of the pen", self._make_a_mistake), ("An instance is killed", self._lose_an_instance)]
        if self._demo.redis:
            steps.insert(3, ("An instance is drained in Redis", self._drain_an_instance))
        began = time.monotonic()
        with Load(self._demo.web) as load:
            for number, (title, step) in enumerate(steps):
                # the last half step is for reading
                self._sleep_until(began + self._seconds * number / (len(steps) + 0.5))
                self._paper.line()
                self._paper.title(title)
                step()
            self._sleep_until(began + self._seconds)
        self._sum_up(load)
        return 0

    def _sum_up(self, load: Load) -> None:
        failed = len(load.failures)
        if failed:
            raise DemoFailed(f"{failed} of {load.sent} requests failed: {', '.join(sorted(set(load.failures)))}")
        if load.connections > 1:
            raise DemoFailed(f"{load.sent} requests needed {load.connections} connections, one was enough")
        self._paper.line()
        self._paper.line(f"{self._paper.painted('All of it behaved:', fg='green', bold=True)} {load.sent} requests"
                         " went through meanwhile on one connection, and none failed.")

    # Steps

    def _add_a_route(self) -> None:
        name = "hello.shop.mesh"
        before = self._demo.call(name)
        tell(self._paper, f"GET http://{name}/", before)
        if before.status != 404:
            raise DemoFailed(f"http://{name}/ has no route and was answered {before.status}, not 404")
        self._save(self._demo.conf_d / "hello.yml", HELLO, "Host(`hello.shop.mesh`) goes to orders.shop")
        saved = time.monotonic()
        after = wait_until(lambda: self._served(name), EFFECT_S, f"http://{name}/ is not served")
        self._note(f"in effect after {time.monotonic() - saved:.2f} s")
        tell(self._paper, f"GET http://{name}/", after)
        self._settle()

    def _change_a_weight(self) -> None:
        text = self._orders.read_text()
        heavy = text.replace("weight: 1", "weight: 3")
        if heavy == text:
            raise DemoFailed(f"{self._orders} has no weight to change")
        self._save(self._orders, heavy, "orders-2 has weight 3")
        self._settle()
        shares = self._shares(40)
        self._note(f"of 40 requests {' and '.join(f'{shares[name]} went to {name}' for name in sorted(shares))}")
        if shares["orders-2"] <= shares["orders-1"]:
            raise DemoFailed("the heavier instance did not get more")

    def _make_a_mistake(self) -> None:
        good = self._orders.read_text()
        self._save(self._orders, good.replace("endpoints:", "endpoint:"), "endpoints: has become endpoint:")
        problem = wait_until(self._problems, EFFECT_S, "the mistake is not told")[0]
        place = Place(str(self._short(Path(problem["file"]))), problem["line"], problem["column"])
        self._note(str(Problem(place, "", problem["message"], problem["severity"], hint=problem["hint"])))
        self._point_at(place)
        answer = self._demo.call("orders.shop.mesh")
        tell(self._paper, "GET http://orders.shop.mesh/", answer)
        if answer.status != 200:
            raise DemoFailed("the last good version of the file does not serve")
        self._note("the last good version serves on")
        self._save(self._orders, good, "as it was")
        wait_until(lambda: not self._problems(), EFFECT_S, "the problem is still told after the repair")

    def _drain_an_instance(self) -> None:
        one, other = self._demo.instances[:2]
        url = f"http://127.0.0.1:{one.port}"
        key = Redis().prefix + KEY_OVERRIDES.format(service=one.service)
        redis: Any = client_of(RedisServer((self._demo.redis,)))
        self._note(f"hostmesh redis-cli HSET {key} {url} drain")
        redis.hset(key, url, "drain")
        written = time.monotonic()
        wait_until(lambda: set(self._shares(10)) == {other.name}, EFFECT_S, f"{one.name} is not drained")
        self._note(f"in effect after {time.monotonic() - written:.2f} s: {other.name} alone answers")
        self._note(f"hostmesh redis-cli HDEL {key} {url}")
        redis.hdel(key, url)
        wait_until(lambda: one.name in self._shares(10), EFFECT_S, f"{one.name} does not come back")
        self._note("and both answer again")
        redis.close()

    def _lose_an_instance(self) -> None:
        victim = self._demo.instances[1]
        self._note(f"kill -9 {victim.pid} ({victim.name})")
        self._demo.lose(victim)
        shares = self._shares(40)
        self._note(f"of 40 requests {' and '.join(f'{shares[name]} went to {name}' for name in sorted(shares))}")
        if set(shares) != {self._demo.instances[0].name}:
            raise DemoFailed("the other instance did not answer all requests")

    # What they are made of

    def _point_at(self, place: Place) -> None:
        """The line of the mistake, and a mark below it."""
        line = self._orders.read_text().splitlines()[place.line - 1]
        self._note(f"{self._paper.painted(f'{place.line:5} |', fg='blue')} {line}")
        mark = self._paper.painted("^", fg="green", bold=True)
        self._note(f"{self._paper.painted('      |', fg='blue')} {' ' * (place.column - 1)}{mark}")

    def _save(self, file: Path, text: str, what: str) -> None:
        self._before = self._demo.status().get("generation", 0)
        file.write_text(text)
        self._note(f"saved {self._short(file)}: {what}")

    def _short(self, file: Path) -> str:
        return os.path.relpath(file, self._demo.directory)

    def _note(self, text: str) -> None:
        self._paper.line(f"  {text}")

    def _served(self, name: str) -> Answer | None:
        answer = self._demo.call(name)
        return answer if answer.status == 200 else None

    def _shares(self, count: int) -> Counter[str]:
        """Who answered so many requests.  Raises DemoFailed when one was not answered well."""
        shares: Counter[str] = Counter()
        for _ in range(count):
            answer = self._demo.call("orders.shop.mesh")
            if answer.status != 200:
                raise DemoFailed(f"http://orders.shop.mesh/ was answered {answer.status or answer.text}")
            shares[answer.by] += 1
        return shares

    def _problems(self) -> list[dict[str, Any]]:
        """What is told of the file of orders.shop."""
        return [problem for problem in self._demo.status().get("problems", []) if problem["file"] == str(self._orders)]

    def _settle(self) -> None:
        """Waits until what was saved last is published and every worker serves it."""
        def is_settled() -> bool:
            now = self._demo.status()
            return now.get("generation", 0) > self._before and all(
                worker["generation"] == now["generation"] for worker in now["workers"])

        wait_until(is_settled, EFFECT_S, "not every worker serves the newest generation")

    @staticmethod
    def _sleep_until(when: float) -> None:
        time.sleep(max(0.0, when - time.monotonic()))


def tell(paper: Paper, what: str, answer: Answer) -> None:
    """One request and its answer on one line."""
    colour = "green" if 200 <= answer.status < 400 else "yellow" if 400 <= answer.status < 500 else "red"
    status = paper.painted(str(answer.status) if answer.status else "failed", fg=colour, bold=True)
    said = answer.text.partition("\n")[0].removeprefix(f"{answer.status} ")
    paper.line(f"  {what:<42}{status}  {answer.by or said[:80]}")


def problem_line(demo: Demo, problem: dict[str, Any]) -> str:
    """A problem of /api/status on one line, its file by the short name."""
    file = os.path.relpath(problem["file"], demo.directory)
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return f"{file}:{problem['line']}:{problem['column']}: {problem['message']}{hint}"
