"""Ports for what must know its own before it starts.

They lie below those that the system gives to clients and to port 0: one of those may be somebody's again a moment after
it was looked for, and with two processes of tests it was.
"""
from __future__ import annotations

import os
import random
import socket

_CHANCE = random.Random(os.urandom(16))
FIRST, LAST = 10_200, 22_700        # a Redis Cluster's bus is 10,000 above, and is to lie below 32,768 too


def free_port() -> int:
    """A port of loopback that nobody has now."""
    while True:
        port = _CHANCE.randint(FIRST, LAST)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
