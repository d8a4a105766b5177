"""One probe: a connection of its own, a question, and why the answer is not the one that is wanted.

Owns the socket of a probe, on gevent's loop but without a greenlet: five thousand endpoints each five seconds are a
thousand probes a second, and a watcher with a callback costs a third of a greenlet with its socket object.  The steps
stand in one generator, read from top to bottom, which yields whatever it waits for: the socket, or the addresses of a
name.  What is asked stands in mesh/health/asking.py, who is asked and when in probes.py.  Floor 3.
"""
from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable, Generator
from typing import Any, Protocol

from mesh.health import verdict
from mesh.health.asking import MOST_HEAD_BYTES, MOST_REDIRECTS, REDIRECTS, Asked, read_answer, redirected
from mesh.model import HealthCheck

_READ, _WRITE = 1, 2            # of libev
_PIECE = 16384
# Our own trouble and no word about the endpoint: descriptors, memory, local ports
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
_WHY = {
    errno.ECONNREFUSED: verdict.REFUSED, errno.ECONNRESET: verdict.RESET, errno.EPIPE: verdict.RESET,
    errno.ECONNABORTED: verdict.RESET, errno.ETIMEDOUT: verdict.NOT_CONNECTED, errno.EHOSTUNREACH: verdict.UNREACHABLE,
    errno.ENETUNREACH: verdict.UNREACHABLE, errno.EHOSTDOWN: verdict.UNREACHABLE,
    errno.ENETDOWN: verdict.UNREACHABLE, **dict.fromkeys(_OURS, verdict.NO_SOCKET)}

Addresses = tuple[str, ...]
Steps = Generator[int | str, Addresses | None, int]


class Finder(Protocol):
    """Who tells addresses of names without blocking; `then` gets none where there are none."""

    def find(self, host: str, then: Callable[[Addresses], None]) -> None: ...


class Probe:
    """One probe under way; `then(probe, why)` is called once at its end, unless it is given up.

    `asked` None: a connection is all that is wanted (TCP), to `host` and `port`.  `context` makes a TLS context, when
    one is needed.
    """

    __slots__ = ("_asked", "_check", "_context", "_finder", "_host", "_loop", "_port", "_server_name", "_sock",
                 "_stage", "_steps", "_then", "_watched", "_watcher", "began", "deadline")

    def __init__(self, loop: Any, check: HealthCheck, host: str, port: int, asked: Asked | None,
                 context: Callable[[], ssl.SSLContext], server_name: str, finder: Finder,
                 then: Callable[[Probe, int], None]) -> None:
        self._loop, self._check, self._host, self._port, self._asked = loop, check, host, port, asked
        self._context, self._server_name, self._finder, self._then = context, server_name, finder, then
        self._sock: socket.socket | None = None
        self._watcher: Any = None
        self._watched = 0
        self._stage = verdict.NAME_TIMED_OUT
        self.began = time.monotonic()
        self.deadline = self.began + check.timeout
        self._steps: Steps | None = self._ask()

    def start(self) -> None:
        """Takes the first steps; it may end before this returns."""
        self._step(None)

    def time_out(self) -> None:
        """Its time is over."""
        self._end(self._stage)

    def give_up(self) -> None:
        """Ends it without a word."""
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()
        self._close()

    # The driver

    def _step(self, value: Addresses | None = None) -> None:
        steps = self._steps
        if steps is None:
            return              # addresses that came too late
        try:
            wanted = steps.send(value)
        except StopIteration as end:
            self._end(end.value)
            return
        except ssl.SSLCertVerificationError:
            self._end(verdict.CERTIFICATE)
            return
        except ssl.SSLError:
            self._end(verdict.TLS)
            return
        except socket.gaierror:
            self._end(verdict.NO_NAME)
            return
        except OSError as error:
            self._end(_WHY.get(error.errno or 0, verdict.FAILED))
            return
        except ValueError:          # a name that TLS or the resolver cannot take
            self._end(verdict.FAILED)
            return
        if isinstance(wanted, str):
            self._finder.find(wanted, self._step)
        elif wanted != self._watched:
            self._watch(wanted)

    def _watch(self, wanted: int) -> None:
        watcher = self._watcher
        if watcher is None:
            assert self._sock is not None
            watcher = self._watcher = self._loop.io(self._sock.fileno(), wanted)
        else:
            watcher.stop()
            watcher.events = wanted
        self._watched = wanted
        watcher.start(self._step)

    def _end(self, why: int) -> None:
        self.give_up()
        self._then(self, why)

    def _close(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher, self._watched = None, 0
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    # The steps

    def _ask(self) -> Steps:
        asked = self._asked
        if asked is None:
            yield from self._connect(self._host, self._port)
            return verdict.WELL
        check = self._check
        for _ in range(MOST_REDIRECTS + 1):
            answer = yield from self._exchange(asked, check.follow_redirects)
            if isinstance(answer, int):
                return answer
            status, location = answer
            is_redirect = check.follow_redirects and status in REDIRECTS and location and status != check.status
            if not is_redirect:
                return verdict.WELL if verdict.is_wanted(status, check) else status
            try:
                asked = redirected(asked, status, location)
            except ValueError:
                return verdict.BAD_REDIRECT
            self._close()
        return verdict.REDIRECTS

    def _exchange(self, asked: Asked, wants_location: bool) -> Generator[int | str, Any, tuple[int, str] | int]:
        """Status and location, or why there are none."""
        sock: socket.socket = yield from self._connect(asked.host, asked.port)
        self._stage = verdict.TIMED_OUT
        if asked.scheme == "https":
            name = self._server_name if asked.host == self._host else ""
            sock = yield from self._shake_hands(sock, name or asked.host)
        left: bytes = asked.head
        while left:
            try:
                left = left[sock.send(left):]
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield _WRITE
            except ssl.SSLWantReadError:
                yield _READ
        data = b""
        yield _READ
        while True:
            try:
                piece = sock.recv(_PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield _READ
                continue
            except ssl.SSLWantWriteError:
                yield _WRITE
                continue
            except ssl.SSLEOFError:
                piece = b""
            data += piece
            try:
                answer = read_answer(data, wants_location)
            except ValueError:
                return verdict.BAD_ANSWER
            if answer is not None:
                return answer
            if not piece:
                return verdict.BAD_ANSWER if data else verdict.NO_ANSWER
            if len(data) >= MOST_HEAD_BYTES:
                return verdict.LONG_ANSWER

    def _connect(self, host: str, port: int) -> Generator[int | str, Any, socket.socket]:
        """A connection to the first address that takes one; OSError of the last one."""
        addresses: Addresses = (host,)
        if not _is_address(host):
            self._stage = verdict.NAME_TIMED_OUT
            addresses = yield host
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, host)
        self._stage = verdict.NOT_CONNECTED
        for last, address in enumerate(addresses, 1 - len(addresses)):
            sock = self._sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                                              socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            error = sock.connect_ex((address, port))
            if error == errno.EINPROGRESS:
                yield _WRITE
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not error:
                return sock
            self._close()
            if not last:
                raise OSError(error, "")
        raise OSError(errno.EHOSTUNREACH, "")

    def _shake_hands(self, sock: socket.socket, name: str) -> Generator[int | str, Any, ssl.SSLSocket]:
        tls = self._context().wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
        self._sock = tls        # it has taken the descriptor over
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                yield _READ
            except ssl.SSLWantWriteError:
                yield _WRITE
            else:
                return tls


def _is_address(host: str) -> bool:
    """Whether a connect needs no resolver.  What only looks like an address (10.0.0.999) would ask one, on the hub."""
    if ":" in host:
        return True
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):
        return False
    return True
