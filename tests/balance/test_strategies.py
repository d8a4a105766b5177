"""The strategies beside wrr: the less busy of two, the client's own, and the one that answers soonest."""
from collections import Counter

import pytest
from balances_built import NEVER, NOW, Host, fail, picked, shares, succeed, url
from hypothesis import given
from hypothesis import strategies as st

from mesh.balance.balance import ENDED, balance_of
from mesh.balance.hrw import client_hash
from mesh.balance.leasttime import latency_us
from mesh.model import LoadBalancer, Server
from mesh.shared.slots import SLOT_LATENCY, STATE_DOWN

MANY = 4000


def near(counts, expected, part=0.15):
    return all(abs(count - wanted) <= part * wanted for count, wanted in zip(counts, expected, strict=True))


# p2c

def test_two_choices_of_an_idle_service_follow_the_weights():
    assert near(shares(Host().worker(0, [1, 1, 1, 1], "p2c"), MANY), [1000] * 4)
    assert near(shares(Host().worker(0, [3, 1], "p2c"), MANY), [3000, 1000])


def test_two_choices_keep_requests_that_stay_under_way_even():
    host = Host(10)
    balance = host.worker(0, [1] * 10, "p2c")
    for _ in range(1000):
        balance.began(balance.pick(NOW, 0))
    under_way = [host.slots.in_flight(number) for number in host.numbers]
    assert sum(under_way) == 1000
    assert max(under_way) - min(under_way) <= 6         # drawn blindly they would differ by 30 and more


def test_what_stays_under_way_is_shared_by_weight():
    host = Host()
    balance = host.worker(0, [4, 2, 2], "p2c")
    for _ in range(800):
        balance.began(balance.pick(NOW, 0))
    under_way = [host.slots.in_flight(number) for number in host.numbers[:3]]
    assert near(under_way, [400, 200, 200], 0.1)


def test_two_choices_see_what_other_workers_have_under_way():
    host = Host()
    one, other = host.worker(0, [1, 1], "p2c"), host.worker(3, [1, 1], "p2c")
    for _ in range(5):
        other.began(0)
    one.began(1)
    assert {*picked(one, 50)} <= {1}
    for _ in range(5):
        other.ended(0, ENDED, -1, NOW)
    assert 0 in picked(one, 50)


def test_a_column_that_was_cleared_does_not_count_any_more():
    host = Host()
    one, killed = host.worker(0, [1, 1], "p2c"), host.worker(3, [1, 1], "p2c")
    for index in (0, 0, 0, 1):
        killed.began(index)
    host.slots.clear_column(3)
    assert near(shares(one, MANY), [2000, 2000])


def test_two_choices_pass_over_those_that_are_down():
    host = Host(40)
    balance = host.worker(0, [1] * 40, "p2c", panic_threshold=0)
    balance.refresh(NOW)
    for index in range(39):
        host.mark(index, STATE_DOWN)
    balance.began(39)
    assert {*picked(balance, 50)} == {39}


def test_enormous_weights_are_drawn_by_their_shares():
    assert near(shares(Host().worker(0, [2**31, 2**31, 2**31], "p2c"), 3000), [1000] * 3)
    counts = shares(Host().worker(0, [2**31, 2**30, 2**30], "p2c"), MANY)
    assert near(counts, [2000, 1000, 1000])


def test_workers_draw_different_lots():
    host = Host()
    assert picked(host.worker(0, [1, 1], "p2c"), 40) != picked(host.worker(1, [1, 1], "p2c"), 40)


# hrw

CLIENTS = [client_hash(f"10.{n >> 8}.{n & 255}.17".encode()) for n in range(3000)]


def homes(balance, now_ms=NOW):
    return [balance.pick(now_ms, client) for client in CLIENTS]


def test_the_hash_of_a_client_is_fnv_64a_of_its_address():
    assert client_hash(b"") == 0xcbf29ce484222325
    assert client_hash(b"a") == 0xaf63dc4c8601ec8c
    assert client_hash(b"foobar") == 0x85944171f73967e8


