"""Meshes and endpoints as fixtures; a file whose tests do not disturb each other shares one mesh."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from running import Endpoint, Mesh, orders


@pytest.fixture(scope="module")
def shared_endpoint() -> Iterator[Endpoint]:
    """One endpoint for a file of tests."""
    with Endpoint("shared") as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def shared_mesh(shared_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """One service with this endpoint as orders.shop for a file of tests, which must leave it as it was."""
    with Mesh(tmp_path_factory.mktemp("shared"), {"orders.yml": orders(shared_endpoint)}) as mesh:
        yield mesh


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An endpoint of this test's own."""
    with Endpoint("one") as endpoint:
        yield endpoint


@pytest.fixture
def start(tmp_path: Path, endpoint: Endpoint) -> Iterator[Callable[..., Mesh]]:
    """Starts a service of this test's own: `start()` with `endpoint` as orders.shop, `start({...files}, static...)`.

    It is stopped, and looked after, when the test has passed.
    """
    with ExitStack() as stack:
        def begin(files: Mapping[str, str] | None = None, static: Mapping[str, Any] | None = None, wait: bool = True,
                  **said: Any) -> Mesh:
            given = {"orders.yml": orders(endpoint)} if files is None else files
            mesh = Mesh(tmp_path, given, static or {}, **said)
            stack.push(mesh)
            return mesh.start(wait)
        yield begin
