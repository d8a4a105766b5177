"""The real master and workers, with an agent that publishes a pickled model: python table_agent.py --config FILE.

Owns what tests of the endpoint table need before any file can say it: the model is `model` beside the static file, and
every endpoint has a slot.  Whoever writes the file anew sees it served.
"""
from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mesh.model import Dynamic, LoadBalancer, Static
from mesh.model_json import to_json
from mesh.shared.slots import key_of
from workers.about import About
from workers.machine import read_static
from workers.master import serve
from workers.memory import SharedMemory


def with_slots(dynamic: Dynamic, memory: SharedMemory) -> Dynamic:
    return replace(dynamic, slots={
        name: tuple(memory.slots.give(key_of(name, server.url)) for server in service.how.servers)
        for name, service in dynamic.services.items() if isinstance(service.how, LoadBalancer)})


def agent(static: Static, memory: SharedMemory, bound: Mapping[str, str], master_pid: int) -> None:
    About(master_pid, entry_points=dict(bound), admin="none").write(static.runtime_directory)
    path, seen = Path(static.file).with_name("model"), None
    while os.getppid() == master_pid:
        now = path.stat()
        if (now.st_ino, now.st_mtime_ns) != seen:
            seen = now.st_ino, now.st_mtime_ns
            data = to_json(with_slots(pickle.loads(path.read_bytes()), memory))
            if data != memory.plan.read()[1]:
                memory.plan.write(data)
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(serve(read_static(sys.argv[2])[0], agent))
