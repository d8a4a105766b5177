"""Units of systemd as endpoints, by a real dbus-daemon and a peer that speaks systemd's protocol."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from agent_running import until
from systemd_like import Bus, SystemdLike

from mesh.model import Static
from mesh.providers.instances import Instance
from workers.agent.instances import Instances
from workers.agent.systemd import Systemd

STATIC = Static(host_name="host-a", host_address="10.0.3.2", systemd_provider=True)
ORDERS = "[Service]\nExecStart=/bin/orders\nX-Mesh-Service=orders.shop\nX-Mesh-Port={}\n"


class Followed:
    """The provider on a bus, and what it has told."""

    def __init__(self, bus: Bus) -> None:
        self.instances = Instances()
        self.systemd = Systemd(STATIC, self.instances, bus.address)
        self.systemd.start()

    @property
    def urls(self) -> list[str]:
        return [each.url for each in self.instances.all()]


@pytest.fixture
def follow(bus: Bus) -> Iterator[Callable[[], Followed]]:
    made: list[Followed] = []

    def start() -> Followed:
        made.append(Followed(bus))
        return made[-1]

    yield start
    for each in made:
        each.systemd.close()


def test_units_that_run_already_are_there_at_once(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    peer.becomes("orders.service", "active", peer.write("orders.service", ORDERS.format(8080)))
    peer.becomes("ssh.service", "active", peer.write("ssh.service", "[Service]\nExecStart=/bin/sshd\n"))
    followed = follow()
    until(lambda: followed.urls)
    assert followed.instances.all() == (Instance("orders.shop", "http://10.0.3.2:8080", 1, "orders.service", "systemd",
                                                 "host-a", {"unit": "orders.service"}),)


def test_a_unit_is_an_endpoint_while_it_is_active(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    followed = follow()
    until(lambda: peer.subscribed)
    unit = peer.write("orders.service", ORDERS.format(8080))
    peer.becomes("orders.service", "activating", unit)
    until(lambda: peer.asked.count("ListUnitsByPatterns") >= 2, "a look")
    assert followed.urls == []
    began = time.monotonic()
    peer.becomes("orders.service", "active")
    until(lambda: followed.urls == ["http://10.0.3.2:8080"])
    assert time.monotonic() - began < 1
    peer.becomes("orders.service", "deactivating")
    until(lambda: followed.instances.all()[0].draining, "a drain")
    peer.becomes("orders.service", "failed")
    until(lambda: followed.urls == [])


def test_a_template_is_one_endpoint_for_each_instance(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    followed = follow()
    until(lambda: peer.subscribed)
    template = peer.write("orders@.service", ORDERS.format("%i"))
    for port in (8081, 8082):
        peer.becomes(f"orders@{port}.service", "active", template)
    until(lambda: followed.urls == ["http://10.0.3.2:8081", "http://10.0.3.2:8082"])
    peer.goes("orders@8081.service")
    until(lambda: followed.urls == ["http://10.0.3.2:8082"])


def test_a_drop_in_counts_once_systemd_has_loaded_it(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    unit = peer.write("orders.service", ORDERS.format(8080))
    peer.becomes("orders.service", "active", unit)
    followed = follow()
    until(lambda: followed.urls == ["http://10.0.3.2:8080"])
    peer.loaded["orders.service"].append(
        str(peer.write("orders.service.d/port.conf", "[Service]\nX-Mesh-Port=9000\n")))
    peer.reload()
    until(lambda: followed.urls == ["http://10.0.3.2:9000"])


def test_what_is_wrong_with_a_unit_is_an_instance_that_says_so(peer: SystemdLike,
                                                               follow: Callable[[], Followed]) -> None:
    peer.becomes("orders.service", "active", peer.write("orders.service", ORDERS.format("http")))
    followed = follow()
    until(lambda: followed.instances.all())
    assert "is not a port" in followed.instances.all()[0].wrong


def test_a_unit_whose_file_cannot_be_read_is_none_of_ours(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    peer.becomes("gone.service", "active", peer.directory / "gone.service")
    peer.becomes("orders.service", "active", peer.write("orders.service", ORDERS.format(8080)))
    followed = follow()
    until(lambda: followed.urls == ["http://10.0.3.2:8080"])


def test_nothing_is_asked_while_nothing_happens(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    follow()
    until(lambda: "ListUnitsByPatterns" in peer.asked)
    before = len(peer.asked)
    time.sleep(0.5)                             # what must not happen cannot be waited for
    assert len(peer.asked) == before


def test_a_storm_of_signals_makes_few_looks(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    followed = follow()
    until(lambda: peer.subscribed)
    unit, began = peer.write("orders@.service", ORDERS.format("%i")), time.monotonic()
    for port in range(8000, 8100):
        peer.becomes(f"orders@{port}.service", "active", unit)
    until(lambda: len(followed.urls) == 100)
    assert peer.asked.count("ListUnitsByPatterns") <= 3 + (time.monotonic() - began) / 0.1


def test_a_change_during_a_look_is_seen_by_another(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    template = peer.write("orders@.service", ORDERS.format("%i"))
    for port in range(8000, 8200):
        peer.becomes(f"orders@{port}.service", "active", template)
    followed = follow()
    until(lambda: "Get" in peer.asked, "the files of the first unit")
    peer.becomes("orders@9000.service", "active", template)
    until(lambda: "http://10.0.3.2:9000" in followed.urls)


def test_while_the_bus_is_away_what_is_known_serves_on(bus: Bus, peer: SystemdLike,
                                                      follow: Callable[[], Followed]) -> None:
    unit = peer.write("orders.service", ORDERS.format(8080))
    peer.becomes("orders.service", "active", unit)
    followed = follow()
    until(lambda: followed.urls == ["http://10.0.3.2:8080"])
    bus.stop()
    peer.stop()
    peer.becomes("orders.service", "failed")
    peer.becomes("other.service", "active", peer.write("other.service", ORDERS.format(9000)))
    assert followed.urls == ["http://10.0.3.2:8080"]
    bus.start()
    peer.start()
    until(lambda: followed.urls == ["http://10.0.3.2:9000"])


def test_another_systemd_on_the_bus_is_subscribed_to_anew(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    followed = follow()
    until(lambda: peer.subscribed)
    peer.stop()                                 # daemon-reexec: it leaves the bus and comes back as another
    peer.start()
    until(lambda: peer.subscribed, "a subscription")
    peer.becomes("orders.service", "active", peer.write("orders.service", ORDERS.format(8080)))
    until(lambda: followed.urls == ["http://10.0.3.2:8080"])


def test_without_any_bus_nothing_is_told(bus: Bus, follow: Callable[[], Followed], quiet_logs: None,
                                         caplog: pytest.LogCaptureFixture) -> None:
    bus.stop()
    followed = follow()
    until(lambda: "units of systemd cannot be followed" in caplog.text)
    assert followed.instances.version == 0


def test_its_thread_ends_when_it_is_closed(peer: SystemdLike, follow: Callable[[], Followed]) -> None:
    followed = follow()
    until(lambda: peer.subscribed)
    began = time.monotonic()
    followed.systemd.close()
    assert time.monotonic() - began < 1
    assert not followed.systemd._thread.is_alive()
