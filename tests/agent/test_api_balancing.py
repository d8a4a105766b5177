"""How /api/rawdata shows what a load balancer says about its endpoints: as a file would say it, and read back alike."""
from __future__ import annotations

import orjson
import pytest

from mesh.model import Cookie, Dynamic, HealthCheck, LoadBalancer, Passive, Server, Service, Static, Weighted
from mesh.providers.catalog import Catalog
from mesh.providers.published import Published
from workers.agent.api import rawdata
from workers.agent.api_balancing import duration

SERVERS = (Server("http://10.0.0.1:80"),)
EVERYTHING = LoadBalancer(
    SERVERS, strategy="hrw", sticky=Cookie("seat", True, True, "lax", 60, "/a", "a.example"),
    health_check=HealthCheck("http", "/up", "https", "h.example", 81, "HEAD", 204, 90.0, 2.5, 0.25, False,
                             (("X-A", "b"),), 1, 4, "down"),
    passive=Passive(3, 20.0, 40, 7, True, 1.5, 3600.0, 30), slow_start=5.0, locality="local", panic_threshold=10)


def shown(how: LoadBalancer | Weighted) -> dict[str, object]:
    dynamic = Dynamic(services={"one@file": Service("one@file", how)})
    return rawdata(dynamic, Published(), Static())["services"]["one@file"]


@pytest.mark.parametrize("how", [
    EVERYTHING, LoadBalancer(SERVERS), LoadBalancer(SERVERS, passive=Passive(attempts=0)),
    LoadBalancer(SERVERS, health_check=HealthCheck("tcp"), sticky=Cookie())])
def test_what_is_shown_is_what_a_file_would_say(how: LoadBalancer) -> None:
    said = shown(how)["loadBalancer"]
    catalog = Catalog(_no_disk)
    catalog.said("/c/a.yml", orjson.dumps({"http": {"services": {"one": {"loadBalancer": said}}}}))
    settled = catalog.settle({"web"})
    assert not settled.problems, [str(each) for each in settled.problems]
    again = settled.dynamic.services["one@file"].how
    assert isinstance(again, LoadBalancer)
    assert shown(again) == shown(how)
    assert (again.sticky, again.passive, again.slow_start) == (how.sticky, how.passive, how.slow_start)


def test_the_cookie_of_a_weighted_service_is_shown() -> None:
    assert shown(Weighted((("a@file", 1),), Cookie("half")))["weighted"] == {
        "services": [{"name": "a@file", "weight": 1}],
        "sticky": {"cookie": {"name": "half", "secure": False, "httpOnly": False, "path": "/"}}}


@pytest.mark.parametrize("seconds, written", [
    (0.0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (90.0, "1m30s"), (3600.0, "1h0m0s"), (0.0000015, "0.0015ms")])
def test_a_duration_is_written_as_go_writes_it(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def _no_disk(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)
