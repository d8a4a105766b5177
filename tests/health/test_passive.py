"""Passive health: which failures eject an endpoint, for how long, and how many of a service at most."""
import pytest
from balances_built import NEVER, NOW, Host, fail, picked, succeed
from hypothesis import given
from hypothesis import strategies as st

from mesh.balance.balance import ENDED, ENDED_BADLY
from mesh.health.passive import failures_in_a_row
from mesh.model import Passive
from mesh.shared.slots import SLOT_CHANGED_MS, SLOT_EJECTED_MS, SLOT_IN_A_ROW, SLOT_SINCE_MS, STATE_DOWN


def row(host, index):
    return failures_in_a_row(host.load(index, SLOT_IN_A_ROW))


# Failures in a row

def test_the_fifth_failure_in_a_row_ejects_for_ten_seconds():
    host = Host()
    balance = host.worker(0, [1, 1])
    fail(balance, 0, NOW, 4)
    assert host.ejected(NOW) == set()
    assert 0 in picked(balance, 4)
    fail(balance, 0)
    assert host.load(0, SLOT_EJECTED_MS) == NOW + 10_000
    assert {*picked(balance, 10)} == {1}
    balance.refresh(NOW + 9_999)
    assert {*picked(balance, 10, NOW + 9_999)} == {1}
    balance.refresh(NOW + 10_000)
    assert {*picked(balance, 10, NOW + 10_000)} == {0, 1}


def test_a_success_begins_the_count_anew():
    host = Host()
    balance = host.worker(0, [1, 1])
    for _ in range(10):
        fail(balance, 0, NOW, 4)
        assert row(host, 0) == 4
        succeed(balance, 0)
        assert row(host, 0) == 0
    assert host.ejected(NOW) == set()


def test_the_end_of_a_try_that_says_nothing_leaves_the_count_as_it_is():
    host = Host()
    balance = host.worker(0, [1, 1])
    fail(balance, 0, NOW, 4)
    balance.began(0)
    balance.ended(0, ENDED, -1, NOW)
    assert row(host, 0) == 4
    fail(balance, 0)
    assert host.ejected(NOW) == {0}


def test_failures_of_all_workers_make_one_row():
    host = Host()
    workers = [host.worker(column, [1, 1]) for column in range(5)]
    for balance in workers:
        fail(balance, 0)
    assert host.ejected(NOW) == {0}
    assert all({*picked(balance, 10)} == {1} for balance in workers)


def test_failures_further_apart_than_the_window_are_no_row():
    host = Host()
    balance = host.worker(0, [1, 1])
    for number in range(20):
        fail(balance, 0, NOW + number * 2_500)
    assert host.ejected(NOW + 60_000) == set()
    assert host.load(0, SLOT_EJECTED_MS) == 0
    for number in range(5):
        fail(balance, 0, NOW + 90_000 + number * 2_000)
    assert host.ejected(NOW + 98_000) == {0}


def test_a_worker_whose_clock_is_a_tick_behind_counts_in_the_same_row_and_window():
    host = Host()
    one, other = (host.worker(column, [1, 1], passive=Passive(ratio=60, min_requests=6)) for column in (0, 1))
    for _ in range(2):
        fail(one, 0, NOW + 200)
        fail(other, 0, NOW)
    assert row(host, 0) == 4
    succeed(other, 0, NOW)
    fail(one, 0, NOW + 200)
    assert host.ejected(NOW) == {0}


def test_rows_and_ratios_that_do_not_count_eject_nobody():
    host = Host()
    fail(host.worker(0, [1, 1], passive=NEVER), 0, NOW, 70_000)
    assert host.ejected(NOW) == set()
    assert row(host, 0) == 65_535


# Ratio of failures

def mixture(balance, index, good, bad, now_ms=NOW):
    """Failures spread evenly, never many in a row."""
    for number in range(good + bad):
        is_bad = (number + 1) * bad // (good + bad) > number * bad // (good + bad)
        (fail if is_bad else succeed)(balance, index, now_ms + number)


RATIO = Passive(attempts=0, ratio=50, min_requests=20)


