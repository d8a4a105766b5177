"""What a load balancer says about choosing and judging its endpoints, in both forms."""
from __future__ import annotations

import pytest

from mesh.model import Cookie, HealthCheck, LoadBalancer, Passive, Weighted
from mesh.providers.catalog import Catalog, Settled

LONG = 'http: {{services: {{one: {{loadBalancer: {{servers: [{{url: "http://10.0.0.1:80"}}], {said}}}}}}}}}'
SHORT = 'mesh: {{services: {{one.a: {{endpoints: ["http://10.0.0.1:80"], {said}}}}}}}'


def settled(text: str) -> Settled:
    catalog = Catalog(_no_disk)
    catalog.said("/c/a.yml", text.encode())
    return catalog.settle({"web"})


def balancer(said: str, form: str = SHORT) -> LoadBalancer:
    found = settled(form.format(said=said))
    assert not found.problems, [str(each) for each in found.problems]
    how = next(iter(found.dynamic.services.values())).how
    assert isinstance(how, LoadBalancer)
    return how


def refused(said: str) -> str:
    found = settled(SHORT.format(said=said))
    assert not found.is_good
    return "\n".join(str(problem) for problem in found.problems)


@pytest.mark.parametrize("form", [SHORT, LONG])
def test_both_forms_say_how_endpoints_are_chosen_and_judged(form: str) -> None:
    how = balancer("strategy: p2c, sticky: {cookie: {name: seat, sameSite: Lax}}, healthCheck: {interval: 2s}, "
                   "passiveHealthCheck: {maxFailedAttempts: 2}, slowStart: 10s, locality: local, panicThreshold: 30%",
                   form)
    assert (how.strategy, how.slow_start, how.locality, how.panic_threshold) == ("p2c", 10.0, "local", 30)
    assert how.sticky == Cookie("seat", same_site="lax")
    assert how.health_check == HealthCheck(interval=2.0)
    assert how.passive == Passive(attempts=2, statuses=True)


def test_without_a_word_only_failures_of_the_connection_count() -> None:
    how = balancer("strategy: wrr")
    assert how.passive == Passive()
    assert not how.passive.statuses
    assert (how.health_check, how.sticky) == (None, None)


def test_who_writes_passive_health_counts_statuses_as_traefik_does_but_does_not_eject_after_one_failure() -> None:
    assert balancer("passiveHealthCheck: {}").passive == Passive(attempts=5, statuses=True)
    assert not balancer("passiveHealthCheck: {statuses: false}").passive.statuses


def test_passive_health_is_turned_off_by_false() -> None:
    passive = balancer("passiveHealthCheck: false").passive
    assert (passive.attempts, passive.ratio) == (0, 0)
    assert balancer("passiveHealthCheck: true").passive == balancer("passiveHealthCheck: {}").passive


@pytest.mark.parametrize("said, percent", [("0.3", 30), ("30", 30), ('"30%"', 30), ('"0.25"', 25), ("1%", 1), ("0", 0),
                                           ("100", 100), ("0.07", 7)])
def test_a_ratio_is_a_share_or_a_percentage(said: str, percent: int) -> None:
    assert balancer(f"passiveHealthCheck: {{failureRatio: {said}}}").passive.ratio == percent


@pytest.mark.parametrize("said, told", [
    ("passiveHealthCheck: {failureRatio: 1}", "could be one percent, or all (write 1% or 100%)"),
    ("passiveHealthCheck: {failureRatio: 101}", "is more than 100%"),
    ("passiveHealthCheck: {failureRatio: 0.305}", "in whole percent"),
    ("passiveHealthCheck: {minRequests: 0}", "is out of bounds; wanted 1 to"),
    ("panicThreshold: 0.2", "is not a share such as 50%"),
    ("locality: zone", '"zone" is not one of local'),
    ("strategy: p2", 'did you mean "p2c"?'),
    ("sticky: {}", "sticky: cookie is missing"),
    ("sticky: {cookie: {name: a b}}", '"a b" is not the name of a cookie'),
    ('sticky: {cookie: {path: "/; Domain=x"}}', "is not a path"),
    ("healthCheck: {path: health}", 'did you mean "/health"?'),
    ('healthCheck: {path: "/a b"}', "is not a path such as /health"),
    ("healthCheck: {interval: 0}", "a duration such as 5s, 100ms or 1m30s, at least 0.1s"),
    ("healthCheck: {healthyThreshold: 0}", "is out of bounds; wanted 1 to 1000"),
    ("healthCheck: {starts: unknown}", "is not one of up, down"),
    ("healthCheck: {headers: {Host: a}}", "Host cannot be said here (hostname names the host of a probe)"),
    ('healthCheck: {headers: {"a b": c}}', "is not the name of a header"),
    ('healthCheck: {headers: {X-A: "a\\r\\nX-B: c"}}', "is not text in one line"),
    ('healthCheck: {hostname: "a\\r\\nb"}', "is not a host name"),
])
def test_a_slip_is_told_with_what_was_meant(said: str, told: str) -> None:
    assert told in refused(said)


def test_a_check_by_grpc_is_left_out_whole_and_the_service_serves() -> None:
    found = settled(SHORT.format(said="healthCheck: {mode: grpc, interval: 1s}"))
    how = found.dynamic.services["one.a@mesh"].how
    assert isinstance(how, LoadBalancer)
    assert how.health_check is None
    assert [problem.severity for problem in found.problems] == ["warning"]
    assert "grpc is not supported yet, so these endpoints are not probed" in str(found.problems[0])


def test_a_weighted_service_may_be_sticky() -> None:
    found = settled("http: {services: {all: {weighted: {services: [{name: one}], sticky: {cookie: {maxAge: 60}}}}, "
                    'one: {loadBalancer: {servers: [{url: "http://10.0.0.1:80"}]}}}}')
    how = found.dynamic.services["all@file"].how
    assert isinstance(how, Weighted)
    assert how.sticky == Cookie(max_age=60)


def test_a_password_in_the_url_of_an_endpoint_is_not_repeated() -> None:
    for said in ('"http://me:secret@10.0.0.1:80"', '"ftp://me:secret@h"', '"http://me:secret@a,http://me:secret@b"'):
        told = "\n".join(str(each) for each in settled(f"mesh: {{services: {{a.b: {{endpoints: {said}}}}}}}").problems)
        assert told
        assert "secret" not in told


def _no_disk(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)
