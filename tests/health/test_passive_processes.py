"""Two processes on one mapping: nothing is lost between them, and the cap of ejections holds."""
import mmap
import multiprocessing
import traceback

import pytest
from balances_built import NEVER, NOW, Host, fail, succeed

from mesh.balance.balance import ENDED_BADLY, ENDED_WELL
from mesh.model import Passive
from mesh.shared.slots import SLOT_FAILURES, SLOT_IN_A_ROW, SLOT_REQUESTS, slots_size

MANY, DEADLINE_S = 6, 60
TRIES = 40_000
ROUNDS = 400


@pytest.fixture
def host():
    with mmap.mmap(-1, slots_size(MANY, 4)) as memory:
        made = Host(MANY, 4, memory)
        yield made
        del made.slots


def _guarded(work, said, *args):
    try:
        said.put(work(*args))
    except BaseException:
        said.put(traceback.format_exc())
        raise


def side_by_side(work, *args):
    """What the same work answers in two processes at the same time, as workers 0 and 1."""
    context = multiprocessing.get_context("fork")
    said = context.Queue()
    barrier = context.Barrier(2, timeout=DEADLINE_S)
    both = [context.Process(target=_guarded, args=(work, said, barrier, column, *args)) for column in (0, 1)]
    for each in both:
        each.start()
    try:
        answers = [said.get(timeout=DEADLINE_S) for _ in both]
    finally:
        for each in both:
            each.join(5)
            if each.is_alive():
                each.kill()
                each.join()
    assert [each.exitcode for each in both] == [0, 0], answers
    return answers


def hammer(barrier, column, host):
    """Tries that begin, and end well or badly; a few stay under way."""
    balance = host.worker(column, [1] * MANY, "p2c", passive=NEVER)
    held = []
    barrier.wait()
    for number in range(TRIES):
        index = balance.pick(NOW, 0)
        balance.began(index)
        held.append(index)
        if len(held) > 5:
            balance.ended(held.pop(0), ENDED_BADLY if number % 4 == 0 else ENDED_WELL, 100, NOW)
    return len(held)


def test_every_try_of_two_processes_is_counted_once(host):
    held = side_by_side(hammer, host)
    assert held == [5, 5]
    assert sum(host.slots.in_flight(number) for number in host.numbers) == 10
    assert sum(host.load(index, SLOT_REQUESTS) for index in range(MANY)) == 2 * (TRIES - 5)
    assert sum(host.load(index, SLOT_FAILURES) for index in range(MANY)) == pytest.approx(TRIES / 2, abs=10)
    host.slots.clear_column(1)
    assert sum(host.slots.in_flight(number) for number in host.numbers) == 5


def fail_all(barrier, column, host):
    """Each round everything fails, in both processes at once, long after the round before; how many were ejected."""
    balance = host.worker(column, [1] * MANY, passive=Passive(attempts=3, ejection=1.0, max_ejection=1.0))
    counts = []
    for number in range(ROUNDS):
        now = NOW + number * 100_000
        barrier.wait()
        for _ in range(6):
            for index in range(MANY):
                # each begins at another endpoint, so that they meet
                fail(balance, (index + column * MANY // 2) % MANY, now)
        barrier.wait()
        counts.append(len(host.ejected(now)))
    return counts


def test_two_processes_that_eject_at_the_same_time_never_leave_too_many(host):
    one, other = side_by_side(fail_all, host)
    assert one == other
    assert max(one) <= MANY // 2
    assert min(one) >= 1
    assert sum(one) > ROUNDS        # that both take theirs back is the exception


def fail_together(barrier, column, host):
    """The two halves of a row of failures, in two processes."""
    balance = host.worker(column, [1] * MANY, passive=Passive(attempts=1000))
    barrier.wait()
    fail(balance, 0, NOW, 499)
    barrier.wait()
    if column == 0:
        assert host.load(0, SLOT_IN_A_ROW) & 0xffff == 998
        fail(balance, 0, NOW)
        assert host.ejected(NOW) == set()
    barrier.wait()
    if column == 1:
        fail(balance, 0, NOW)
        assert host.ejected(NOW) == {0}
        succeed(balance, 1, NOW)
    barrier.wait()
    return balance.pick(NOW, 0)


def test_no_failure_of_a_row_is_lost_between_two_processes(host):
    assert 0 not in side_by_side(fail_together, host)
