"""Who may be picked, and with which share: an operator's word, health, slow start, panic, locality."""
import pytest
from balances_built import NOW, Host, fail, picked, shares, succeed, url
from hypothesis import given
from hypothesis import strategies as st

from mesh.balance.balance import ENDED, balance_of
from mesh.model import LoadBalancer, Server
from mesh.shared.slots import (
    KEPT_MS,
    SLOT_FAILED_MS,
    SLOT_FAILURES,
    SLOT_REQUESTS,
    SLOT_SINCE_MS,
    STATE_DISABLED,
    STATE_DOWN,
    STATE_DRAIN,
    STATE_LOCAL,
    STATE_WAITS,
    Slots,
)

STRATEGIES = ["wrr", "p2c", "hrw", "leasttime"]
OUT = [STATE_DOWN, STATE_DRAIN, STATE_DISABLED, STATE_WAITS]


def many_clients(balance, count, now_ms=NOW):
    return {balance.pick(now_ms, client * 7919) for client in range(count)}


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=8).filter(
    lambda said: any(weight for weight, down in said if not down)), st.booleans())
def test_shares_are_exact_among_those_that_are_not_down(said, refreshed):
    host = Host()
    balance = host.worker(0, [weight for weight, _ in said], panic_threshold=0)
    balance.refresh(NOW)
    for index, (_, down) in enumerate(said):
        if down:
            host.mark(index, STATE_DOWN)
    if refreshed:
        balance.refresh(NOW)
    weights = [0 if down else weight for weight, down in said]
    assert shares(balance, 3 * sum(weights)) == [3 * weight for weight in weights]


def test_turns_go_on_where_shares_change_all_the_time():
    host = Host()
    balance = host.worker(0, [1, 1, 1, 1])
    taken = []
    for number in range(120):
        (host.unmark if number % 2 else host.mark)(3, STATE_DOWN)
        assert balance.refresh(NOW)
        taken.append(balance.pick(NOW, 0))
    assert min(taken.count(index) for index in range(3)) >= 20


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("bit", OUT)
def test_an_endpoint_is_out_at_the_next_pick_and_back_after_a_refresh(strategy, bit):
    host = Host()
    balance = host.worker(0, [1, 1, 1], strategy)
    assert many_clients(balance, 100) == {0, 1, 2}
    host.mark(1, bit)
    assert many_clients(balance, 100) == {0, 2}
    balance.refresh(NOW)
    assert many_clients(balance, 100) == {0, 2}
    host.unmark(1, bit)
    balance.refresh(NOW)
    assert many_clients(balance, 100) == {0, 1, 2}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_weight_of_nothing_gets_nothing(strategy):
    balance = Host().worker(0, [0, 1, -3, 2], strategy)
    seen = set()
    for client in range(100):
        index = balance.pick(NOW, client * 7919)
        balance.began(index)
        seen.add(index)
    assert seen == {1, 3}
    assert balance.another(NOW, 0, [1, 3]) == -1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_nobody_may_serve_nobody_is_picked(strategy):
    assert Host().worker(0, [], strategy).pick(NOW, 7) == -1
    assert Host().worker(0, [0, 0], strategy).pick(NOW, 7) == -1
    host = Host()
    balance = host.worker(0, [1, 1], strategy)
    host.mark(0, STATE_DISABLED)
    host.mark(1, STATE_DRAIN)
    assert balance.pick(NOW, 7) == -1
    assert not balance.can_serve(NOW)
    host.unmark(1, STATE_DRAIN)
    assert balance.can_serve(NOW)
    assert balance.pick(NOW, 7) == 1


def test_an_operators_weight_takes_the_place_of_the_configured_one_until_it_is_taken_back():
    host = Host()
    balance = host.worker(0, [1, 1])
    assert shares(balance, 8) == [4, 4]
    host.weigh(0, 3)
    assert balance.refresh(NOW)
    assert shares(balance, 8) == [6, 2]
    host.weigh(0, 0)
    balance.refresh(NOW)
    assert shares(balance, 8) == [0, 8]
    host.weigh(0, None)
    balance.refresh(NOW)
    assert shares(balance, 8) == [4, 4]


def test_a_refresh_where_nothing_has_changed_says_so():
    host = Host()
    balance = host.worker(0, [1, 1])
    assert balance.refresh(NOW)
    assert not balance.refresh(NOW + 100)
    host.mark(7, STATE_DOWN)            # somebody else's
    assert not balance.refresh(NOW + 200)


