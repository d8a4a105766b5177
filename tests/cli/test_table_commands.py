"""services, endpoints, hosts and an operator's words, on a host without a Redis."""
from __future__ import annotations

import getpass
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hosts_seen import A, B, C, Host, say, services, shown_by

from mesh.providers.instances import Instance
from mesh.providers.published import Published
from mesh.shared.layout import FACT_AGENT_PID
from mesh.shared.slots import (
    SLOT_EJECTED_MS,
    SLOT_FAILURES,
    SLOT_PROBE_WHY,
    SLOT_PROBES,
    SLOT_REQUESTS,
    SLOT_STATE,
    STATE_DISABLED,
    STATE_DOWN,
    STATE_DRAIN,
    WEIGHT_SHIFT,
)
from workers.agent.instances import Instances
from workers.cli import main
from workers.commands.endpoints import endpoints_seen
from workers.commands.events import events_seen
from workers.commands.hosts import hosts_seen
from workers.commands.services import services_seen

NOBODY = 2 ** 22 + 1        # above the highest pid of Linux


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path).shares()
    made.table.start()
    yield made
    made.close()


def line_with(text: str, words: str) -> str:
    (line,) = [line for line in text.split("\n") if words in line]
    return line


# What is there

def test_every_service_has_a_line_with_the_states_of_its_endpoints(host: Host) -> None:
    host.memory.slots.set_state(host.slot(B), STATE_DOWN, STATE_DOWN)
    host.memory.slots.store(host.slot(A), SLOT_REQUESTS, 1204)
    code, text = shown_by(host.static, services_seen, False)
    assert code == 0
    assert line_with(text, "  orders.shop  ").split() == [
        "orders.shop", "2", "up,", "1", "down", "0", "1,204", "0", "wrr"]
    assert "shares: orders.shop 3, users.shop 1" in text


def test_a_service_without_any_endpoint_that_is_up_is_told_below(host: Host) -> None:
    host.memory.slots.set_state(host.slot("http://10.0.3.20:8080", "users.shop@mesh"), STATE_DOWN, STATE_DOWN)
    assert "1 service without any endpoint that is up" in shown_by(host.static, services_seen, False)[1]


def test_an_endpoint_that_is_down_says_why(host: Host) -> None:
    slot = host.slot(A)
    host.memory.slots.set_state(slot, STATE_DOWN, STATE_DOWN)
    host.memory.slots.store(slot, SLOT_PROBES, -4)
    host.memory.slots.store(slot, SLOT_PROBE_WHY, 1)
    _, text = shown_by(host.static, endpoints_seen, "orders.shop", False)
    assert line_with(text, A).split()[0] == "down"
    assert "connection refused, 4 probes failed in a row" in text


def test_an_endpoint_that_is_ejected_says_until_when(host: Host) -> None:
    host.memory.slots.store(host.slot(A), SLOT_EJECTED_MS, 2 ** 62)
    host.memory.slots.store(host.slot(A), SLOT_FAILURES, 5)
    _, text = shown_by(host.static, endpoints_seen, "orders.shop", False)
    assert line_with(text, A).split()[0] == "ejected"
    assert "its requests failed; it is tried again in" in text


def test_an_endpoint_that_registered_itself_says_by_what_and_where(host: Host) -> None:
    instances = Instances()
    instances.replace("redis", [Instance("orders.shop", A, host="host-b")])
    instances.replace("systemd", [Instance("orders.shop", B)])
    host.memory.sources.write(Published(instances=instances.to_json()).to_json())
    _, text = shown_by(host.static, endpoints_seen, "orders.shop", False)
    assert line_with(text, A).endswith("  redis on host-b")
    assert line_with(text, B).endswith("  systemd")
    assert line_with(text, C).endswith("  file")


@pytest.mark.parametrize("said", ["orders.shop", "orders.shop@mesh", "orders.shop.mesh"])
def test_a_service_goes_by_any_of_its_names(host: Host, said: str) -> None:
    assert shown_by(host.static, endpoints_seen, said, False)[0] == 0


