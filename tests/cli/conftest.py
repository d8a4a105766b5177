"""An instance, or a registry, of its own for a test that wants one."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from instances import Instance
from registry_running import registry, unserved

__all__ = ["instance", "registry", "unserved"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance(tmp_path)
    yield made
    made.close()
