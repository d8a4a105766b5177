"""hostmesh register and deregister: an instance tells the mesh of itself.

Owns what is asked for on the command line and the order around the life of a wrapped command: it runs, it answers, it
is registered; it is drained, deregistered, and only then stopped.  How a key is kept stands in workers/registration.py,
how a command is run in workers/wrapped.py.  Floor 4.
"""
from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from redis import Redis as Client
from redis import RedisError
from redis.exceptions import ResponseError

from mesh.errors import ConfigError, did_you_mean
from mesh.model import Redis, RedisServer, Static
from mesh.names import KEY_INSTANCE
from mesh.providers.instances import Instance, complaint, plain_url, read_instance
from workers.about import read_about
from workers.agent.store_link import is_wrong_type
from workers.commands.paper import Paper, print_json
from workers.machine import here, read_static
from workers.notify import Notifier
from workers.registration import DRAINING, GONE, UP, NoRedis, Registration, Wanted, unanswered
from workers.stores import client_of
from workers.wrapped import CannotRun, Wrapped, end_as

_SHOWN = 5                      # ids of instances in a hint


class Unclear(Exception):
    """What was asked for makes no sense; one line for a person."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line; seconds.  `ttl_s` 0: for ever."""

    service: str
    url: str
    id: str = ""
    weight: int = 1
    meta: dict[str, str] = field(default_factory=dict)
    health: str = ""
    ttl_s: float = 15.0
    drain_s: float = 5.0
    stop_s: float = 30.0
    redis: str = ""
    config: str | None = None


def register(asked: Asked, command: Sequence[str], as_json: bool) -> int:
    """Registers once (1: Redis is not to be had), or runs `command` as an instance and ends as it ends."""
    try:
        wanted = _wanted(asked)
    except Unclear as unclear:
        return _refused(str(unclear), as_json, 2)
    if command:
        return _wrap(wanted, asked, command)
    if asked.health and (why := unanswered(wanted.instance.url, asked.health)):
        return _refused(f"{wanted.instance.url} is not registered: {why}", as_json)
    try:
        opened = wanted.opened()
        wanted.write(opened)
    except (RedisError, OSError, NoRedis) as error:
        return _refused(f"Redis cannot be told: {error}", as_json)
    how_long = f"for {wanted.ttl_s:g} s" if wanted.ttl_s else "until it is deregistered"
    return _good(f"{asked.service} {wanted.instance.url} is registered {how_long} ({opened.key})", [opened.key],
                 as_json)


def deregister(asked: Asked, as_json: bool) -> int:
    """Takes away the instances of a service with this url or id; 1 when there is none, or no Redis."""
    url = plain_url(asked.url)
    found: list[str] = []
    known: dict[str, str] = {}
    try:
        redis = _finder(asked)()
        client = client_of(redis.server)
        start = redis.prefix + KEY_INSTANCE.format(service=asked.service, id="")
        for key in sorted(map(str, client.scan_iter(f"{_literal(start)}*", count=1000))):
            id = key.removeprefix(start)
            known[id] = read_instance(asked.service, id, _value(client, key)).url
            if id == asked.url or known[id] == url:
                found.append(key)
        for key in found:
            client.delete(key)
    except (RedisError, OSError, NoRedis) as error:
        return _refused(f"Redis cannot be told: {error}", as_json)
    if found:
        return _good(f"{asked.service} {asked.url} is deregistered ({', '.join(found)})", found, as_json)
    hint = did_you_mean(asked.url, [*known, *known.values()]) or (
        f"registered: {', '.join([*known][:_SHOWN])}" if known else "it has no instance that registered itself")
    return _refused(f"{asked.service} {asked.url} is not registered ({hint})", as_json)


def _value(client: Client, key: str) -> str:
    """What an instance's key says; "" where somebody has put something else there."""
    try:
        return str(client.get(key) or "")
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        return ""


