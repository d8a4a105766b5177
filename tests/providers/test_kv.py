"""The layout of keys says what a YAML file says, and every complaint names its key."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import LoadBalancer, Weighted
from mesh.providers.catalog import Catalog, Settled
from mesh.providers.file import FileSaid, read_file
from mesh.providers.kv import KvReader, read_pairs, source_of, unit_of

REFERENCE = Path(__file__).parents[1] / "corpus" / "traefik" / "dynamic.yml"
SHOP = {"http/routers/web/rule": "Host(`a.example`)", "http/routers/web/service": "shop",
        "http/services/shop/loadbalancer/servers/0/url": "http://10.0.0.1:80"}


def no_disk(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


def read(pairs: dict[str, str | None]) -> FileSaid:
    return read_pairs(pairs, "traefik", no_disk)


def settled(pairs: dict[str, str | None], file: str = "") -> Settled:
    catalog = Catalog(no_disk)
    catalog.take(source_of("traefik"), read(pairs))
    if file:
        catalog.said("/etc/hostmesh/conf.d/a.yml", file.encode())
    return catalog.settle({"web", "ops"})


def told(pairs: dict[str, str | None]) -> list[str]:
    return [str(problem) for problem in settled(pairs).problems]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """A YAML document as the keys that say the same."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from flat(inner, f"{path}/{index}")
    elif value == {}:
        yield path, "true"
    elif value != []:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)


def words(message: str) -> list[str]:
    """The words of a message: keys are told in the order of their names, not of a file."""
    return sorted(message.replace("@redis", "@file").replace(",", "").split())


def essence(said: FileSaid) -> list[tuple[Any, ...]]:
    """What was said, but for where it stands and which provider it is of."""
    def plain(value: Any) -> str:
        text = repr(value)
        while "Place(" in text:
            start = text.index("Place(")
            text = text[:start] + text[text.index(")", start) + 1:]
        return text.replace("@redis", "@file")
    return sorted((each.section, plain(each.name), plain(each.now), each.refused,
                   sorted((problem.severity, words(problem.message)) for problem in each.problems))
                  for each in said.objects)


def test_every_kind_of_traefiks_reference_says_the_same_as_keys() -> None:
    text = REFERENCE.read_bytes()
    as_keys = read(dict(flat(yaml.safe_load(text))))
    as_file = read_file(text, "/etc/hostmesh/conf.d/reference.yml", no_disk)
    assert len(as_file.objects) > 40
    assert essence(as_keys) == essence(as_file)
    assert [problem.message for problem in as_keys.problems] == [problem.message for problem in as_file.problems]


def test_the_case_of_fields_makes_no_difference() -> None:
    loud = {"HTTP/Routers/web/RULE": "Host(`a.example`)", "http/routers/web/Service": "shop",
            "http/SERVICES/shop/LOADBALANCER/Servers/0/URL": "http://10.0.0.1:80",
            "http/services/shop/loadbalancer/PASSHOSTHEADER": "false"}
    now = settled(loud)
    assert not now.problems
    how = now.dynamic.services["shop@redis"].how
    assert isinstance(how, LoadBalancer)
    assert not how.pass_host_header


def test_names_of_objects_keep_their_case() -> None:
    assert list(settled({"http/routers/Web/rule": "Host(`a`)", "http/routers/Web/service": "x"}).status) == [
        "routers/Web@redis"]


def test_objects_are_named_after_the_provider_and_refer_within_it() -> None:
    dynamic = settled(SHOP).dynamic
    assert dynamic.routers["web@redis"].service == "shop@redis"


def test_objects_of_files_and_of_the_store_stand_side_by_side() -> None:
    file = "http: {routers: {web: {rule: 'Host(`b.example`)', service: shop@redis}}}"
    dynamic = settled({**SHOP}, file).dynamic
    assert sorted(dynamic.routers) == ["web@file", "web@redis"]
    assert dynamic.routers["web@file"].service == "shop@redis"


def test_a_key_may_refer_to_an_object_of_a_file() -> None:
    file = "http: {services: {cart: {loadBalancer: {servers: [{url: 'http://10.0.0.9:80'}]}}}}"
    now = settled({**SHOP, "http/routers/web/service": "cart@file"}, file)
    assert now.dynamic.routers["web@redis"].service == "cart@file"


