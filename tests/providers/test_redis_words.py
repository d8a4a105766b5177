"""How the static file names a Redis: URLs read strictly, forms that exclude each other, passwords nobody prints."""
from __future__ import annotations

import json

import pytest

from mesh.errors import ConfigError
from mesh.model import Redis, RedisProvider, RedisServer, Static
from mesh.providers.published import as_dict
from mesh.providers.static import Here, load_static

FILE = "/etc/hostmesh/hostmesh.yml"
HERE = Here("host-a", "10.0.3.2", 4, "/run/hostmesh", "/var/lib/hostmesh")


def disk(path: str) -> bytes:
    if path == "/etc/hostmesh/secret":
        return b"from the file\nnot this\n"
    if path == "/etc/hostmesh/void":
        return b"\n"
    raise FileNotFoundError(2, "No such file or directory", path)


def load(text: str) -> Static:
    static, problems = load_static(text.encode(), FILE, HERE, disk)
    assert not problems, [str(each) for each in problems]
    return static


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_static(text.encode(), FILE, HERE, disk)
    assert all(problem.place.line > 0 for problem in caught.value.problems)
    return str(caught.value) + json.dumps([as_dict(problem) for problem in caught.value.problems])


@pytest.mark.parametrize("url, server", [
    ("redis://10.0.0.5", RedisServer(("10.0.0.5:6379",))),
    ("redis://r.example:7000/3", RedisServer(("r.example:7000",), database=3)),
    ("redis://:p%40ss@[fd00::5]:7000", RedisServer(("[fd00::5]:7000",), password="p@ss")),
    ("rediss://ann:pw@r.example/", RedisServer(("r.example:6379",), "ann", "pw", tls=True)),
    ("unix:///run/redis.sock?db=2", RedisServer(("unix:///run/redis.sock",), database=2)),
    ("unix://:pw@/run/redis.sock", RedisServer(("unix:///run/redis.sock",), password="pw")),
])
def test_a_url_says_it_all(url: str, server: RedisServer) -> None:
    assert load(f'redis: {{url: "{url}"}}').redis == Redis(server)
    assert load(f'redis: "{url}"').redis == Redis(server)


@pytest.mark.parametrize("url, told", [
    ("http://10.0.0.5", "it must begin with redis://, rediss:// or unix://"),
    ("10.0.0.5:6379", 'did you mean "redis://10.0.0.5:6379"?'),
    ("redis://", "it names no host"),
    ("redis://h:0", "its port is not 1 to 65535"),
    ("redis://h:70000", "its port is not 1 to 65535"),
    ("redis://a_b..c", "its host is no host name"),
    ("redis://h/one", "what follows the host is the number of a database"),
    ("redis://h?db=1", "options stand beside the URL"),
    ("redis://:hush/hush@h", "a / in a password must be written %2F"),
    ("redis://:hu@sh@h", "an @ in a password must be written %40"),
    ("redis://:hush#@h", "a # must be written %23"),
    ("redis://:hu sh@h", "must be percent-encoded"),
    ("redis://ann@h", "a user name without a password"),
    ("unix://run/redis.sock", "it begins with a third slash"),
    ("unix:///run/redis.sock?x=1", "nothing but ?db=NUMBER"),
])
def test_a_url_is_read_strictly_and_says_why_not(url: str, told: str) -> None:
    said = refused(f'redis: {{url: "{url}"}}')
    assert told in said
    assert "hush" not in said


def test_a_set_under_sentinels() -> None:
    redis = load('redis: {sentinel: {masterName: mesh, addresses: ["10.0.0.5:26379", "10.0.0.6:26379"], password: one},'
                 " password: two, database: 4, prefix: 'm:'}").redis
    assert redis == Redis(RedisServer(("10.0.0.5:26379", "10.0.0.6:26379"), password="two", database=4, sentinel="mesh",
                                      sentinel_password="one"), "m:")


def test_a_cluster_with_tls() -> None:
    redis = load("redis: {addresses: [a.example, b.example:7001], cluster: true, username: ann, passwordFile: secret, "
                 "tls: {ca: ca.pem, cert: /c.pem, key: /k.pem}}").redis
    assert redis.server == RedisServer(
        ("a.example:6379", "b.example:7001"), "ann", "from the file", cluster=True, tls=True,
        tls_ca="/etc/hostmesh/ca.pem", tls_cert="/c.pem", tls_key="/k.pem")