def test_a_client_has_the_same_endpoint_in_every_worker_and_on_every_host():
    assert homes(Host().worker(0, [1, 2, 3], "hrw")) == homes(Host(20, 3).worker(2, [1, 2, 3], "hrw"))


def test_clients_are_spread_by_weight():
    assert near(Counter(homes(Host().worker(0, [1, 1, 1], "hrw"))).values(), [1000] * 3)
    counted = Counter(homes(Host().worker(0, [1, 2, 3], "hrw")))
    assert near([counted[index] for index in range(3)], [500, 1000, 1500])


def test_neighbours_in_a_network_are_spread_as_well():
    balance = Host().worker(0, [1, 1, 1, 1], "hrw")
    counted = Counter([balance.pick(NOW, client_hash(f"10.0.0.{n}".encode())) for n in range(256)])
    assert min(counted.values()) > 40


@pytest.mark.parametrize("weights", [[1] * 6, [3, 1, 2, 2, 1, 1]])
@pytest.mark.parametrize("refreshed", [False, True])
def test_only_the_clients_of_a_dead_endpoint_move_and_they_come_back(weights, refreshed):
    host = Host()
    balance = host.worker(0, weights, "hrw")
    before = homes(balance)
    host.mark(2, STATE_DOWN)
    if refreshed:
        balance.refresh(NOW)
    during = homes(balance)
    moved = [now for was, now in zip(before, during) if was == 2]
    assert all(was == now for was, now in zip(before, during) if was != 2)
    assert {*moved} == {0, 1, 3, 4, 5}
    host.unmark(2, STATE_DOWN)
    balance.refresh(NOW)
    assert homes(balance) == before


def test_an_endpoint_that_joins_takes_clients_from_all_and_moves_no_other():
    before, after = (homes(Host().worker(0, [1] * count, "hrw")) for count in (4, 5))
    moved = [(was, now) for was, now in zip(before, after) if was != now]
    assert {now for _, now in moved} == {4}
    assert {was for was, _ in moved} == {0, 1, 2, 3}
    assert len(moved) == pytest.approx(600, rel=0.2)


@given(st.integers(0, 2**64 - 1), st.permutations(range(5)))
def test_the_order_of_endpoints_in_the_file_moves_no_client(client, order):
    def balance(numbers):
        return balance_of(LoadBalancer(tuple([Server(url(n), n + 1) for n in numbers]), strategy="hrw"))
    assert order[balance(order).pick(NOW, client)] == balance(range(5)).pick(NOW, client)


def test_only_hrw_asks_for_the_client():
    assert [Host().worker(0, [1], name).needs_client for name in ("wrr", "p2c", "hrw", "leasttime")] == [
        False, False, True, False]


# leasttime

@pytest.mark.parametrize("later_ms", [30 * 86_400_000, -30 * 86_400_000 + NOW], ids=["drained for weeks", "a reboot"])
def test_what_was_slow_by_a_clock_of_long_ago_is_tried_again(later_ms):
    host = Host()
    then = 31 * 86_400_000
    balance = host.worker(0, [1, 1], "leasttime")
    succeed(balance, 0, then, 900_000)
    now = then + later_ms
    succeed(balance, 1, now, 1_000)
    assert balance.pick(now, 0) == 0


def served(balance, latencies, count, now_ms=NOW, step_ms=10):
    """So many requests, one after the other, each answered as late as its endpoint does; who got how many."""
    counted = Counter()
    for number in range(count):
        at = now_ms + number * step_ms
        index = balance.pick(at, 0)
        balance.began(index)
        succeed(balance, index, at, latencies[index], 0)
        balance.ended(index, 1, latencies[index], at)
        counted[index] += 1
    return [counted[index] for index in range(len(balance))]


def test_who_was_never_measured_is_tried_first():
    balance = Host().worker(0, [1, 1, 1, 1], "leasttime")
    first = []
    for _ in range(4):
        first.append(balance.pick(NOW, 0))
        succeed(balance, first[-1], NOW, 1000)
    assert sorted(first) == [0, 1, 2, 3]


