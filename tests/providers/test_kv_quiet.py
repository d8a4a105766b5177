"""When a store is believed: objects when they rest, losses when they are no accident."""
from __future__ import annotations

import pytest

from mesh.providers.kv_quiet import AWAY_S, DOUBT_S, EMPTY_S, MOST_S, QUIET_S, News, Pairs, Steady

WEB = {"http/routers/web/rule": "Host(`a`)", "http/routers/web/service": "shop"}
SHOP = {"http/services/shop/loadbalancer/servers/0/url": "http://10.0.0.1:80"}


class Looks:
    """A store that is looked at: `see` tells what stands there now, `now` goes on by itself."""

    def __init__(self, *settled: Pairs) -> None:
        self.steady, self.now = Steady(), 1000.0
        self.news: News | None = None
        for pairs in settled:
            self.rest(pairs)
            self.rest(pairs, DOUBT_S)

    def see(self, pairs: Pairs, after_s: float = 0.1, run: str = "one", is_meant_empty: bool = False) -> News | None:
        self.now += after_s
        self.steady.seen(pairs, self.now, run, is_meant_empty)
        return self._take()

    def fail(self, after_s: float = 0.1) -> News | None:
        self.now += after_s
        self.steady.failed("connection refused", self.now)
        return self._take()

    def rest(self, pairs: Pairs, for_s: float = QUIET_S, run: str = "one") -> News | None:
        """Two looks with so much time between them."""
        self.see(pairs, 0.1, run)
        self.see(pairs, for_s, run)
        return self.news

    def _take(self) -> News | None:
        news = self.steady.take()
        self.news = news or self.news
        return news

    @property
    def pairs(self) -> Pairs:
        assert self.news is not None
        return self.news.pairs


def test_one_look_is_not_believed() -> None:
    looks = Looks()
    looks.see(SHOP)
    assert looks.pairs == {}


def test_what_was_the_same_in_two_looks_is_taken() -> None:
    looks = Looks()
    looks.rest(SHOP)
    assert looks.pairs == SHOP


def test_two_looks_at_once_are_no_two_looks() -> None:
    looks = Looks()
    looks.see(SHOP)
    looks.see(SHOP, 0.01)
    assert looks.pairs == {}


def test_a_first_look_asks_for_a_second_one_soon() -> None:
    looks = Looks()
    looks.see(SHOP)
    assert looks.steady.wait_s(looks.now) == pytest.approx(QUIET_S)


def test_a_half_written_service_keeps_its_last_version() -> None:
    looks = Looks(SHOP)
    half = {"http/services/shop/loadbalancer/servers/0/url": "http://10.0.0.2:80"}
    looks.see(half)
    looks.see({**half, "http/services/shop/loadbalancer/servers/1/url": "http://10.0.0.3:80"}, 0.3)
    looks.see({**half, "http/services/shop/loadbalancer/servers/1/url": "http://10.0.0.3:80"}, 0.3)
    assert looks.pairs == SHOP


def test_a_router_does_not_come_before_its_service_is_quiet() -> None:
    looks = Looks()
    looks.see(WEB)
    looks.see({**WEB, **SHOP}, QUIET_S)
    assert looks.pairs == {}
    looks.see({**WEB, **SHOP}, QUIET_S)
    assert looks.pairs == {**WEB, **SHOP}


def test_a_key_that_is_written_all_the_time_holds_up_nobody_for_long() -> None:
    looks = Looks()
    for count in range(int(MOST_S / 0.3) + 2):
        looks.see({**SHOP, "http/routers/busy/priority": str(count)}, 0.3)
    assert looks.pairs == SHOP


def test_what_goes_on_moving_asks_for_no_look_that_is_past() -> None:
    looks = Looks()
    for count in range(40):
        looks.see({**SHOP, "http/routers/busy/priority": str(count)}, 0.3)
        assert looks.steady.wait_s(looks.now) != 0.0


def test_a_quiet_store_asks_for_nothing() -> None:
    looks = Looks(SHOP)
    assert looks.see(SHOP) is None
    assert looks.steady.wait_s(looks.now) is None