def test_half_of_the_requests_failing_eject_when_they_are_enough():
    host = Host()
    balance = host.worker(0, [1, 1], passive=RATIO)
    mixture(balance, 0, 9, 10)
    assert host.ejected(NOW + 20) == set()
    fail(balance, 0, NOW + 20)
    assert host.ejected(NOW + 20) == {0}


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_ratio_is_judged_as_of_the_last_failure(good, bad):
    host = Host()
    balance = host.worker(0, [1, 1], passive=RATIO)
    succeed(balance, 0, NOW, times=good)
    fail(balance, 0, NOW, bad)
    reached = any(2 * failed >= good + failed and good + failed >= 20 for failed in range(1, bad + 1))
    assert host.ejected(NOW) == ({0} if reached else set())


def test_a_window_forgets_the_one_before():
    host = Host()
    balance = host.worker(0, [1, 1], passive=RATIO)
    fail(balance, 0, NOW, 19)
    mixture(balance, 0, 12, 10, NOW + 11_000)
    assert host.ejected(NOW + 12_000) == set()


def test_a_window_of_very_many_requests_keeps_its_ratio():
    host = Host()
    balance = host.worker(0, [1, 1], passive=RATIO)
    succeed(balance, 0, NOW, times=300_000)
    fail(balance, 0, NOW, 120_000)
    assert host.ejected(NOW) == set()
    fail(balance, 0, NOW, 180_001)
    assert host.ejected(NOW) == {0}


# How long, and how often

def ejection_ms(host, index, now_ms):
    return host.load(index, SLOT_EJECTED_MS) - now_ms


def test_an_endpoint_that_fails_again_and_again_is_left_alone_twice_as_long_each_time():
    host = Host()
    balance = host.worker(0, [1, 1])
    now, lengths = NOW, []
    for _ in range(8):
        fail(balance, 0, now, 5)
        lengths.append(ejection_ms(host, 0, now))
        now += lengths[-1] + 1_000
    assert lengths == [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]


def test_the_time_is_short_again_after_it_has_served_for_as_long_as_the_longest():
    host = Host()
    balance = host.worker(0, [1, 1])
    fail(balance, 0, NOW, 5)
    fail(balance, 0, NOW + 10_000 + 299_999, 5)
    assert ejection_ms(host, 0, NOW + 309_999) == 20_000
    later = NOW + 329_999 + 300_000
    fail(balance, 0, later, 5)
    assert ejection_ms(host, 0, later) == 10_000


def test_failures_during_an_ejection_neither_prolong_it_nor_count_afterwards():
    host = Host()
    balance = host.worker(0, [1, 1])
    fail(balance, 0, NOW, 5)
    fail(balance, 0, NOW + 5_000, 40)
    assert host.load(0, SLOT_EJECTED_MS) == NOW + 10_000
    fail(balance, 0, NOW + 15_000, 4)
    assert host.ejected(NOW + 15_000) == set()


def test_an_ejected_endpoint_returns_by_a_slow_start_and_the_change_is_told():
    host = Host()
    balance = host.worker(0, [10, 10], slow_start=10.0)
    balance.refresh(NOW, 1_800_000_000_000)
    changes = host.slots.changes
    fail(balance, 0, NOW, 5)
    assert host.slots.changes == changes + 1
    assert host.load(0, SLOT_SINCE_MS) == NOW + 10_000
    assert host.load(0, SLOT_CHANGED_MS) == 1_800_000_000_000
    balance.refresh(NOW + 10_000)
    assert balance.share_of(0) * 10 == balance.share_of(1)
    balance.refresh(NOW + 20_000)
    assert balance.share_of(0) == balance.share_of(1)


def test_other_workers_hear_of_an_ejection_and_notice_its_end_by_themselves():
    host = Host()
    one, other = host.worker(0, [1, 1]), host.worker(1, [1, 1])
    other.refresh(NOW)
    fail(one, 0, NOW, 5)
    assert other.refresh(NOW + 1)
    assert not other.refresh(NOW + 9_999)
    assert other.refresh(NOW + 10_000)


def test_an_ejection_by_the_clock_before_a_reboot_is_over():
    host = Host()
    fail(host.worker(0, [1, 1]), 0, 90 * 86_400_000, 5)
    balance = host.worker(0, [1, 1], slow_start=10.0)
    assert {*picked(balance, 10, 60_000)} == {0, 1}
    assert balance.share_of(0) == balance.share_of(1)
    assert host.load(0, SLOT_EJECTED_MS) == 0