def test_a_request_whose_plan_may_have_lost_its_slots_to_strangers_is_not_tried_elsewhere():
    balance = Host().worker(0, [1, 1])
    assert balance.another(NOW, 0, [0], NOW) == 1
    assert balance.another(NOW + KEPT_MS - 30_001, 0, [0], NOW) == 1
    assert balance.another(NOW + KEPT_MS - 30_000, 0, [0], NOW) == -1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_another_endpoint_is_one_that_was_not_tried(strategy):
    host = Host()
    balance = host.worker(0, [1, 5, 1, 1], strategy)
    host.mark(2, STATE_DOWN)
    tried = [balance.pick(NOW, 99)]
    for _ in range(2):
        tried.append(balance.another(NOW, 99, tried))
    assert sorted(tried) == [0, 1, 3]
    assert balance.another(NOW, 99, tried) == -1


@given(st.sampled_from(STRATEGIES), st.lists(st.integers(0, 5), min_size=1, max_size=40), st.data())
def test_another_is_found_if_there_is_any(strategy, weights, data):
    host = Host(40)
    balance = host.worker(0, weights, strategy, panic_threshold=0)
    balance.refresh(NOW)
    indexes = st.lists(st.integers(0, len(weights) - 1), max_size=40)
    down, tried = data.draw(indexes), data.draw(indexes)
    for index in down:
        host.mark(index, STATE_DOWN)
    left = {index for index, weight in enumerate(weights) if weight} - {*down, *tried}
    assert balance.another(NOW, 3, tried) in (left or {-1})


# Slow start

def test_an_endpoint_that_returned_gets_from_a_tenth_to_all_of_its_share():
    host = Host()
    balance = host.worker(0, [10, 10], slow_start=10.0)
    host.store(1, SLOT_SINCE_MS, NOW)
    ramp = []
    for after_ms in range(0, 12_000, 100):
        balance.refresh(NOW + after_ms)
        ramp.append(balance.share_of(1) / balance.share_of(0))
    assert ramp[0] == pytest.approx(0.1)
    assert ramp[50] == pytest.approx(0.55, abs=0.03)
    assert ramp[100:] == [1.0] * 20
    assert ramp == sorted(ramp)
    assert len(set(ramp)) >= 15


def test_a_slow_start_is_a_share_of_the_requests():
    host = Host()
    balance = host.worker(0, [1, 1], slow_start=10.0)
    host.store(1, SLOT_SINCE_MS, NOW)
    assert shares(balance, 110, NOW) == [100, 10]
    balance.refresh(NOW + 10_000)
    assert shares(balance, 110, NOW + 10_000) == [55, 55]


def test_who_has_been_there_for_ever_does_not_start_slowly():
    balance = Host().worker(0, [1, 1], slow_start=10.0)
    assert shares(balance, 10, 500) == [5, 5]


def test_when_all_start_at_the_same_time_all_have_the_same():
    host = Host()
    balance = host.worker(0, [1, 1], slow_start=10.0)
    for index in (0, 1):
        host.store(index, SLOT_SINCE_MS, NOW)
    assert shares(balance, 10, NOW + 1) == [5, 5]


# Panic

def test_with_too_few_healthy_ones_health_is_not_asked():
    host = Host()
    balance = host.worker(0, [1] * 6, panic_threshold=20)
    for index in range(4):
        host.mark(index, STATE_DOWN)
    balance.refresh(NOW)
    assert {*picked(balance, 60)} == {4, 5}
    host.mark(4, STATE_DOWN)
    balance.refresh(NOW)
    assert balance.is_panicking
    assert shares(balance, 60) == [10] * 6
    host.unmark(0, STATE_DOWN)
    balance.refresh(NOW)
    assert {*picked(balance, 60)} == {0, 5}


def test_when_the_last_one_falls_the_panic_does_not_wait_for_a_refresh():
    host = Host()
    balance = host.worker(0, [1, 1])
    balance.refresh(NOW)
    host.mark(0, STATE_DOWN)
    host.mark(1, STATE_DOWN)
    assert shares(balance, 10) == [5, 5]


@pytest.mark.parametrize("bit", [STATE_DRAIN, STATE_DISABLED, STATE_WAITS])
def test_in_a_panic_what_an_operator_took_out_and_what_was_never_seen_stays_out(bit):
    host = Host()
    balance = host.worker(0, [1, 1, 1])
    host.mark(0, STATE_DOWN)
    host.mark(1, STATE_DOWN)
    host.mark(2, bit)
    assert {*picked(balance, 20)} == {0, 1}


def test_who_was_drained_is_not_counted_among_the_sick():
    host = Host()
    balance = host.worker(0, [1] * 6)
    for index in range(4):
        host.mark(index, STATE_DRAIN)
    host.mark(4, STATE_DOWN)
    assert {*picked(balance, 20)} == {5}