def _wanted(asked: Asked) -> Wanted:
    static = _static(asked)
    url = plain_url(asked.url)
    if url.startswith(":") and url[1:].isdigit():
        url = f"http://{static.host_address or here().host_address}{url}"
    instance = Instance(asked.service, url, asked.weight, asked.id or url.partition("://")[2], "redis",
                        static.host_name or socket.gethostname(), asked.meta)
    if (problem := complaint(instance)) is not None:
        message = problem.message.removeprefix(f'instance "{instance.id}": ')
        raise Unclear(f"{message} ({problem.hint})" if problem.hint else message)
    return Wanted(instance, _finder(asked), asked.ttl_s)


def _static(asked: Asked) -> Static:
    """The static file, or the defaults: an instance must start where hostmesh.yml is wrong, or not there at all."""
    try:
        return read_static(asked.config)[0]
    except ConfigError:
        return Static()


def _finder(asked: Asked) -> Callable[[], Redis]:
    """How the Redis is found, each time anew: hostmesh may be started, or told of another one, after the instance."""
    def find() -> Redis:
        if asked.redis:
            return replace(_static(asked).redis, server=RedisServer((asked.redis,)))
        try:
            static, _ = read_static(asked.config)
        except ConfigError as refused:
            raise NoRedis(f"the static file is refused: {refused.problems[0]}") from None
        if static.redis.server.addresses:
            return static.redis
        if embedded := str(getattr(read_about(static.runtime_directory), "redis", "")):
            return replace(static.redis, server=RedisServer((embedded.removeprefix("redis://"),)))
        raise NoRedis(f"no Redis is known: none in the static file, and none is run by a hostmesh on"
                      f" {static.runtime_directory}; --redis names one")

    return find


class _Life:
    """What happens around the life of the command (workers.wrapped.Leaving)."""

    def __init__(self, registration: Registration, drain_s: float) -> None:
        self._registration = registration
        self._notifier = Notifier(os.environ)
        self._drain_s = drain_s

    def started(self) -> None:
        self._registration.start()

    def drain(self) -> bool:
        if self._registration.reached != UP:
            return False
        self._notifier.send("STOPPING=1", f"STATUS=draining for {self._drain_s:g} s")
        self._registration.want(DRAINING)
        return True

    def leave(self) -> None:
        self._registration.want(GONE)

    @property
    def has_drained(self) -> bool:
        return self._registration.has_drained

    @property
    def has_left(self) -> bool:
        return self._registration.reached == GONE


def _wrap(wanted: Wanted, asked: Asked, command: Sequence[str]) -> int:
    """Ends this process as the command ended; comes back with an exit code where it cannot be run."""
    wrapped = Wrapped(command, os.environ, asked.drain_s, asked.stop_s)
    registration = Registration(wanted, lambda: unanswered(wanted.instance.url, asked.health), _say, wrapped.wake)
    try:
        status = wrapped.run(_Life(registration, asked.drain_s))
    except CannotRun as error:
        _say(str(error))
        return error.code
    if wrapped.was_stopped_early:
        _say(f"{command[0]} ended before it was drained; where systemd has asked it to, KillMode=mixed in the unit"
             " leaves TERM to us alone")
    elif os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGTERM:
        _say(f"{command[0]} was killed by {signal.Signals(os.WTERMSIG(status)).name}")
    return end_as(status)


def _say(line: str) -> None:
    print(f"hostmesh register: {line}", file=sys.stderr, flush=True)


def _literal(key: str) -> str:
    """A key for a pattern of Redis's, every letter standing for itself."""
    return "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in key)


def _good(message: str, keys: Sequence[str], as_json: bool) -> int:
    if as_json:
        print_json({"good": True, "message": message, "keys": keys})
    else:
        Paper().line(message)
    return 0


def _refused(message: str, as_json: bool, code: int = 1) -> int:
    if as_json:
        print_json({"good": False, "message": message, "keys": []})
    else:
        Paper(sys.stderr).line(f"hostmesh: {message}")
    return code
