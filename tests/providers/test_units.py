"""What unit files say for the mesh."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import Dynamic
from mesh.providers.instances import with_instances
from mesh.providers.units import instance_of, read_unit

SERVICE = "[Service]\nExecStart=/bin/x\nX-Mesh-Service=orders.shop\nX-Mesh-Port=8081\n"


def told(*texts: str, unit: str = "orders.service"):
    return instance_of(unit, read_unit(texts), "host-a", "10.0.3.2")


def test_a_unit_is_an_endpoint_of_its_host():
    one = told(SERVICE)
    assert (one.service, one.url, one.weight, one.id, one.source, one.host) == (
        "orders.shop", "http://10.0.3.2:8081", 1, "orders.service", "systemd", "host-a")


def test_a_unit_without_a_word_for_the_mesh_is_none():
    assert told("[Service]\nExecStart=/bin/x\nX-Other=1\n") is None


def test_a_section_of_its_own_needs_no_prefix():
    assert told("[X-Mesh]\nService=orders.shop\nPort=8081\n[Service]\nPort=9\nService=x\n") == told(SERVICE)


def test_all_the_words():
    one = told(SERVICE + "X-Mesh-Weight=3\nX-Mesh-Scheme=https\nX-Mesh-Address=127.0.0.1\n")
    assert (one.url, one.weight) == ("https://127.0.0.1:8081", 3)


def test_an_ipv6_address_gets_its_brackets():
    assert told(SERVICE + "X-Mesh-Address=fd00::1\n").url == "http://[fd00::1]:8081"


def test_a_template_fills_in_its_instance():
    text = "[Service]\nX-Mesh-Service=%p.shop\nX-Mesh-Port=%i\n"
    one = told(text, unit="orders@8081.service")
    assert (one.service, one.url) == ("orders.shop", "http://10.0.3.2:8081")


def test_an_escaped_instance_is_unescaped_by_the_capital():
    text = "[Service]\nX-Mesh-Service=a.b\nX-Mesh-Port=%I\n"
    assert told(text, unit=r"orders@80\x38\x31.service").url == "http://10.0.3.2:8081"


def test_a_drop_in_has_the_last_word_and_an_empty_one_takes_back():
    assert told(SERVICE, "[Service]\nX-Mesh-Port=9000\n").url == "http://10.0.3.2:9000"
    assert told(SERVICE, "[Service]\nX-Mesh-Service=\nX-Mesh-Port=\n") is None


def test_comments_and_continued_lines_are_read_as_systemd_reads_them():
    text = ("[Service]\n# X-Mesh-Port=1\n; X-Mesh-Port=2\n"
            "X-Mesh-Service=\\\n# between\n  orders.shop\nX-Mesh-Port = 8081")
    assert told(text).url == "http://10.0.3.2:8081"
    assert told(text).service == "orders.shop"


@pytest.mark.parametrize("line, words", [
    ("X-Mesh-Prot=1", 'X-Mesh-Prot is not known (did you mean "X-Mesh-Port"?)'), ("X-Mesh-Port=0", '"0" is not a port'),
    ("X-Mesh-Port=http", '"http" is not a port'), ("X-Mesh-Port=", "X-Mesh-Port is missing"),
    ("X-Mesh-Service=", "X-Mesh-Service is missing"), ("X-Mesh-Weight=-1", '"-1" is not a whole number'),
    ("X-Mesh-Port=%q", '"%q" is not known; wanted one of %i')])
def test_a_slip_is_told(line, words):
    assert words in told(f"{SERVICE}{line}\n").wrong


def test_a_drained_unit_says_so():
    assert instance_of("a.service", read_unit([SERVICE]), "host-a", "10.0.3.2", draining=True).draining


@given(st.lists(st.text(alphabet=st.sampled_from("[]XMeshPortServiceA-=%i\\\n #1.8"), max_size=80), max_size=3),
       st.text(max_size=12))
def test_no_unit_file_breaks_anything(texts, unit):
    one = told(*texts, "[X-Mesh]\nService=a.b\n", unit=unit)
    with_instances(Dynamic(), [one] if one is not None else [])
