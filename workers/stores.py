"""How a Redis is reached, as the static file says it: one server, a set under Sentinels, a Cluster, TLS or not.

Owns the making of clients, what their time-outs are, and which of several servers is the one to speak to.  It opens
nothing by itself (redis-py connects at the first command) and knows no key; a caller in the agent's hub must put its
calls into a thread, since the client blocks.  Floor 3.
"""
from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from mesh.model import RedisServer

CONNECT_S = 2.0
EMBEDDED_USER = "hostmesh"          # of the private Redis, whose password lies beside its socket
PASSWORD_SUFFIX = ".password"
ANSWER_S = 2.0          # a Redis that is slower than this is as good as away, and nobody waits for it
ASK_S = 1.0             # between two questions to Sentinels who the master is


def client_of(server: RedisServer, answer_s: float = ANSWER_S, attempt: int = 0, text: bool = True) -> Client:
    """A client for whatever kind of Redis this is; `server.addresses` must not be empty.

    Keys and values are str, with U+FFFD for what is no UTF-8 (one such key must not hide all others), or bytes without
    `text`.  Its calls raise redis.RedisError (or OSError) after CONNECT_S or `answer_s` seconds at most (each Sentinel
    that is away may take as long once more); no call is sent twice.  Of several addresses of one server it takes the
    one whose turn it is at this attempt; Sentinels and nodes of a Cluster are all known to one client.
    """
    server = with_password(server)
    hosts = [_split(address) for address in server.addresses]
    secured = _secured(server) if server.tls else {}
    told: dict[str, Any] = {
        "username": server.username or None, "password": server.password or None, **secured, **_times(answer_s),
        "socket_keepalive": True, "decode_responses": text, "encoding_errors": "replace", "protocol": 2,
        "retry": Retry(NoBackoff(), 0)}
    if server.cluster:
        client: Any = RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in hosts], **told)
        return client
    if server.sentinel:
        # one that died with the master is not tried again: the next one knows as well
        asks = {"username": server.sentinel_username or None, "password": server.sentinel_password or None, **secured,
                **_times(answer_s), "retry": Retry(NoBackoff(), 0)}
        set_ = Sentinel(hosts, sentinel_kwargs=asks)
        made: Client = set_.master_for(server.sentinel, connection_pool_class=Masters, db=server.database, **told)
        return made
    turn = attempt % len(hosts)
    if (address := server.addresses[turn]).startswith("unix://"):
        return Client(unix_socket_path=address.removeprefix("unix://"), db=server.database, **told)
    host, port = hosts[turn]
    return Client(host=host, port=port, db=server.database, **told)


class Masters(SentinelConnectionPool):
    """Connections to the server that Sentinels call the master; they are asked again every ASK_S.

    One that SENTINEL FAILOVER has relieved hears of it only some ten seconds later.  Until then it closes no
    connection, and takes whatever is written as before, to forget it.
    """

    def __init__(self, *said: Any, **told: Any) -> None:
        super().__init__(*said, **told)
        self._first: object = None
        self._ask_at = time.monotonic() + ASK_S

    def get_connection(self, *said: Any, **told: Any) -> Any:
        """To the master; what is idle at a former one is ended."""
        self.has_moved()
        return super().get_connection(*said, **told)

    def has_moved(self) -> bool:
        """Whether another server is the master than at the first connection."""
        if self._first is None:
            self._first = self.master_address
        began = time.monotonic()
        if self._first is not None and began >= self._ask_at:
            # Sentinels that are away or undecided say nothing against the master that we have
            with suppress(RedisError, OSError):
                self.get_master_address()
            now = time.monotonic()
            self._ask_at = now + max(ASK_S, 10 * (now - began))     # whoever waits for them in vain waits seldom
        return self.master_address != self._first


def has_moved(client: Any) -> bool:
    """Whether Sentinels have made another server the master than this client has first spoken to."""
    pool = getattr(client, "connection_pool", None)
    return isinstance(pool, Masters) and pool.has_moved()


def with_password(server: RedisServer) -> RedisServer:
    """The same server; where it is the private one of this host, and we may read its password, with that."""
    first = server.addresses[0]
    if server.password or not first.startswith("unix://"):
        return server
    try:
        with open(f"{first.removeprefix('unix://')}{PASSWORD_SUFFIX}", encoding="ascii") as file:
            return replace(server, username=EMBEDDED_USER, password=file.readline().rstrip("\n"))
    except (OSError, UnicodeDecodeError):
        return server


def _times(answer_s: float) -> dict[str, Any]:
    return {"socket_connect_timeout": min(CONNECT_S, answer_s), "socket_timeout": answer_s}


def _secured(server: RedisServer) -> dict[str, Any]:
    return {"ssl": True, "ssl_ca_certs": server.tls_ca or None, "ssl_certfile": server.tls_cert or None,
            "ssl_keyfile": server.tls_key or None, "ssl_cert_reqs": "none" if server.tls_insecure else "required",
            "ssl_check_hostname": not server.tls_insecure}


def _split(address: str) -> tuple[str, int]:
    if address.startswith("unix://"):
        return address, 0
    host, colon, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdigit() else (address.strip("[]"), 6379)
