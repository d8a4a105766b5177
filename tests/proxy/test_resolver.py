"""Addresses of endpoints: what cannot be one costs its endpoint alone."""
import logging
import socket
import sys
from types import SimpleNamespace

import pytest

from workers.proxy.resolver import Resolver, packed


def pool(host):
    made = SimpleNamespace(host=host.encode(), port=80, addresses=None)
    made.resolved = lambda addresses: setattr(made, "addresses", addresses)
    return made


def test_an_address_on_an_interface_that_is_not_there_costs_no_other_endpoint(caplog):
    resolver, pools = Resolver(logging.getLogger("names")), [pool("fe80::1%no-such0"), pool("127.0.0.1")]
    resolver.resolve(pools)
    resolver.resolve(pools)
    assert [each.addresses for each in pools] == [[], [packed("127.0.0.1", 80)]]
    assert [record.message.partition(":")[0] for record in caplog.records] == ["fe80"], "told once"


@pytest.mark.parametrize("address, family", [("10.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_an_address_is_packed_as_connect_takes_it(address, family):
    assert int.from_bytes(packed(address, 8080)[:2], sys.byteorder) == family
    assert packed(address, 8080)[2:4] == (8080).to_bytes(2, "big")