def test_while_the_first_answers_are_awaited_nobody_gets_them_all():
    balance = Host().worker(0, [1, 1, 1], "leasttime")
    for _ in range(9):
        balance.began(balance.pick(NOW, 0))
    succeed(balance, 0, NOW, 1000, 0)
    counted = Counter(picked(balance, 30))
    assert len(counted) >= 2


def test_the_one_that_answers_soonest_gets_most_and_the_slow_one_is_tried_again():
    balance = Host().worker(0, [1, 1], "leasttime")
    counts = served(balance, [1_000, 30_000], 6000)     # a minute
    assert counts[0] > 5900
    assert 4 <= counts[1] <= 30                         # after 10 s a thirtieth is left of its average


def test_one_that_has_become_fast_gets_its_share_again():
    balance = Host().worker(0, [1, 1], "leasttime")
    served(balance, [1_000, 30_000], 3000)
    counts = served(balance, [1_000, 500], 6000, NOW + 30_000)
    assert counts[1] > 3000


def test_requests_under_way_weigh_against_a_fast_one():
    balance = Host().worker(0, [1, 1], "leasttime")
    succeed(balance, 0, NOW, 1000)
    succeed(balance, 1, NOW, 2500)
    taken = []
    for _ in range(4):
        taken.append(balance.pick(NOW, 0))
        balance.began(taken[-1])
    assert taken == [0, 0, 1, 0]


def test_twice_the_share_is_worth_twice_the_time():
    balance = Host().worker(0, [1, 3], "leasttime")
    succeed(balance, 0, NOW, 1000)
    succeed(balance, 1, NOW, 2900)
    assert {*picked(balance, 5)} == {1}


def test_refusing_fast_is_not_being_fast():
    balance = Host().worker(0, [1, 1], "leasttime", passive=NEVER)
    succeed(balance, 0, NOW, 20_000)
    succeed(balance, 1, NOW, 19_000)
    fail(balance, 1)
    assert {*picked(balance, 5)} == {0}


def test_all_workers_feed_the_same_average():
    host = Host()
    one, other = host.worker(0, [1, 1], "leasttime"), host.worker(1, [1, 1], "leasttime")
    succeed(other, 0, NOW, 9000)
    succeed(other, 1, NOW, 1000)
    assert {*picked(one, 5)} == {1}


@given(st.lists(st.tuples(st.integers(0, 2**34), st.integers(0, 100_000)), min_size=1, max_size=30))
def test_the_average_is_between_the_least_and_the_most(samples):
    host = Host()
    balance = host.worker(0, [1], "leasttime")
    now = NOW
    for value, after_ms in samples:
        now += after_ms
        succeed(balance, 0, now, value)
    most = 2**32 - 1
    values = [min(max(value, 1), most) for value, _ in samples]
    assert min(values) - 1 <= latency_us(host.load(0, SLOT_LATENCY)) <= max(values)


def test_the_average_follows_a_change_within_a_few_dozen_requests():
    host = Host()
    balance = host.worker(0, [1], "wrr")
    succeed(balance, 0, NOW, 1000, 50)
    assert latency_us(host.load(0, SLOT_LATENCY)) == 1000
    succeed(balance, 0, NOW, 9000, 100)
    assert latency_us(host.load(0, SLOT_LATENCY)) == pytest.approx(9000, rel=0.05)


def test_without_samples_there_is_no_average():
    host = Host()
    balance = host.worker(0, [1])
    succeed(balance, 0)
    assert latency_us(host.load(0, SLOT_LATENCY)) == 0


def test_of_a_large_service_a_few_are_looked_at_and_the_slow_ones_get_little():
    host = Host(200)
    balance = host.worker(0, [1] * 200, "leasttime")
    for index in range(200):
        succeed(balance, index, NOW, 50_000 if index % 2 else 1_000)
    assert sum(index % 2 for index in picked(balance, 500)) < 5
    for index in range(199):
        host.mark(index, STATE_DOWN)
    assert {*picked(balance, 100)} == {199}
