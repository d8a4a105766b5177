"""A host's shared slots and the balances of its workers, in few words."""
from collections import Counter

from mesh.balance.balance import ENDED_BADLY, ENDED_WELL, balance_of
from mesh.model import LoadBalancer, Passive, Server
from mesh.shared.slots import SLOT_EJECTED_MS, SLOT_STATE, WEIGHT_SHIFT, Slots, key_of, slots_size

NOW = 1_000_000         # CLOCK_MONOTONIC in ms: a host that has been up for a quarter of an hour


def url(number):
    return f"http://10.0.{number // 250}.{number % 250}:8080"


class Host:
    """Shared memory for `many` endpoints of one service; `buffer` may be a mapping that other processes have, too."""

    def __init__(self, many=8, columns=8, buffer=None):
        self.many, self.columns = many, columns
        self.slots = Slots(buffer if buffer is not None else bytearray(slots_size(many, columns)), many, columns)
        self.numbers = tuple([self.slots.give(key_of("shop", url(number))) for number in range(many)])

    def worker(self, column, weights, strategy="wrr", **options):
        """The balance of a worker; `weights` are those of the first endpoints."""
        self.slots.hold_column(column)
        how = LoadBalancer(tuple([Server(url(number), weight) for number, weight in enumerate(weights)]),
                           strategy=strategy, **options)
        return balance_of(how, self.slots, self.numbers, column, column)

    def mark(self, index, bits):
        self.slots.set_state(self.numbers[index], bits, bits)

    def unmark(self, index, bits):
        self.slots.set_state(self.numbers[index], 0, bits)

    def weigh(self, index, weight):
        """An operator's word; None takes it back."""
        word = 0 if weight is None else weight + 1
        self.slots.set_state(self.numbers[index], word << WEIGHT_SHIFT, -1 << WEIGHT_SHIFT)

    def load(self, index, word):
        return self.slots.load(self.numbers[index], word)

    def store(self, index, word, value):
        self.slots.store(self.numbers[index], word, value)

    def state(self, index):
        return self.load(index, SLOT_STATE)

    def ejected(self, now_ms):
        """Indexes of the endpoints that are ejected."""
        return {index for index in range(self.many) if self.load(index, SLOT_EJECTED_MS) > now_ms}


def picked(balance, count, now_ms=NOW, client=0):
    return [balance.pick(now_ms, client) for _ in range(count)]


def shares(balance, count, now_ms=NOW):
    """How many of so many picks each endpoint got."""
    counted = Counter(picked(balance, count, now_ms))
    assert counted[-1] == 0
    return [counted[index] for index in range(len(balance))]


def fail(balance, index, now_ms=NOW, times=1):
    for _ in range(times):
        balance.began(index)
        balance.ended(index, ENDED_BADLY, -1, now_ms)


def succeed(balance, index, now_ms=NOW, first_byte_us=-1, times=1):
    for _ in range(times):
        balance.began(index)
        balance.ended(index, ENDED_WELL, first_byte_us, now_ms)


NEVER = Passive(attempts=0)
