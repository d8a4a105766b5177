"""Units as endpoints, and a wrapped ExecStart, under a real systemd that was booted for it (once, some ten seconds)."""
from __future__ import annotations

from real_systemd import Happened, happened

__all__ = ["happened"]
EIGHTY_ONE, EIGHTY_TWO, EIGHTY_THREE, USERS = (f"http://10.0.3.2:{port}" for port in (8081, 8082, 8083, 9000))


def test_units_that_start_are_endpoints(happened: Happened) -> None:
    assert happened.urls_after("start") == {EIGHTY_ONE, EIGHTY_TWO, USERS}, happened.said
    assert [USERS, 2, ""] in max((told for _, told in happened.told), key=len)


def test_a_unit_that_is_stopped_or_killed_is_gone(happened: Happened) -> None:
    assert happened.urls_after("stop") == {EIGHTY_TWO, USERS}, happened.said
    assert happened.urls_after("kill") == {USERS}


def test_a_drop_in_counts_after_a_daemon_reload(happened: Happened) -> None:
    assert happened.urls_after("reload") == {"http://10.0.3.2:9100"}, happened.said


def test_units_are_followed_over_a_daemon_reexec(happened: Happened) -> None:
    assert happened.urls_after("again") == {EIGHTY_THREE, "http://10.0.3.2:9100"}, happened.said


def test_a_wrapped_service_of_type_notify_becomes_active_and_has_its_status(happened: Happened) -> None:
    assert sorted(happened.did["wrapped"][1].split()) == ["active", "serving"], happened.said


def test_a_wrapped_service_is_drained_before_it_is_stopped(happened: Happened) -> None:
    assert "'state':'drain'" in happened.did["draining"][1], happened.said
    assert happened.did["stopped"][1].strip() == "success", "deregistered, and systemd is content"


def test_systemd_has_nothing_against_our_words(happened: Happened) -> None:
    assert "X-Mesh" not in happened.console
