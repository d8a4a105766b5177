"""The admin address: ping, ready, metrics and the API, for people and machines of this host.

Owns the HTTP of it and its bounds: who may ask (see `_is_for_us`), how large a head, how many connections, how long
anybody may take.  Everything is read-only.  What is answered is api.py's, metrics.py's and report.py's.

gevent's pywsgi on the agent's hub, without monkey patching.  All pictures but ping and ready are made in one native
thread, one after another: five thousand series or a hundred thousand routers take a second of Python, and the hub,
which will host probes and DNS, must not stand still for it.  Floor 3.
"""
from __future__ import annotations

import contextlib
import logging
import socket as native_socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import gevent
import gevent.socket
import orjson
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool
from gevent.pywsgi import LoggingLogAdapter, WSGIHandler, WSGIServer
from gevent.threadpool import ThreadPool
from prometheus_client.metrics_core import Metric

from mesh.model import Dynamic, EntryPoint, Static
from mesh.model_json import from_json
from mesh.names import PRODUCT, SERVER
from mesh.shared.board import BoardDamaged
from mesh.shared.layout import Memory
from workers.about import About
from workers.agent import api
from workers.agent.metrics import OPENMETRICS, TEXT, families, negotiate, registry_of, write
from workers.agent.ready import why_not_ready
from workers.agent.store_link import RedisSeen
from workers.agent.table import Table
from workers.listeners import CannotListen, Listener, open_all
from workers.report import files, look, published, status

MOST_CONNECTIONS = 64
MOST_REQUESTS = 100             # on one connection
HEAD_S = 10.0                   # for a request line and its head, idle time before it included
SEND_S = 30.0                   # for an answer to be taken
MAX_HEAD_BYTES = 16384
AGAIN_S = 3.0                   # before an address that could not be had is tried again

_SECURITY = (("Server", SERVER), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
             ("X-Frame-Options", "DENY"), ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
             ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Resource-Policy", "same-origin"))
_WORDS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
          500: "Internal Server Error", 503: "Service Unavailable"}
_JSON, _PLAIN = "application/json", "text/plain; charset=utf-8"

log = logging.getLogger(f"{PRODUCT}.admin")

Answer = tuple[int, str, bytes]                 # status, content type, body
Environ = dict[str, Any]


class _Head:
    """The reading side of a connection while a head is read: it ends with an error, not with our memory."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, MAX_HEAD_BYTES

    def readline(self, limit: int = -1) -> bytes:
        most = self._left + 1
        line: bytes = self._file.readline(most if limit < 0 else min(limit, most))
        self._left -= len(line)
        if self._left < 0:
            raise ValueError(f"a head of more than {MAX_HEAD_BYTES} bytes")
        return line


class _Exchange(WSGIHandler):
    """pywsgi's handler with bounds: time for a head and for an answer, bytes of a head, requests on a connection."""

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        super().__init__(sock, address, server)
        self.socket.settimeout(SEND_S)
        self._requests = 0

    def MessageClass(self, *args: Any) -> Any:
        return super().MessageClass(_Head(self.rfile), *args[1:])

    def read_requestline(self) -> str:
        with gevent.Timeout(HEAD_S, TimeoutError("idle")):
            return str(super().read_requestline())

    def read_request(self, raw_requestline: str) -> bool:
        with gevent.Timeout(HEAD_S, ValueError("a head that does not end")):
            super().read_request(raw_requestline)
        if self.request_version == "HTTP/0.9":
            raise ValueError("HTTP/0.9")
        self._requests += 1
        if self.headers.get("content-length") or "transfer-encoding" in self.headers:
            # nothing here reads a body: it is not waited for either
            del self.headers["transfer-encoding"], self.headers["content-length"]
            self.content_length = 0
            self.close_connection = True
        self.close_connection = self.close_connection or self._requests >= MOST_REQUESTS
        return True

    def finalize_headers(self) -> None:
        if self.close_connection:
            self.response_headers.append((b"Connection", b"close"))
        super().finalize_headers()

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        self.close_connection = True
        if issubclass(kind, OSError):
            log.debug("a client of the admin address went away: %s", error)
            return
        log.error("the admin address failed for an error inside hostmesh", exc_info=(kind, error, trace))
        self._send_error_response_if_possible(500)


