"""hostmesh redis-cli: a prompt, or one command, at the Redis that this host shares its state through.

Owns the way there: which Redis it is, and what redis-cli has to be told of it.  A password goes by the environment, for
arguments are seen by everybody on the host.  Where neither redis-cli nor valkey-cli is installed a prompt of our own
does what is needed to look and to write.  Floor 4.
"""
from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from typing import Any

from redis import RedisError
from redis.sentinel import Sentinel

from mesh.errors import ConfigError
from mesh.model import RedisServer
from workers.about import read_about
from workers.commands.paper import Paper
from workers.machine import read_static
from workers.stores import CONNECT_S, client_of, with_password

PROGRAMS = ("redis-cli", "valkey-cli")


def redis_cli(config: str | None, args: tuple[str, ...]) -> int:
    """Becomes redis-cli; or 0 when all commands were answered, 1 otherwise."""
    paper = Paper()
    try:
        static, _ = read_static(config)
    except ConfigError as refused:
        paper.problems(refused.problems)
        return 1
    server = static.redis.server
    if not server.addresses:
        private = read_about(static.runtime_directory).redis
        if not private:
            print(f"no Redis: none is named in {static.file}, and no hostmesh runs one for {static.runtime_directory}",
                  file=sys.stderr)
            return 1
        server = RedisServer((private,))
    try:
        server = with_password(_at_its_master(server))
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is not None:
            sys.stdout.flush()
            os.execve(program, [program, *arguments(server), *args], environment(server))
        return _prompt(server, args)
    except (RedisError, OSError) as error:
        print(f"{', '.join(server.addresses)}: {error}", file=sys.stderr)
        return 1


def arguments(server: RedisServer) -> list[str]:
    """What redis-cli is told of a server; no password."""
    first = server.addresses[0]
    if first.startswith("unix://"):
        told = ["-s", first.removeprefix("unix://")]
    else:
        host, _, port = first.rpartition(":")
        told = ["-h", host.strip("[]"), "-p", port]
    if server.username:
        told += ["--user", server.username]
    if server.database:
        told += ["-n", str(server.database)]
    if server.cluster:
        told.append("-c")
    if server.tls:
        files = {"--cacert": server.tls_ca, "--cert": server.tls_cert, "--key": server.tls_key}
        told += ["--tls", *(word for option, path in files.items() if path for word in (option, path))]
        told += ["--insecure"] * server.tls_insecure
    return told


def environment(server: RedisServer) -> dict[str, str]:
    return {**os.environ, **({"REDISCLI_AUTH": server.password} if server.password else {})}


def _at_its_master(server: RedisServer) -> RedisServer:
    """The server itself, where Sentinels are what is known of it."""
    if not server.sentinel:
        return server
    hosts = [(host.strip("[]"), int(port)) for host, _, port in (each.rpartition(":") for each in server.addresses)]
    asks: dict[str, Any] = {"username": server.sentinel_username or None, "password": server.sentinel_password or None,
                            "socket_connect_timeout": CONNECT_S, "socket_timeout": CONNECT_S}
    if server.tls:
        asks |= {"ssl": True, "ssl_ca_certs": server.tls_ca or None, "ssl_certfile": server.tls_cert or None,
                 "ssl_keyfile": server.tls_key or None, "ssl_cert_reqs": "none" if server.tls_insecure else "required",
                 "ssl_check_hostname": not server.tls_insecure}
    host, port = Sentinel(hosts, sentinel_kwargs=asks).discover_master(server.sentinel)
    return RedisServer((f"{host}:{port}",), server.username, server.password, server.database, tls=server.tls,
                       tls_ca=server.tls_ca, tls_cert=server.tls_cert, tls_key=server.tls_key,
                       tls_insecure=server.tls_insecure)


def _prompt(server: RedisServer, args: tuple[str, ...]) -> int:
    """The commands of a person, one a line, until the end of the input."""
    client: Any = client_of(server)
    if args:
        return 0 if _asked(client, list(args)) else 1
    is_person, good = sys.stdin.isatty(), True
    start = f"{server.addresses[0]}> " if is_person else ""
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            line = input(start)
            try:
                words = shlex.split(line)
            except ValueError as error:
                print(f"(error) {error}")
                good = False
                continue
            if words and words[0].lower() in ("quit", "exit"):
                break
            good = (not words or _asked(client, words)) and good
    return 0 if good or is_person else 1


def _asked(client: Any, words: list[str]) -> bool:
    try:
        answer = client.execute_command(*words)
    except RedisError as error:
        print(f"(error) {error}")
        return False
    print("\n".join(_lines(answer)))
    return True


def _lines(answer: Any) -> list[str]:
    """An answer for a person, and for a pipe: a line for each member, keys and values in turn."""
    if isinstance(answer, dict):
        return [line for pair in answer.items() for each in pair for line in _lines(each)]
    if isinstance(answer, (list, tuple, set, frozenset)):
        return [line for each in answer for line in _lines(each)]
    if answer is None:
        return ["(nil)"]
    return ["OK" if answer is True else str(answer)]