def test_a_service_that_is_misspelt_is_refused_with_the_nearest(host: Host) -> None:
    assert shown_by(host.static, endpoints_seen, "oders.shop", False) == (
        1, 'there is no service "oders.shop" (did you mean "orders.shop"?)\n')


def test_a_weighted_service_names_its_shares(host: Host) -> None:
    assert "it shares requests among: orders.shop 3, users.shop 1" in shown_by(
        host.static, endpoints_seen, "both", False)[1]


def test_a_dead_agent_makes_no_difference_to_what_is_seen(host: Host) -> None:
    host.table.override("orders.shop@mesh", A, "drain", "ann", "new kernel")
    host.memory.facts.store(FACT_AGENT_PID, NOBODY)
    _, text = shown_by(host.static, endpoints_seen, "orders.shop", False)
    assert line_with(text, A).split()[0] == "drain"
    assert "by ann: new kernel" in text


def test_json_has_every_fact(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.table.override("orders.shop@mesh", A, "weight=7", "ann")
    shown_by(host.static, endpoints_seen, "orders.shop", True)
    first = json.loads(capsys.readouterr().out)["endpoints"][0]
    assert (first["url"], first["state"], first["weight"], first["override"], first["here"]) == (
        A, "up", 7, "weight=7 by ann", True)


def test_a_host_alone_lists_itself(host: Host) -> None:
    code, text = shown_by(host.static, hosts_seen, False)
    assert code == 0
    assert "host-a (here)" in text
    assert "there is no Redis" in text


def test_events_without_a_redis_are_refused_with_the_reason(host: Host) -> None:
    code, text = shown_by(host.static, events_seen, 20, False, False)
    assert code == 1
    assert text == ("events are kept in Redis, and this host has none (redis.embedded is false); what it sees itself"
                    " stands in its log, in lines of the agent\n")


def test_where_none_ever_ran_there_is_nothing_to_see(tmp_path: Path) -> None:
    (tmp_path / "hostmesh.yml").write_text("runtimeDirectory: run\nentryPoints: {web: {address: '127.0.0.1:0'}}\n")
    for command in (["services"], ["endpoints", "x"], ["hosts"], ["events"], ["drain", "x", "y"]):
        result = CliRunner().invoke(main, [command[0], "--config", str(tmp_path / "hostmesh.yml"), *command[1:]])
        assert result.exit_code == 1, command
        assert result.stdout.count("\n") == 1, command


# An operator's words

def state(host: Host, url: str) -> int:
    return int(host.memory.slots.load(host.slot(url), SLOT_STATE)) & ~8


def test_a_drain_is_obeyed_when_the_command_ends(host: Host) -> None:
    assert say(host.static, "drain", A, "new kernel") == (
        0, f"orders.shop {A} drains: what is under way and sticky sessions go on, nothing new comes\n"
           "  on this host alone: it has no Redis to tell others by\n")
    assert state(host, A) == STATE_DRAIN


def test_a_word_says_who_and_why(host: Host) -> None:
    say(host.static, "drain", A, "new kernel")
    words = json.loads((Path(host.static.state_directory) / "overrides.json").read_bytes())
    who = os.environ.get("SUDO_USER") or getpass.getuser()
    assert words == {"orders.shop": {A: f"drain by {who}: new kernel"}}


def test_undrain_takes_a_drain_back(host: Host) -> None:
    say(host.static, "drain", A)
    code, text = say(host.static, "undrain", A)
    assert (code, state(host, A)) == (0, 0)
    assert "is drained no more (it was, by " in text


def test_undrain_of_what_is_not_drained_says_so(host: Host) -> None:
    assert say(host.static, "undrain", A) == (0, f"orders.shop {A} is not drained: nothing to take back\n")


def test_undrain_does_not_take_a_disable_back(host: Host) -> None:
    say(host.static, "disable", A)
    code, text = say(host.static, "undrain", A)
    assert code == 1
    assert "is not drained, but disabled by" in text
    assert "(hostmesh enable takes that back)" in text
    assert state(host, A) == STATE_DISABLED


def test_a_drain_that_is_said_twice_says_by_whom_it_was(host: Host) -> None:
    host.table.override("orders.shop@mesh", A, "drain", "ann", "new kernel")
    assert say(host.static, "drain", A) == (0, f"orders.shop {A} is drained already, by ann: new kernel\n")


def test_a_weight_takes_the_place_of_a_drain_and_says_so(host: Host) -> None:
    host.table.override("orders.shop@mesh", A, "drain", "ann")
    _, text = say(host.static, "weight=3", A)
    assert "has the weight 3 whatever its file says (in place of drain by ann)" in text
    assert state(host, A) == 4 << WEIGHT_SHIFT


def test_the_default_weight_takes_any_weight_back(host: Host) -> None:
    say(host.static, "weight=3", A)
    assert say(host.static, "default", A)[0] == 0
    assert state(host, A) == 0


def test_who_drains_the_last_endpoint_is_warned(tmp_path: Path) -> None:
    host = Host(tmp_path).serve(services(orders_shop=(A, B)))
    host.table.start()
    say(host.static, "drain", A)
    code, text = say(host.static, "drain", B)
    host.close()
    assert code == 0
    assert "no other endpoint of orders.shop is up: new requests have nowhere to go" in text


@pytest.mark.parametrize("said", ["10.0.3.17", "10.0.3.17:8080", "3.17", f"{A}/"])
def test_a_url_may_be_as_much_as_no_other_has(host: Host, said: str) -> None:
    say(host.static, "drain", said)
    assert state(host, A) == STATE_DRAIN


def test_a_port_is_enough_where_it_is_unique(host: Host) -> None:
    say(host.static, "drain", ":8081")
    assert state(host, C) == STATE_DRAIN


def test_a_url_that_may_be_two_changes_nothing(host: Host) -> None:
    assert say(host.static, "drain", "10.0.3.18") == (1, f'"10.0.3.18" may be {B} or {C}\n')
    assert not (Path(host.static.state_directory) / "overrides.json").exists()


def test_a_url_that_is_misspelt_is_refused_with_the_nearest(host: Host) -> None:
    assert say(host.static, "drain", "http://10.0.3.17:80") == (
        1, f'orders.shop has no endpoint "http://10.0.3.17:80" (did you mean "{A}"?)\n')


def test_a_word_about_an_endpoint_that_has_left_can_be_taken_back(host: Host) -> None:
    say(host.static, "drain", A)
    host.serve(services(orders_shop=(B,)))
    assert say(host.static, "undrain", A)[0] == 0
    assert json.loads((Path(host.static.state_directory) / "overrides.json").read_bytes()) == {}


def test_a_dead_agent_is_told_with_the_word(host: Host) -> None:
    host.memory.facts.store(FACT_AGENT_PID, NOBODY)
    code, text = say(host.static, "drain", A)
    assert code == 0
    assert "the agent of host-a does not run; it takes this up when it is back" in text


def test_a_state_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path).shares()
    Path(host.static.state_directory).write_text("a file")
    code, text = say(host.static, "drain", A)
    assert code == 1
    assert "overrides.json cannot be written" in text


@pytest.mark.parametrize("words", [["weight", "a", "b", "many"], ["weight", "a", "b", "-1"], ["drain", "a"],
                                   ["events", "-n", "-3"]])
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 2


def test_the_words_are_for_their_owner_to_write(host: Host) -> None:
    say(host.static, "drain", A)
    mode = (Path(host.static.state_directory) / "overrides.json").stat().st_mode
    assert not mode & stat.S_IWOTH


def test_a_memory_that_says_nothing_yet_has_no_services(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert shown_by(host.static, services_seen, False) == (0, "there are no services: no provider names one\n")


