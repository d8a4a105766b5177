"""How a Redis is reached, field by field, and the model made of what was said: `redis` and `providers.redis`.

Owns the vocabulary of both and what their fields mean together.  Traefik's words stand in `providers.redis`; those of
`redis` are ours, because Traefik shares nothing between its hosts.  Passwords are Secrets: no problem, schema or page
shows one.  Floor 2.
"""
from __future__ import annotations

from typing import Any

from mesh.model import Redis, RedisProvider, RedisServer
from mesh.providers.kinds import FilePath, Flag, Text, Whole
from mesh.providers.kinds_redis import RedisAddress, RedisUrl, Secret, TlsFile
from mesh.providers.shape import Built, Either, Field, ListOf, Reading, Shape
from mesh.providers.tree import Node, Scalar

LATER = Built.WARNS
MOST_PASSWORD = 4096            # bytes of a password's file

_WORD = Text("a name without spaces", r"\A[!-~]{1,200}\Z")


class Addresses(ListOf):
    """A list of addresses, of which nothing is quoted: somebody may have written a password into one."""

    def __init__(self) -> None:
        super().__init__(RedisAddress())
        self.words = "a list of addresses such as [\"10.0.0.5:6379\"]"

    def read(self, node: Node, at: str, reading: Reading) -> Any:
        if isinstance(node, Scalar) and "," in node.text:
            return reading.wrong(node, f"{at}: wanted {self.words}, and here are several in one text",
                                 hint="write a list: [one, two]")
        return super().read(node, at, reading)


def _credentials(whom: str) -> tuple[Field, ...]:
    return (Field("username", _WORD, f"The user at {whom}.", "username", default="the default user"),
            Field("password", Secret(), f"The password at {whom}; better in a file of its own.", "password"),
            Field("passwordFile", FilePath(), "A file whose first line is that password.", "password_file"))


TLS = Shape(
    Field("ca", TlsFile(), "Whom to believe.", "tls_ca", default="the system's"),
    Field("cert", TlsFile(), "Our own certificate.", "tls_cert"),
    Field("key", TlsFile(), "Its key.", "tls_key"),
    Field("insecureSkipVerify", Flag(), "Believe any certificate.", "tls_insecure"),
    words="a mapping such as {ca: ca.pem}", model=RedisServer)

_TLS = Field("tls", Either(Flag(), "on", TLS), "Speak TLS; `{}` is enough.", "tls",
             default="false, and true by rediss://")

_SENTINEL = Shape(
    Field("masterName", _WORD, "The name of the set.", "sentinel", required=True),
    Field("addresses", Addresses(), "The Sentinels.", "addresses", required=True),
    *_credentials("the Sentinels"),
    words="a mapping such as {masterName: mesh, addresses: [\"10.0.0.5:26379\"]}")

_REDIS = Shape(
    Field("url", RedisUrl(), "The server, in one text.", "url"),
    Field("addresses", Addresses(), "The same by address; several are nodes of a Cluster, or tried in turn.",
          "addresses"),
    Field("sentinel", _SENTINEL, "A set of servers that Sentinels watch over.", "sentinel"),
    Field("cluster", Flag(), "It is a Redis Cluster.", "cluster"),
    *_credentials("the server"),
    Field("database", Whole(0, 65535), "The number of the database.", "database"),
    Field("prefix", Text("a prefix such as mesh:", r"\A[A-Za-z0-9_.:/{}-]{1,64}\Z"), "What every key begins with.",
          "prefix", default=Redis().prefix),
    _TLS,
    Field("embedded", Flag(), "Where no server is named, the agent runs a private one.", "embedded", default=True),
    words="a mapping such as {url: \"redis://10.0.0.5:6379/0\"}", model=RedisServer)

REDIS = Either(RedisUrl(), "url", _REDIS)

REDIS_PROVIDER = Shape(
    Field("endpoints", Addresses(), "Its addresses; those of the Sentinels where `sentinel` is said.", "addresses",
          default="127.0.0.1:6379"),
    Field("rootKey", Text("a key such as traefik", r"\A[A-Za-z0-9_.:/{}-]{1,128}\Z"), "Where the configuration begins.",
          "root_key", default=RedisProvider().root_key),
    *_credentials("the server"),
    Field("db", Whole(0, 65535), "The number of the database.", "database", default=0),
    _TLS,
    Field("sentinel", Shape(
        Field("masterName", _WORD, "The name of the set.", "sentinel", required=True),
        *_credentials("the Sentinels"),
        Field("latencyStrategy", Flag(), "Ask the nearest server.", built=LATER),
        Field("randomStrategy", Flag(), "Ask any server.", built=LATER),
        Field("replicaStrategy", Flag(), "Ask replicas.", built=LATER),
        Field("useDisconnectedReplicas", Flag(), "Ask replicas that lost their master.", built=LATER),
        words="a mapping such as {masterName: mesh}"), "It is a set that Sentinels watch over.", "sentinel"),
    words="a mapping such as {endpoints: [\"10.0.0.5:6379\"]}")