def test_without_a_threshold_there_is_no_panic():
    host = Host()
    balance = host.worker(0, [1, 1], panic_threshold=0)
    host.mark(0, STATE_DOWN)
    host.mark(1, STATE_DOWN)
    assert balance.pick(NOW, 0) == -1


# Locality

def local_and_remote():
    host = Host()
    balance = host.worker(0, [1, 1, 1, 1], locality="local")
    host.mark(1, STATE_LOCAL)
    host.mark(2, STATE_LOCAL)
    balance.refresh(NOW)
    return host, balance


def test_endpoints_of_this_host_come_first():
    _, balance = local_and_remote()
    assert shares(balance, 20) == [0, 10, 10, 0]


def test_while_one_of_this_host_serves_the_others_are_not_asked():
    host, balance = local_and_remote()
    host.mark(1, STATE_DOWN)
    assert {*picked(balance, 20)} == {2}


def test_without_any_of_this_host_requests_spill_over_at_once_and_come_back():
    host, balance = local_and_remote()
    host.mark(1, STATE_DOWN)
    host.mark(2, STATE_DRAIN)
    assert shares(balance, 20) == [10, 0, 0, 10]
    host.unmark(2, STATE_DRAIN)
    balance.refresh(NOW)
    assert {*picked(balance, 20)} == {2}


def test_another_try_leaves_this_host_when_all_of_it_were_tried():
    _, balance = local_and_remote()
    assert balance.another(NOW, 0, [1]) == 2
    assert balance.another(NOW, 0, [1, 2]) in (0, 3)
    assert balance.another(NOW, 0, [1, 2, 0]) == 3


def test_without_a_word_on_locality_everybody_is_asked():
    host = Host()
    balance = host.worker(0, [1, 1])
    host.mark(1, STATE_LOCAL)
    assert shares(balance, 10) == [5, 5]


# Cells

def test_what_was_counted_is_in_the_slot_and_so_are_the_requests_of_all_workers():
    host = Host()
    one, other = host.worker(0, [1, 1]), host.worker(5, [1, 1])
    one.refresh(NOW, 1_800_000_000_000)
    one.began(1)
    other.began(1)
    assert host.slots.in_flight(host.numbers[1]) == 2
    one.ended(1, ENDED, -1, NOW)
    fail(other, 1)
    fail(one, 1, NOW + 30)
    succeed(one, 1)
    assert host.slots.in_flight(host.numbers[1]) == 1
    assert (host.load(1, SLOT_REQUESTS), host.load(1, SLOT_FAILURES)) == (4, 2)
    assert host.load(1, SLOT_FAILED_MS) == 1_800_000_000_030


def test_a_balance_made_anew_goes_on_where_the_former_was():
    host = Host()
    before = host.worker(0, [1, 1], "leasttime")
    succeed(before, 0, NOW, 50_000)
    succeed(before, 1, NOW, 1_000)
    before.began(1)
    after = host.worker(1, [1, 1, 0], "leasttime")
    assert {*picked(after, 10)} == {1}
    before.ended(1, ENDED, -1, NOW)
    assert host.slots.in_flight(host.numbers[1]) == 0


def test_endpoints_without_a_slot_have_cells_of_their_own():
    host = Host(1)
    balance = host.worker(0, [1, 1])            # the second one has none: its number is beyond those that were given
    fail(balance, 1, NOW, 5)
    assert {*picked(balance, 10)} == {0}
    alone = balance_of(LoadBalancer((Server(url(0)), Server(url(1)))))
    fail(alone, 0, NOW, 5)
    assert {*picked(alone, 10)} == {1}
    assert host.load(0, SLOT_FAILURES) == 0


def test_slots_mapped_for_reading_are_left_alone():
    host = Host()
    reader = Slots(memoryview(bytes(20_000)), 1, 1)
    balance = balance_of(LoadBalancer((Server(url(0)),)), reader, (0,))
    succeed(balance, 0)
    assert balance.slots is None
    assert host.load(0, SLOT_REQUESTS) == 0


def test_a_balance_tells_what_it_is():
    host = Host()
    balance = host.worker(0, [1, 1, 0], "p2c")
    balance.refresh(NOW)
    assert repr(balance) == "<Balance p2c, 2 of 3 endpoints serve>"
    host.mark(0, STATE_DOWN)
    host.mark(1, STATE_DOWN)
    balance.refresh(NOW)
    assert repr(balance) == "<Balance p2c, 2 of 3 endpoints serve, whether healthy or not>"
    with pytest.raises(IndexError):
        balance.share_of(3)
