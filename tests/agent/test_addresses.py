"""Which urls lead to this host."""
from __future__ import annotations

import socket

import psutil
import pytest

from workers.agent.addresses import is_here, own_addresses


def test_the_addresses_are_those_of_all_interfaces():
    wanted = {address.address.partition("%")[0] for addresses in psutil.net_if_addrs().values()
              for address in addresses if address.family in (socket.AF_INET, socket.AF_INET6)}
    assert own_addresses() == wanted


@pytest.mark.parametrize("url, here", [
    ("http://10.0.0.7:80", True), ("http://10.0.0.8:80", False), ("http://host-a", True), ("http://host-a.", True),
    ("http://host-b", False), ("http://[fd00::7]:80", True), ("http://[fd00:0::7]", True), ("http://[fd00::8]", False),
    ("http://127.1.2.3", True), ("http://[::ffff:10.0.0.7]", True), ("http://[::ffff:10.0.0.8]", False),
    ("http://", False), ("http://[", False), ("", False)])
def test_a_url_leads_here_by_its_host(url, here):
    assert is_here(url, frozenset(("10.0.0.7", "fd00::7", "host-a"))) == here
