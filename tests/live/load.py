"""A closed loop of clients on kept connections: what goes on while a test does something to the service.

    with Load(mesh.port) as load:
        load.goes_on()              # some more requests have been answered since
        ...
    assert load.failed == []        # a line for each request that got no 200

Each request has an X-Id of its own, so that the endpoint can tell what it received twice.  Bounded in number, not in
speed: each of the few clients has one request under way at any time.
"""
from __future__ import annotations

import itertools
import threading
from http.client import HTTPConnection, HTTPException

from running import ORDERS, until

MOST = 200_000


class Load:
    """`answered` are the ids of those that got a 200, `failed` has a line for each of the others."""

    def __init__(self, port: int, clients: int = 4, target: str = "/", stops_when_refused: bool = False) -> None:
        self.port, self.target, self.clients = port, target, clients
        self.answered: list[str] = []
        self.failed: list[str] = []
        self._stops_when_refused = stops_when_refused
        self._ids = itertools.count()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.goes_on(2 * self.clients)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Each client finishes its request."""
        self._over.set()
        for thread in self._threads:
            thread.join(40)
            assert not thread.is_alive()

    def goes_on(self, count: int = 40) -> None:
        """Waits until so many more requests have been answered."""
        before = len(self.answered)
        until(lambda: len(self.answered) >= before + count, f"{count} more requests are answered: {self.failed[:3]}")

    def is_over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def _go_on(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._over.is_set() and (number := next(self._ids)) < MOST:
            try:
                connection.request("GET", self.target, headers={"Host": ORDERS, "X-Id": f"load-{number}"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.answered.append(f"load-{number}")
                else:
                    self.failed.append(f"load-{number}: {answer.status}")
            except ConnectionRefusedError:
                if self._stops_when_refused:
                    break
                self.failed.append(f"load-{number}: refused")
                connection.close()
            except (OSError, HTTPException) as error:
                self.failed.append(f"load-{number}: {error!r}")
                connection.close()
        connection.close()