def test_an_object_without_keys_is_gone() -> None:
    looks = Looks({**WEB, **SHOP})
    looks.rest(SHOP)
    assert looks.pairs == SHOP


def test_an_object_that_is_deleted_and_written_anew_never_goes() -> None:
    looks = Looks({**WEB, **SHOP})
    looks.see(SHOP)
    looks.see({**WEB, **SHOP}, 0.4)
    assert looks.see({**WEB, **SHOP}, QUIET_S) is None


def test_the_last_key_is_believed_to_be_deleted_after_a_longer_rest() -> None:
    looks = Looks(SHOP)
    looks.rest({})
    assert looks.pairs == SHOP
    assert looks.steady.wait_s(looks.now) == pytest.approx(EMPTY_S - QUIET_S)
    looks.see({}, EMPTY_S)
    assert looks.pairs == {}


def test_a_flushed_store_that_is_filled_again_loses_nothing() -> None:
    looks = Looks({**WEB, **SHOP})
    looks.rest({})
    looks.rest({**WEB, **SHOP})
    assert looks.pairs == {**WEB, **SHOP}


def test_a_store_that_was_restarted_empty_keeps_everything() -> None:
    looks = Looks(SHOP)
    looks.fail()
    looks.rest({}, 10 * DOUBT_S, run="two")
    assert looks.news == News(SHOP, ("",), is_bare=True)


def test_a_restart_that_nobody_noticed_is_known_by_the_process_that_answers() -> None:
    looks = Looks(SHOP)
    looks.rest({}, 10 * DOUBT_S, run="two")
    assert looks.news is not None
    assert looks.news.is_bare
    assert looks.pairs == SHOP


def test_keys_set_and_deleted_in_the_first_seconds_of_a_service_are_gone_in_the_end() -> None:
    # a start is as doubtful as an accident, and an empty store was then never believed, whatever had stood there since
    looks = Looks()
    looks.see({})
    looks.rest(SHOP)
    looks.rest({})
    assert looks.pairs == SHOP
    looks.see({}, DOUBT_S)
    assert looks.news == News({})


def test_a_mark_says_that_an_empty_store_is_meant() -> None:
    looks = Looks(SHOP)
    looks.fail()
    looks.see({}, run="two", is_meant_empty=True)
    looks.see({}, DOUBT_S, run="two", is_meant_empty=True)
    assert looks.news == News({})


def test_after_a_restart_what_is_missing_goes_when_the_store_has_been_quiet_for_long() -> None:
    looks = Looks({**WEB, **SHOP})
    looks.rest(SHOP, DOUBT_S / 2, run="two")
    assert looks.pairs == {**WEB, **SHOP}
    looks.see(SHOP, DOUBT_S, run="two")
    assert looks.pairs == SHOP


def test_after_a_restart_what_is_new_is_taken_as_ever() -> None:
    looks = Looks(SHOP)
    looks.rest(WEB, run="two")
    assert looks.pairs == {**WEB, **SHOP}


def test_a_first_start_holds_what_a_former_agent_knows() -> None:
    looks = Looks()
    looks.rest(SHOP)
    assert looks.news == News(SHOP, ("",))
    looks.see(SHOP, DOUBT_S)
    assert looks.news == News(SHOP)


def test_a_short_absence_is_not_told() -> None:
    looks = Looks(SHOP)
    assert looks.fail() is None
    assert looks.steady.wait_s(looks.now) == AWAY_S


def test_a_store_that_is_away_is_told_and_told_again_when_it_is_back() -> None:
    looks = Looks(SHOP)
    looks.fail()
    looks.fail(AWAY_S)
    assert looks.news == News({}, away="connection refused")
    looks.see(SHOP)
    assert looks.pairs == SHOP


def test_a_store_that_is_away_at_the_start_is_told_at_once() -> None:
    news = Looks().fail()
    assert news is not None
    assert news.away == "connection refused"


def test_two_looks_with_an_accident_between_them_are_not_two() -> None:
    looks = Looks()
    looks.see(SHOP)
    looks.fail()
    looks.see(SHOP, QUIET_S)
    assert looks.pairs == {}
