"""Does the front door answer?  What `/ready` asks, at each entrypoint, of the workers themselves.

Owns one request per entrypoint, `OPTIONS *` to a host that is no router's, and the judgement of its answer.  Only an
answer that a worker of ours made counts: an agent that is well proves nothing about traffic.  Floor 3.
"""
from __future__ import annotations

import re
from collections.abc import Mapping

import gevent
from gevent import socket

from mesh.names import READY_HOST, SERVER

WITHIN_S = 2.0
_MOST_BYTES = 16384
_ASKED = (f"OPTIONS * HTTP/1.1\r\nHost: {READY_HOST}\r\nUser-Agent: {SERVER}-ready\r\n"
          "Connection: close\r\n\r\n").encode()
_STATUS = re.compile(rb"HTTP/1\.[01] [1-5][0-9][0-9][ \r]")
_OURS = re.compile(rb"\r\nserver:[ \t]*" + SERVER.encode() + rb"[ \t]*\r\n", re.IGNORECASE)


def why_not_ready(bound: Mapping[str, str]) -> str:
    """"" when a worker answers at every entrypoint (name -> address), else one line: which does not, and why."""
    asked = {name: gevent.spawn(_ask, address) for name, address in bound.items()}
    gevent.joinall(asked.values())
    wrong = [f"{name} ({bound[name]}): {each.value}" for name, each in asked.items() if each.value]
    return "; ".join(wrong) if bound else "there is no entrypoint"


def _ask(address: str) -> str:
    try:
        with gevent.Timeout(WITHIN_S, TimeoutError(f"no answer within {WITHIN_S:g} s")):
            with _connect(address) as sock:
                sock.sendall(_ASKED)
                return _judge(sock)
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    tried = {"0.0.0.0": ("127.0.0.1",), "[::]": ("127.0.0.1", "::1")}.get(host, (host.strip("[]"),))
    for last in tried[:-1]:
        try:
            return socket.create_connection((last, int(port)))
        except OSError:
            continue                # an entrypoint on IPv6 alone does not answer to the other
    return socket.create_connection((tried[-1], int(port)))


def _judge(sock: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head:
        part = sock.recv(4096)
        head += part
        if not part:
            return "the connection ended without an answer"
        if len(head) > _MOST_BYTES:
            return "the answer is no HTTP head"
    head = head[:head.index(b"\r\n\r\n") + 2]
    if not _STATUS.match(head):
        return "the answer is not HTTP"
    return "" if _OURS.search(head) else f"somebody else answers there (no \"Server: {SERVER}\")"