def test_tls_alone_is_enough_and_a_ca_may_stand_beside_a_url() -> None:
    assert load("redis: {addresses: a.example, tls: {}}").redis.server.tls
    assert load("redis: {addresses: a.example, tls: true}").redis.server.tls
    assert not load("redis: {addresses: a.example, tls: false}").redis.server.tls
    server = load('redis: {url: "rediss://a.example", tls: {ca: /ca.pem}}').redis.server
    assert (server.tls, server.tls_ca) == (True, "/ca.pem")


def test_the_private_one_is_turned_off_by_one_word() -> None:
    assert load("{}").redis == Redis(embedded=True)
    assert load("redis: {embedded: false}").redis == Redis(embedded=False)


@pytest.mark.parametrize("said, told", [
    ('{url: "redis://h", addresses: [g]}', "wanted one kind alone, found url and addresses"),
    ('{url: "redis://:a@h", password: b}', "the url says a password too"),
    ('{url: "redis://h/1", database: 2}', "the url says a database too"),
    ("{addresses: [h], password: a, passwordFile: secret}", "wanted password or passwordFile, found both"),
    ("{addresses: [h], passwordFile: nowhere}", "/etc/hostmesh/nowhere cannot be read: No such file"),
    ("{addresses: [h], passwordFile: void}", "the first line of /etc/hostmesh/void is empty"),
    ("{password: a}", "redis.password belongs to a server, and none is named"),
    ("{cluster: true}", "redis.cluster: no node is named"),
    ("{addresses: [h], cluster: true, database: 1}", "a Cluster has no database but 0"),
    ("{sentinel: {masterName: m}}", "redis.sentinel: addresses is missing"),
    ('{url: "redis://h", embedded: true}', "url names the server, so none is run"),
    ('{url: "rediss://h", tls: false}', "the url is one of rediss://"),
    ("{addresses: [h], tls: {cert: a.pem}}", "cert and key come together"),
    ("{addresses: ['redis://h:1']}", "not a URL (write host:port; tls stands beside)"),
    ("{prefix: 'a*'}", "is not a prefix such as mesh:"),
])
def test_what_does_not_fit_together_is_refused(said: str, told: str) -> None:
    assert told in refused(f"redis: {said}")


def test_the_redis_provider_has_traefiks_words() -> None:
    static = load("providers: {redis: {endpoints: ['10.0.0.5:6379'], rootKey: mesh/traefik/, username: ann, "
                  "password: pw, db: 2, tls: {insecureSkipVerify: true}}}")
    assert static.redis_provider == RedisProvider(
        RedisServer(("10.0.0.5:6379",), "ann", "pw", 2, tls=True, tls_insecure=True), "mesh/traefik")
    assert load("providers: {redis: {}}").redis_provider == RedisProvider()
    assert load("providers: {redis: {endpoints: ['s:1'], sentinel: {masterName: m, password: x}}}").redis_provider == (
        RedisProvider(RedisServer(("s:1",), sentinel="m", sentinel_password="x")))
    assert load("providers: {file: {}}").redis_provider is None


def test_units_of_systemd_are_asked_for_by_an_empty_mapping() -> None:
    assert load("providers: {systemd: {}}").systemd_provider
    assert not load("providers: {file: {}}").systemd_provider
    assert "systemd: nothing stands here" in refused("providers: {systemd: }")


@pytest.mark.parametrize("text", [
    "redis: {url: [hush]}", "redis: {url: hush}", "redis: hush hush", "redis: [hush]", 'redis: "redis://u:hush@h:x"',
    "redis: {addresses: 'u:hush@h'}", "redis: {addresses: ['redis://:hush@h']}", "redis: {addresses: ['a:hush@b,c']}",
    "redis: {addresses: 'redis://:hush@a,redis://:hush@b'}", "redis: {addresses: hush hush}",
    "redis: {password: [hush]}", "redis: {password: {a: hush}}", 'redis: {password: "hush\\nhush"}',
    "redis: {addresses: [h], pasword: hush}", 'redis: {url: "redis://:hush@h", password: hush}',
    'redis: {addresses: [h], tls: {key: "-----BEGIN hush"}}', "redis: {addresses: [h], password: hush, cluster: maybe}",
    "providers: {redis: {endpoints: ['redis://:hush@h'], password: hush}}",
    "providers: {redis: 'redis://:hush@h'}",
    "providers: {redis: {sentinel: {password: hush}}}",
])
def test_no_password_is_repeated_by_an_error(text: str) -> None:
    assert "hush" not in refused(text)


def test_no_password_is_shown_by_a_model() -> None:
    static = load('redis: {url: "redis://ann:hush@h"}\nproviders: {redis: {password: hush}}')
    assert static.redis.server.password == "hush"
    assert "hush" not in repr(static)