def test_a_row_by_the_clock_before_a_reboot_does_not_go_on():
    host = Host()
    fail(host.worker(0, [1, 1]), 0, 90 * 86_400_000, 4)
    balance = host.worker(0, [1, 1])
    for number in range(4):
        fail(balance, 0, NOW + number)
    assert host.ejected(NOW + 3) == set()
    fail(balance, 0, NOW + 4)
    assert host.ejected(NOW + 4) == {0}


def test_a_window_by_the_clock_before_a_reboot_does_not_go_on():
    host = Host()
    mixture(host.worker(0, [1, 1], passive=RATIO), 0, 0, 19, 50 * 86_400_000)
    balance = host.worker(0, [1, 1], passive=RATIO)
    fail(balance, 0, NOW)
    assert host.ejected(NOW) == set()


# How many

@pytest.mark.parametrize("endpoints, percent, most", [
    (1, 50, 0), (1, 100, 0), (2, 50, 1), (2, 10, 1), (3, 50, 1), (4, 50, 2), (10, 50, 5), (10, 29, 2), (10, 100, 10),
    (10, 1, 1), (10, 0, 0)])
def test_no_more_than_the_allowed_share_is_ejected(endpoints, percent, most):
    host = Host(10)
    balance = host.worker(0, [1] * endpoints, passive=Passive(max_ejected=percent))
    for _ in range(3):
        for index in range(endpoints):
            fail(balance, index, NOW, 5)
    assert len(host.ejected(NOW)) == most


@given(st.integers(2, 10), st.integers(1, 100), st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 3_000), st.booleans()), max_size=300))
def test_whatever_workers_see_the_cap_holds_after_every_failure(endpoints, percent, seen):
    host = Host(10)
    passive = Passive(attempts=2, ejection=2.0, max_ejection=8.0, max_ejected=percent)
    workers = [host.worker(column, [1] * endpoints, passive=passive) for column in range(4)]
    most = max(endpoints * percent // 100, 1)
    now = NOW
    for column, index, after_ms, is_bad in seen:
        now += after_ms
        balance = workers[column]
        if index < endpoints:
            (fail if is_bad else succeed)(balance, index, now)
        assert len(host.ejected(now)) <= most
        assert balance.pick(now, 0) >= 0


def test_one_that_could_not_be_ejected_is_when_another_has_returned():
    host = Host()
    balance = host.worker(0, [1, 1])
    fail(balance, 0, NOW, 5)
    fail(balance, 1, NOW + 1, 50)
    assert host.ejected(NOW + 1) == {0}
    fail(balance, 1, NOW + 10_000, 5)
    assert host.ejected(NOW + 10_000) == {1}
    assert ejection_ms(host, 1, NOW + 10_000) == 10_000


def test_the_ejected_and_the_dead_together_lead_to_a_panic_not_to_a_refusal():
    host = Host()
    balance = host.worker(0, [1, 1])
    host.mark(1, STATE_DOWN)
    fail(balance, 0, NOW, 5)
    assert host.ejected(NOW) == {0}
    assert {*picked(balance, 10)} == {0, 1}
    assert balance.is_panicking


def test_without_a_panic_an_ejected_endpoint_alone_is_not_picked():
    host = Host()
    balance = host.worker(0, [1, 1], panic_threshold=0)
    host.mark(1, STATE_DOWN)
    fail(balance, 0, NOW, 5)
    assert balance.pick(NOW, 0) == -1
    assert balance.pick(NOW + 10_000, 0) == 0


def test_an_edited_service_remembers_who_is_ejected_and_how_often():
    host = Host()
    fail(host.worker(0, [1, 1]), 0, NOW, 5)
    edited = host.worker(0, [1, 1, 7], slow_start=0.0)
    assert {*picked(edited, 20)} == {1, 2}
    later = NOW + 11_000
    for _ in range(5):
        edited.began(0)
        edited.ended(0, ENDED_BADLY, -1, later)
    assert ejection_ms(host, 0, later) == 20_000