class Admin:
    """The admin address of this agent; `bound` is where it listens ("": it does not).

    `memory` must be this object's own (it is read in a thread), `tell` answers the present about.json.  `former` is
    where a former agent of this service listened: where the system may choose the port, that one is chosen again.
    `redis` answers how Redis does, None where there is none.
    """

    def __init__(self, static: Static, memory: Memory, bound: Mapping[str, str], tell: Callable[[], About],
                 table: Table, former: str = "", redis: Callable[[], RedisSeen | None] = lambda: None) -> None:
        self._static, self._memory, self._entry_points, self._tell = static, memory, bound, tell
        self._table, self._redis = table, redis
        self._thread = ThreadPool(1)
        self._asking = BoundedSemaphore(4)      # of /ready: each is a connection to every entrypoint
        self._server: WSGIServer | None = None
        self._hosts: frozenset[str] | None = None
        self._complaint = ""
        self._again = 0.0
        self._former = former
        self.bound = ""
        self._registry = registry_of(self._families)
        self._made: dict[str, Callable[[Environ], Answer]] = {
            "/metrics": self._metrics,
            "/api/version": lambda _: _json(api.version(self._tell())),
            "/api/rawdata": lambda _: _json(api.rawdata(self._dynamic(), published(self._memory), static)),
            "/api/overview": lambda _: _json(api.overview(published(self._memory), static)),
            "/api/entrypoints": lambda _: _json(api.entry_points(static, bound)),
            "/api/endpoints": lambda _: _json(api.endpoints(table.endpoints())),
            "/api/status": lambda _: _json(status(self._memory, self._tell())),
            "/api/files": lambda _: _json(files(published(self._memory)))}

    def open(self, now: float) -> None:
        """Listens, unless it does already, is not to, or has failed to a moment ago (`now` in seconds)."""
        if self._server is not None or not self._static.api_address or now < self._again:
            return
        try:
            listener = self._listen()
        except (CannotListen, OSError, ValueError) as error:        # the last: a host name that is none
            self._again = now + AGAIN_S
            if (complaint := str(error).removeprefix("entrypoint ")) != self._complaint:
                log.error("%s; trying again every %g s, and traffic is served meanwhile", complaint, AGAIN_S)
                self._complaint = complaint
            return
        self._complaint = ""
        sock = gevent.socket.socket(fileno=listener.sock.detach())
        self._hosts = _own_names(self._static, sock.getsockname()[0])
        self._server = WSGIServer(sock, self._answer, spawn=Pool(MOST_CONNECTIONS), handler_class=_Exchange, log=None,
                                  error_log=LoggingLogAdapter(log, logging.DEBUG))
        self._server.start()
        host, port = sock.getsockname()[:2]
        self.bound = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        log.info("admin on %s", self.bound)

    def _listen(self) -> Listener:
        host, _, port = self._static.api_address.rpartition(":")
        wanted = EntryPoint("api.address", host.strip("[]"), int(port))
        former_host, _, former_port = self._former.rpartition(":")
        if former_host == host and wanted.port == 0:
            self._former = ""           # it is asked for once: another may have it by now
            with contextlib.suppress(CannotListen):
                return open_all({wanted.name: replace(wanted, port=int(former_port))}, {})[wanted.name]
        return open_all({wanted.name: wanted}, {})[wanted.name]

    def close(self) -> None:
        """Stops listening; what is being answered is given up."""
        if self._server is not None:
            self._server.stop(timeout=0)
            self._server, self.bound = None, ""

    def _answer(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        code, kind, body = self._answer_to(environ, method)
        headers = [*_SECURITY, ("Content-Type", kind), ("Content-Length", str(len(body)))]
        if code == 405:
            headers.append(("Allow", "GET, HEAD"))
        start_response(f"{code} {_WORDS[code]}", headers)
        return [] if method == "HEAD" else [body]

    def _answer_to(self, environ: Environ, method: str) -> Answer:
        if refused := self._why_not_for_us(environ):
            return refused
        if method not in ("GET", "HEAD"):
            return _message(405, f"{method} is not for this address: it answers GET and HEAD")
        path = environ["PATH_INFO"]
        if path == "/ping":
            return 200, _PLAIN, b"OK"
        if path == "/ready":
            with self._asking:
                why = why_not_ready(self._entry_points)
            return (503, _PLAIN, f"{why}\n".encode()) if why else (200, _PLAIN, b"OK")
        make = self._made.get(path)
        if make is None:
            return _message(404, f"there is nothing at {path[:200]}", paths=["/ping", "/ready", *self._made])
        try:
            answer: Answer = self._thread.apply(make, (environ,))
        except Exception:
            log.exception("%s failed for an error inside hostmesh", path)
            return _message(500, "this is an error inside hostmesh; its log says more")
        return answer

    def _why_not_for_us(self, environ: Environ) -> Answer | None:
        """Against DNS rebinding: a page of somebody's site whose name leads to 127.0.0.1 asks with that name."""
        host = environ.get("HTTP_HOST")
        if host is None:
            # a browser always says; HTTP/1.1 demands it (RFC 9112 3.2)
            return _message(400, "Host is missing") if environ["SERVER_PROTOCOL"] == "HTTP/1.1" else None
        if self._hosts is None or _without_port(host) in self._hosts:
            return None
        return _message(403, f"Host {host[:100]} is none of this host's names; ask for localhost or 127.0.0.1")

    # In the thread

    def _metrics(self, environ: Environ) -> Answer:
        openmetrics = negotiate(environ.get("HTTP_ACCEPT", ""))
        return 200, OPENMETRICS if openmetrics else TEXT, write(self._registry.collect(), openmetrics)

    def _families(self) -> Iterator[Metric]:
        said = published(self._memory)
        return families(look(self._memory), self._static.entry_points, said.problems, said.reloaded_at,
                        self._table.endpoints(), self._redis())

    def _dynamic(self) -> Dynamic:
        try:
            return from_json(self._memory.plan.read()[1])
        except (BoardDamaged, ValueError):
            return Dynamic()        # nothing was published yet


def _json(said: Any) -> Answer:
    return 200, _JSON, orjson.dumps(said, option=orjson.OPT_NON_STR_KEYS)


def _message(code: int, said: str, **more: Any) -> Answer:
    return code, _JSON, orjson.dumps({"message": said, **more})


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower().removesuffix(".")


def _own_names(static: Static, address: str) -> frozenset[str] | None:
    """The names that a request may ask for; None, anything, where the address is not loopback's."""
    if not (address.startswith("127.") or address == "::1"):
        return None
    names: Collection[str] = ("localhost", "127.0.0.1", "[::1]", static.host_name, native_socket.gethostname(),
                              f"[{address}]" if ":" in address else address)
    return frozenset(name.lower() for name in names if name)
