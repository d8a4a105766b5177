"""Plans and the cells of endpoints: what an edit keeps, and what is asked of a client's cookies."""
from dataclasses import replace

import pytest
from plans_built import WEB, compiled, model, service, shop, steps_of, weighted

from mesh.balance.balance import ENDED_BADLY, ENDED_WELL
from mesh.balance.sticky import cookie_name, cookie_value
from mesh.model import Cookie, Passive, Service, Weighted
from mesh.model_json import from_json, to_json
from mesh.shared.slots import SLOT_EJECTED_MS, SLOT_FAILED_MS, SLOT_REQUESTS, STATE_DOWN, Slots, key_of, slots_size

NOW = 1_000_000
MANY = 60


@pytest.fixture
def slots():
    made = Slots(bytearray(slots_size(MANY, 8)), MANY, 8)
    for column in range(3):
        made.hold_column(column)
    return made


def with_slots(dynamic, slots):
    """As the agent publishes it."""
    return replace(dynamic, slots={
        each.name: tuple([slots.give(key_of(each.name, server.url)) for server in each.how.servers])
        for each in dynamic.services.values() if not isinstance(each.how, Weighted)})


def slot_of(slots, name, url):
    return slots.find(key_of(name, url))


def planned(dynamic, slots, previous=None, start=0):
    return steps_of(with_slots(dynamic, slots), WEB, previous=previous, start=start, slots=slots)[0]


def picked(plan, name, count=20, now_ms=NOW):
    return {plan.services[name].take_turn(now_ms).url for _ in range(count)}


# What an edit keeps

def test_a_service_that_says_the_same_is_the_same_object_with_the_same_balance(slots):
    first = planned(shop(), slots)
    second = planned(from_json(to_json(shop())), slots, first)
    assert all(second.services[name] is first.services[name] for name in ("cart", "stock"))


@pytest.mark.parametrize("edit", [
    {"strategy": "p2c"}, {"slow_start": 3.0}, {"locality": "local"}, {"sticky": Cookie()}, {"panic_threshold": 0},
    {"pass_host_header": False}])
def test_an_edited_option_makes_a_new_service_of_the_same_endpoints(slots, edit):
    first = planned(shop(), slots)
    second = planned(shop(service("cart", "http://10.0.0.1:80", "http://10.0.0.2:80", **edit)), slots, first)
    assert second.services["cart"] is not first.services["cart"]
    assert second.services["cart"].endpoints == first.services["cart"].endpoints
    assert second.services["stock"] is first.services["stock"]


def test_a_service_whose_endpoint_got_another_slot_is_made_anew(slots):
    first = planned(shop(), slots)
    slots.take_back(slot_of(slots, "stock", "http://10.0.0.3:80"))
    slots.give("somebody else's")
    second = planned(shop(), slots, first)
    assert second.services["stock"] is not first.services["stock"]
    assert second.services["cart"] is first.services["cart"]


def test_a_plan_without_slots_is_no_plan_with_slots(slots):
    first = compiled(shop())
    assert first.services["cart"].balance.slots is None
    second = planned(shop(), slots, first)
    assert second.services["cart"].balance.slots is slots


def test_what_is_known_of_endpoints_is_the_same_after_an_edit(slots):
    first = planned(shop(), slots)
    balance = first.services["cart"].balance
    slot = slot_of(slots, "cart", "http://10.0.0.1:80")
    for _ in range(5):
        balance.began(0)
        balance.ended(0, ENDED_BADLY, -1, NOW)
    balance.began(0)
    assert picked(first, "cart") == {"http://10.0.0.2:80"}
    before = [slots.load(slot, word) for word in range(16)]
    urls = "http://10.0.0.2:80", "http://10.0.0.1:80", "http://10.0.0.9:80"
    edited = planned(shop(service("cart", *urls)), slots, first)
    assert [slots.load(slot, word) for word in range(16)] == before
    assert before[SLOT_EJECTED_MS] == NOW + 10_000
    assert picked(edited, "cart") == {"http://10.0.0.2:80", "http://10.0.0.9:80"}
    assert slots.in_flight(slot) == 1
    balance.ended(0, ENDED_WELL, 1000, NOW + 1)         # on the plan that it began with
    assert slots.in_flight(slot) == 0
    assert slots.load(slot, SLOT_REQUESTS) == 6


def test_an_endpoint_whose_url_cannot_be_used_moves_no_slot_of_the_others(slots):
    plan = planned(shop(service("cart", "http://10.0.0.1:80", "nonsense", "http://10.0.0.2:80")), slots)
    balance = plan.services["cart"].balance
    for _ in range(5):
        balance.began(1)
        balance.ended(1, ENDED_WELL, 1000, NOW)
    assert slots.load(slot_of(slots, "cart", "http://10.0.0.2:80"), SLOT_REQUESTS) == 5
    assert slots.load(slot_of(slots, "cart", "nonsense"), SLOT_REQUESTS) == 0


def test_each_worker_counts_in_the_column_of_its_number(slots):
    for start in range(3):
        planned(shop(), slots, start=start).services["stock"].balance.began(0)
    slot = slot_of(slots, "stock", "http://10.0.0.3:80")
    slots.clear_column(1)
    assert slots.in_flight(slot) == 2