def redis_of(said: dict[str, Any], reading: Reading) -> Redis:
    """The state shared between hosts, of the values of REDIS; what does not fit together is told."""
    at, values = "redis", dict(said)
    named = [name for name in ("url", "addresses", "sentinel") if name in values]
    if len(named) > 1:
        reading.wrong(reading.places[f"{at}.{named[1]}"], f"{at}: wanted one kind alone, found {' and '.join(named)}")
    url = values.pop("url", {})
    for name in ("username", "password", "database"):
        if name in url and (name in values or (name == "password" and "password_file" in values)):
            word: str = name if name in values else "passwordFile"
            reading.wrong(reading.places[f"{at}.{word}"], f"{at}.{word}: the url says a {name} too", "duplicate")
    others = {key: values.pop(key) for key in ("prefix", "embedded") if key in values}
    is_asked = bool(others.get("embedded")) and bool(named)
    server = _server({**url, **values, **({"tls": {"on": True}} if url.get("tls") and not _is_on(values) else {})},
                     at, reading)
    if server.cluster and not server.addresses:
        reading.wrong(reading.places[f"{at}.cluster"], f"{at}.cluster: no node is named",
                      hint="addresses: [one, two, three]")
    if url.get("tls") and "tls" in values and not _is_on(values):
        reading.wrong(reading.places[f"{at}.tls"], f"{at}.tls: false, and the url is one of rediss://", "duplicate")
    if not named and (alone := sorted(values.keys() - {"cluster"})):
        word = "passwordFile" if alone[0] == "password_file" else alone[0]
        reading.wrong(reading.places[f"{at}.{word}"], f"{at}.{word} belongs to a server, and none is named",
                      "missing", "write url: redis://HOST:PORT/0")
    if is_asked:
        reading.wrong(reading.places[f"{at}.embedded"], f"{at}.embedded: {named[0]} names the server, so none is run",
                      hint=f"remove one of embedded and {named[0]}")
    return Redis(server, **others)


def provider_of(said: dict[str, Any], reading: Reading) -> RedisProvider:
    """Where Traefik's KV layout is read from, of the values of REDIS_PROVIDER."""
    values = {"addresses": RedisProvider().server.addresses, **said}
    root = values.pop("root_key", RedisProvider().root_key)
    return RedisProvider(_server(values, "providers.redis", reading), root.strip("/"))


def _is_on(values: dict[str, Any]) -> bool:
    return "tls" in values and values["tls"].get("on", True)


def _server(said: dict[str, Any], at: str, reading: Reading) -> RedisServer:
    values = dict(said)
    tls = values.pop("tls", {"on": False})
    if tls.get("on", True):
        values |= {"tls": True, **{key: value for key, value in tls.items() if key != "on"}}
        if ("tls_key" in tls) != ("tls_cert" in tls):
            reading.wrong(reading.places[f"{at}.tls"], f"{at}.tls: cert and key come together", "missing")
    _take_password(values, at, reading)
    if "sentinel" in values:
        asked = dict(values.pop("sentinel"))
        _take_password(asked, f"{at}.sentinel", reading)
        values |= {f"sentinel_{key}" if key in ("username", "password") else key: value
                   for key, value in asked.items()}
        if values.get("cluster"):
            reading.wrong(reading.places[f"{at}.cluster"], f"{at}: wanted one kind alone, found sentinel and cluster")
    if values.get("cluster") and values.get("database"):
        reading.wrong(reading.places.get(f"{at}.database") or reading.places[f"{at}.url"],
                      f"{at}: a Cluster has no database but 0")
    if values.get("username") and not values.get("password") and not reading.is_broken:
        where = reading.places.get(f"{at}.username") or reading.places.get(f"{at}.url") or reading.places[at]
        reading.wrong(where, f"{at}: a user name without a password", "missing",
                      "a password alone is written redis://:PASSWORD@HOST")
    return RedisServer(**values)


def _take_password(values: dict[str, Any], at: str, reading: Reading) -> None:
    """Puts the password of a file in the place of the file's name."""
    path = values.pop("password_file", None)
    if path is None:
        return
    where = reading.places[f"{at}.passwordFile"]
    if "password" in values:
        reading.wrong(where, f"{at}: wanted password or passwordFile, found both")
        return
    try:
        lines = reading.read(path)[:MOST_PASSWORD].decode().splitlines()
    except OSError as error:
        reading.wrong(where, f"{at}.passwordFile: {path} cannot be read: {error.strerror or error}", "unreadable")
        return
    except UnicodeDecodeError:
        reading.wrong(where, f"{at}.passwordFile: {path} is not text", "unreadable")
        return
    if not lines or not lines[0]:
        reading.wrong(where, f"{at}.passwordFile: the first line of {path} is empty", "empty")
        return
    values["password"] = lines[0]