def test_lists_are_in_the_order_of_their_numbers() -> None:
    pairs = {f"http/services/s/weighted/services/{index}/name": f"c{index}" for index in (10, 9, 2)}
    pairs |= {f"http/services/c{index}/loadbalancer/servers/0/url": "http://a:1" for index in (2, 9, 10)}
    how = settled(pairs).dynamic.services["s@redis"].how
    assert isinstance(how, Weighted)
    assert [name for name, _ in how.children] == ["c2@redis", "c9@redis", "c10@redis"]


def test_plain_lists_may_have_commas_as_in_traefik() -> None:
    router = settled({**SHOP, "http/routers/web/entrypoints": "web, ops"}).dynamic.routers["web@redis"]
    assert router.entry_points == ("web", "ops")


def test_values_are_read_by_what_is_wanted_there() -> None:
    pairs = {**SHOP, "http/routers/web/priority": "42", "http/services/shop/loadbalancer/servers/0/weight": "3",
             "http/services/shop/loadbalancer/serverstransport": "slow",
             "http/serverstransports/slow/forwardingtimeouts/dialtimeout": "1m30s",
             "http/serverstransports/slow/insecureskipverify": "true"}
    dynamic = settled(pairs).dynamic
    how = dynamic.services["shop@redis"].how
    transport = dynamic.transports["slow@redis"]
    assert isinstance(how, LoadBalancer)
    assert (dynamic.routers["web@redis"].priority, how.servers[0].weight) == (42, 3)
    assert (transport.dial_timeout, transport.insecure_skip_verify) == (90.0, True)


def test_the_short_form_of_the_mesh_stands_there_too() -> None:
    dynamic = settled({"mesh/services/orders.shop/endpoints/0": "http://10.0.3.17:8080",
                       "mesh/services/orders.shop/endpoints/1/url": "http://10.0.3.18:8080",
                       "mesh/services/orders.shop/endpoints/1/weight": "2"}).dynamic
    how = dynamic.services["orders.shop@mesh"].how
    assert isinstance(how, LoadBalancer)
    assert [server.weight for server in how.servers] == [1, 2]
    assert dynamic.routers["orders.shop@mesh"].rule == "Host(`orders.shop.mesh`)"


@pytest.mark.parametrize("said", ["true", "True", "1"])
def test_true_stands_for_a_mapping_without_options(said: str) -> None:
    assert "tls is not supported yet" in " ".join(told({**SHOP, "http/routers/web/tls": said}))


def test_false_is_the_same_as_not_said() -> None:
    assert not told({**SHOP, "http/routers/web/tls": "false"})


def test_a_wrong_value_names_its_key_as_it_is_written() -> None:
    assert told({**SHOP, "http/routers/web/PRIORITY": "high"}) == [
        'redis:traefik/http/routers/web/PRIORITY: error: http.routers.web: priority: "high" is not a whole number']


def test_an_unknown_field_is_told_with_the_nearest_right_word() -> None:
    assert told({**SHOP, "http/routers/web/prioritty": "5"}) == [
        "redis:traefik/http/routers/web/prioritty: error: http.routers.web: prioritty is not a known field"
        ' (did you mean "priority"?)']


def test_a_rule_that_is_wrong_names_its_key_and_the_column() -> None:
    assert told({**SHOP, "http/routers/web/rule": "Hst(`a.example`)"}) == [
        "redis:traefik/http/routers/web/rule: error: http.routers.web: rule: there is no matcher Hst, at column 1 of"
        ' the rule (did you mean "Host"?)']


def test_a_reference_that_leads_nowhere_names_its_key() -> None:
    assert told({**SHOP, "http/routers/web/service": "shopp"}) == [
        'redis:traefik/http/routers/web/service: error: http.routers.web: service "shopp@redis" is not defined'
        ' (did you mean "shop@redis"?)']


def test_what_is_missing_is_told_at_the_object() -> None:
    pairs: dict[str, str | None] = dict(SHOP)
    del pairs["http/routers/web/rule"]
    assert told(pairs)[0].startswith("redis:traefik/http/routers/web: error: http.routers.web: rule is missing")


def test_a_wrong_object_leaves_the_others_alone() -> None:
    now = settled({**SHOP, "http/routers/bad/rule": "Host(", "http/routers/bad/service": "shop"})
    assert "web@redis" in now.dynamic.routers
    assert "bad@redis" not in now.dynamic.routers