def test_a_service_that_the_agent_gave_no_slots_serves(slots):
    plan = steps_of(shop(), WEB, slots=slots)[0]
    assert picked(plan, "cart") == {"http://10.0.0.1:80", "http://10.0.0.2:80"}


def test_one_call_refreshes_all_balances(slots):
    plan = planned(shop(), slots)
    picked(plan, "cart")
    slot = slot_of(slots, "cart", "http://10.0.0.1:80")
    slots.set_state(slot, STATE_DOWN, STATE_DOWN)
    assert not plan.refresh(NOW + 1)
    assert plan.services["cart"].balance.share_of(0) == 0
    slots.set_state(slot, 0, STATE_DOWN)
    assert not plan.refresh(NOW + 2)
    assert plan.services["cart"].balance.share_of(0) == 1


def test_very_many_balances_are_refreshed_in_steps():
    plan = compiled(model(*[service(f"s{n}", *[f"http://10.0.{n}.{at}" for at in range(250)]) for n in range(50)]))
    calls = 1
    while plan.refresh(NOW):
        calls += 1
    assert 2 <= calls <= 10
    assert all(each.balance.share_of(0) == 1 for each in plan.services.values())
    assert not plan.refresh(NOW + 1)


def test_balancing_a_large_service_is_prepared_in_many_steps():
    urls = [f"http://10.0.{n // 250}.{n % 250}" for n in range(2000)]
    sticky = service("s", *urls, sticky=Cookie())
    first, steps = steps_of(model(sticky), WEB)
    assert steps >= 2000 / 15
    edited = service("s", *urls, "http://10.9.9.9", sticky=Cookie())
    assert steps_of(model(edited), WEB, previous=first)[1] >= 2000 / 15


# Cookies

def test_the_cookie_of_a_service_is_called_after_it_or_as_it_says():
    plan = compiled(model(service("a@file", "http://a", sticky=Cookie()), service("b@file", sticky=Cookie("stay")),
                          service("c@file", "http://a")))
    assert plan.services["a@file"].sticky.name == cookie_name("a@file").encode()
    assert plan.services["a@file"].balance.cookie_of(0) == cookie_value("http://a")
    assert plan.services["b@file"].sticky.name == b"stay"
    assert plan.services["c@file"].sticky is None
    assert [plan.services[name].sticks for name in ("a@file", "b@file", "c@file")] == [True, True, False]


def test_a_cookie_that_could_not_be_told_leaves_its_service_out():
    plan = compiled(shop(service("cart", "http://a", sticky=Cookie("a b"))))
    [problem] = plan.problems
    assert problem.message == "'a b' cannot be the name of a cookie"
    assert picked(plan, "stock") == {"http://10.0.0.3:80"}


def family(**children):
    both = weighted("all", **(children or {"cart": 1, "stock": 1}))
    return shop(Service("all", replace(both.how, sticky=Cookie("which"))))


def cookie_of(child):
    return b"x=1; which=" + cookie_value(child)


def test_a_child_of_a_weighted_service_is_kept_by_a_cookie():
    service = compiled(family()).services["all"]
    for _ in range(3):
        told = []
        assert service.leaf_for([cookie_of("stock")], told, NOW).name == "stock"
        assert told == []


def test_who_has_no_cookie_is_told_one():
    service = compiled(family()).services["all"]
    for lines in ([], [b"x=1"]):
        told = []
        leaf = service.leaf_for(lines, told, NOW)
        assert told == [b"which=" + cookie_value(leaf.name) + b"; Path=/"]


@pytest.mark.parametrize("said", [cookie_of("gone"), b"which=", b"which=0000000000000000"])
def test_a_cookie_that_names_no_child_is_replaced(said):
    told = []
    assert compiled(family()).services["all"].leaf_for([said], told, NOW) is not None
    assert len(told) == 1


def test_a_child_where_nothing_serves_or_that_has_no_weight_keeps_nobody(slots):
    plan = planned(family(), slots)
    slot = slot_of(slots, "stock", "http://10.0.0.3:80")
    slots.set_state(slot, 4, 4)             # disabled
    told = []
    plan.services["all"].leaf_for([cookie_of("stock")], told, NOW)
    assert len(told) == 1
    plan = compiled(family(cart=1, stock=0))
    assert plan.services["all"].leaf_for([cookie_of("stock")], [], NOW).name == "cart"


def test_cookies_lead_through_all_levels():
    inner = weighted("inner", cart=1, stock=1)
    plan = compiled(shop(Service("inner", replace(inner.how, sticky=Cookie("in"))),
                         weighted("outer", inner=1)))
    assert plan.services["outer"].sticks
    line = b"in=" + cookie_value("stock")
    assert {plan.services["outer"].leaf_for([line], [], NOW).name for _ in range(4)} == {"stock"}
    told = []
    plan.services["outer"].leaf_for([], told, NOW)
    assert [each.partition(b"=")[0] for each in told] == [b"in"]


# Turns go on

