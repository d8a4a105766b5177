"""One service for all tests of this folder; each test has a group of endpoints and clients of its own."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from wire_client import Client
from wire_service import Group, Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("wire"))
    yield service
    service.stop()


@pytest.fixture
def group(service: Service) -> Iterator[Group]:
    group = service.next_group()
    yield group
    try:
        for upstream in group.all:
            upstream.fail_if_failed()
    finally:
        group.stop()


@pytest.fixture
def connect(service: Service) -> Iterator[Callable[..., Client]]:
    """Connects to an entrypoint; closed with the test."""
    clients = []

    def connect(entry_point: str = "web") -> Client:
        clients.append(Client(service.addresses[entry_point]))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()