def test_one_field_in_two_spellings_is_told_with_both_keys() -> None:
    (problem,) = told({**SHOP, "http/routers/web/Rule": "Host(`b.example`)"})
    assert "redis:traefik/http/routers/web/rule: error" in problem
    assert "first at redis:traefik/http/routers/web/Rule" in problem


def test_keys_of_other_programs_are_left_alone() -> None:
    assert not told({**SHOP, "acme/account": "x", "leader": "y"})


def test_a_root_that_is_a_slip_of_the_pen_is_told() -> None:
    assert told({**SHOP, "htpp/routers/x/rule": "Host(`x`)"}) == [
        'redis:traefik/htpp: warning: htpp is not a known section (did you mean "http"?)']


def test_a_section_that_is_a_slip_of_the_pen_is_told() -> None:
    assert 'router is not a known section (did you mean "routers"?)' in told({**SHOP, "http/router/x/rule": "x"})[0]


def test_a_key_that_holds_no_text_is_told() -> None:
    assert any("a hash, a list or bytes that are no text" in line
               for line in told({**SHOP, "http/routers/web/priority": None}))


def test_last_good_versions_serve_as_for_files() -> None:
    catalog = Catalog(no_disk)
    for rule in ("Host(`a.example`)", "Host(("):
        catalog.take("redis:traefik", read({**SHOP, "http/routers/web/rule": rule}))
        now = catalog.settle({"web"})
    assert now.dynamic.routers["web@redis"].rule == "Host(`a.example`)"
    assert "its last good version serves" in now.problems[0].message


def test_what_is_deleted_is_gone_though_something_else_is_wrong() -> None:
    catalog = Catalog(no_disk)
    catalog.take("redis:traefik", read(dict(SHOP)))
    catalog.settle({"web"})
    catalog.take("redis:traefik", read({"http/router/web/rule": "x"}))
    assert not catalog.settle({"web"}).dynamic.routers


def test_a_catalog_that_is_written_down_keeps_the_keys() -> None:
    catalog = Catalog(no_disk)
    catalog.take("redis:traefik", read({**SHOP, "http/routers/web/priority": "high"}))
    catalog.settle({"web"})
    again = Catalog.from_json(catalog.to_json(), no_disk)
    assert again.settle({"web"}).problems[0].place.key == "http/routers/web/priority"


def test_a_unit_is_the_object_that_a_key_belongs_to() -> None:
    assert unit_of("HTTP/Services/shop/loadbalancer/servers/0/url") == "http/services/shop"


KEYS = st.lists(st.sampled_from(["http", "routers", "services", "mesh", "tls", "certificates", "a", "0", "1", "rule",
                                 "loadbalancer", "servers", "url", "", "tcp", "@", " "]), min_size=1, max_size=7)


@given(st.dictionaries(KEYS.map("/".join), st.one_of(st.none(), st.text(max_size=12))))
def test_whatever_stands_there_is_read_without_a_fault(pairs: dict[str, str | None]) -> None:
    settled(pairs)


def test_what_has_not_changed_is_not_read_again() -> None:
    reader = KvReader("traefik", no_disk)
    first = reader.read({**SHOP, "http/routers/web/priority": "high", "htpp/x": "y"})
    again = reader.read({**SHOP, "http/routers/web/priority": "7", "htpp/x": "y"})
    assert [one is other for one, other in zip(first.objects, again.objects, strict=True)] == [False, True]
    assert first.problems == again.problems
    assert not again.objects[0].problems


@given(st.lists(st.dictionaries(KEYS.map("/".join), st.text(max_size=6)), min_size=2, max_size=4))
def test_reading_in_steps_is_reading_at_once(steps: list[dict[str, str | None]]) -> None:
    reader = KvReader("traefik", no_disk)
    for pairs in steps:
        said = reader.read(pairs)
    assert said == read(steps[-1])


def test_a_key_that_is_too_short_to_say_anything_is_told() -> None:
    assert told({**SHOP, "http/routers": "x"}) == [
        "redis:traefik/http/routers: warning: nothing is read from this key; wanted keys below it, such as"
        " http/routers/NAME/rule"]


def test_certificates_are_one_list() -> None:
    pairs = {f"tls/certificates/{index}/certfile": f"{index}.pem" for index in (0, 1)}
    assert [each.path for each in read(pairs).objects] == ["tls.certificates[0]", "tls.certificates[1]"]