@pytest.mark.parametrize("strategy", ["wrr", "p2c"])
def test_a_service_that_is_edited_all_the_time_serves_from_all_of_its_endpoints(slots, strategy):
    urls, plan, served = [f"http://10.0.1.{number}:80" for number in range(30)], None, set()
    for number in range(60):
        edited = service("cart", *urls, strategy=strategy, panic_threshold=number % 2)
        plan = planned(shop(edited), slots, plan)
        served |= picked(plan, "cart", 2)
    assert len(served) > 20


def test_a_failure_right_after_an_edit_has_its_date(slots):
    first = planned(shop(), slots)
    first.services["stock"].balance.refresh(NOW, 1_700_000_000_000)
    edited = planned(shop(service("stock", "http://10.0.0.3:80", panic_threshold=1)), slots, first)
    balance = edited.services["stock"].balance
    balance.began(0)
    balance.ended(0, ENDED_BADLY, -1, NOW + 5)
    assert slots.load(slot_of(slots, "stock", "http://10.0.0.3:80"), SLOT_FAILED_MS) == 1_700_000_000_005


def test_a_child_of_little_weight_has_its_turn_whatever_is_edited_below(slots):
    plan, counted = None, 0
    for number in range(100):
        edited = service("cart", "http://10.0.0.1:80", panic_threshold=number % 2)
        plan = planned(shop(edited, weighted("all", cart=19, stock=1)), slots, plan)
        counted += picked(plan, "all", 1) == {"http://10.0.0.3:80"}
    assert counted == 5


# Children that cannot serve

def test_a_child_where_nobody_serves_leaves_its_turns_to_the_others(slots):
    plan = planned(shop(weighted("all", cart=99, stock=1)), slots)
    for url in ("http://10.0.0.1:80", "http://10.0.0.2:80"):
        slots.set_state(slot_of(slots, "cart", url), STATE_DOWN, STATE_DOWN)
    both = planned(shop(service("cart", "http://10.0.0.1:80", "http://10.0.0.2:80", panic_threshold=0),
                        weighted("all", cart=99, stock=1)), slots, plan)
    assert picked(both, "all", 300) == {"http://10.0.0.3:80"}
    told = []
    sticky = planned(shop(service("cart", "http://10.0.0.1:80", "http://10.0.0.2:80", panic_threshold=0),
                          *(each for each in family(cart=99, stock=1).services.values() if each.name == "all")), slots)
    assert {sticky.services["all"].leaf_for([], told, NOW).name for _ in range(300)} == {"stock"}


def test_the_turns_of_a_heavy_child_that_cannot_serve_are_spread_over_the_others(slots):
    plan = planned(shop(service("dead"), weighted("all", dead=1_000_000, cart=1, stock=1)), slots)
    assert picked(plan, "all", 40) == {"http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.3:80"}


def test_where_no_child_can_serve_nobody_is_picked_and_a_weight_of_0_gets_nothing(slots):
    plan = planned(shop(service("dead"), weighted("all", dead=1, stock=0)), slots)
    assert plan.services["all"].take_turn(NOW) is None
    assert not planned(shop(service("dead"), weighted("all", dead=1)), slots).services["all"].can_serve(NOW)


def test_many_ways_down_to_where_nobody_serves_are_not_gone_one_by_one(slots):
    levels = [weighted(f"w{n}{side}", **{f"w{n + 1}a": 1, f"w{n + 1}b": 1}) for n in range(60) for side in "ab"]
    plan = planned(shop(service("dead"), *levels, *(weighted(f"w60{side}", dead=1) for side in "ab")), slots)
    assert plan.services["w0a"].take_turn(NOW) is None


# One that is listed twice

def test_an_endpoint_that_is_listed_twice_is_one_with_both_weights(slots):
    one, two = "http://10.0.0.1:80", "http://10.0.0.2:80"
    plan = planned(shop(service("cart", (one, 2), two, (one, 1))), slots)
    cart = plan.services["cart"]
    assert [each.url for each in cart.endpoints] == [one, two]
    taken = [cart.take_turn(NOW).url for _ in range(40)]
    assert (taken.count(one), taken.count(two)) == (30, 10)
    assert cart.balance.another(NOW, 0, [0]) == 1
    assert planned(from_json(to_json(shop(service("cart", (one, 2), two, (one, 1))))), slots,
                   plan).services["cart"] is cart


def test_an_endpoint_that_is_listed_twice_is_ejected_as_one_and_alone_never(slots):
    one, two = "http://10.0.0.1:80", "http://10.0.0.2:80"
    for urls, is_ejected in (((one, one, two), True), ((one, one), False)):
        how = service("cart", *urls, passive=Passive(max_ejected=60), panic_threshold=0)
        cart = planned(shop(how), slots).services["cart"]
        for _ in range(20):
            cart.balance.began(0)
            cart.balance.ended(0, ENDED_BADLY, -1, NOW)
        slot = slot_of(slots, "cart", one)
        assert (slots.load(slot, SLOT_EJECTED_MS) > NOW) == is_ejected
        slots.store(slot, SLOT_EJECTED_MS, 0)
