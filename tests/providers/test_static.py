"""The static file: what it gives, and that nothing wrong in it is let through."""
from __future__ import annotations

import pytest

from mesh.errors import ConfigError
from mesh.model import AccessLog, EntryPoint, Redis, RedisProvider, RedisServer, Static
from mesh.providers.static import Here, load_static, runtime_directory

FILE = "/etc/hostmesh/hostmesh.yml"
HERE = Here("host-a", "10.0.3.2", 4, "/run/hostmesh", "/var/lib/hostmesh")
SPECIMEN = """
host: {name: host-b, address: 10.0.3.7, workers: 3}
stateDirectory: /var/lib/hostmesh
runtimeDirectory: run
entryPoints:
  web: {address: "127.0.0.1:80", forwardedHeaders: {trustedIPs: [10.0.0.0/8]}}
providers:
  file: {directory: conf.d, watch: false}
  redis: {endpoints: ["10.0.0.5:6379"], rootKey: traefik}
  systemd: {}
redis: {url: "redis://10.0.0.5:6379/0", prefix: "mesh:"}
api: {address: "127.0.0.1:9180", dashboard: true}
ping: {}
accessLog: {filePath: /var/log/hostmesh/access.log, format: json}
log: {level: warn, format: common}
metrics: {prometheus: {}, influxDB2: {}}
tracing: {otlp: {http: {endpoint: "http://127.0.0.1:4318/v1/traces"}}, sampleRate: 0.01}
dns: {address: "127.0.0.1:8653", zone: mesh}
"""


def load(text: str, file: str = FILE) -> Static:
    return load_static(text.encode(), file, HERE)[0]


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return str(caught.value)


def test_the_specimen_of_the_design_is_read_and_what_is_not_built_is_named_once() -> None:
    static, problems = load_static(SPECIMEN.encode(), FILE, HERE)
    assert static == Static(
        FILE, "host-b", "10.0.3.7", 3, "/var/lib/hostmesh", "/etc/hostmesh/run",
        {"web": EntryPoint("web", "127.0.0.1", 80, trusted_ips=("10.0.0.0/8",))}, file_directory="/etc/hostmesh/conf.d",
        file_watch=False, redis=Redis(RedisServer(("10.0.0.5:6379",))),
        redis_provider=RedisProvider(RedisServer(("10.0.0.5:6379",))), systemd_provider=True,
        access_log=AccessLog("/var/log/hostmesh/access.log", "json"), log_level="WARNING")
    assert {problem.severity for problem in problems} == {"warning"}
    assert [problem.message.split()[0] for problem in problems] == [
        "api.dashboard", "metrics.influxDB2", "tracing", "dns"]


@pytest.mark.parametrize("data", [None, b"# nothing but a comment\n", b"{}"])
def test_without_a_word_the_defaults_hold(data: bytes | None) -> None:
    static, problems = load_static(data, FILE, HERE)
    assert not problems
    assert static == Static(FILE, "host-a", "10.0.3.2", 4, "/var/lib/hostmesh", "/run/hostmesh",
                            {"web": EntryPoint("web", "127.0.0.1", 80)}, file_directory="/etc/hostmesh/conf.d")


def test_toml_says_the_same_as_yaml() -> None:
    toml = ('[entryPoints.web]\naddress = ":8080"\n'
            '[entryPoints.web.transport.respondingTimeouts]\nreadTimeout = "1m30s"\n')
    yaml = 'entryPoints: {web: {address: ":8080", transport: {respondingTimeouts: {readTimeout: 90}}}}'
    assert load(toml, "/etc/x.toml").entry_points == load(yaml).entry_points
    assert load(yaml).entry_points["web"].read_timeout == 90.0


@pytest.mark.parametrize("said, host, port", [
    (":80", "0.0.0.0", 80), ("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:8080/tcp", "::1", 8080), ("[::]:80", "::", 80),
    ("localhost:1", "localhost", 1)])
def test_an_address_has_the_forms_that_traefik_knows(said: str, host: str, port: int) -> None:
    entry = load(f'entryPoints: {{web: {{address: "{said}"}}}}').entry_points["web"]
    assert (entry.host, entry.port) == (host, port)


def test_every_timeout_and_bound_of_an_entrypoint_can_be_said() -> None:
    entry = load("""
entryPoints:
  web:
    address: ":80"
    asDefault: true
    forwardedHeaders: {insecure: "true", trustedIPs: 192.168.1.7}
    transport:
      respondingTimeouts: {readTimeout: 1s, writeTimeout: 2s, idleTimeout: 3s,
                           headerTimeout: 4s, bodyIdleTimeout: 5s, totalTimeout: 6s}
      lifeCycle: {graceTimeOut: 7s}
      keepAliveMaxRequests: 8
      keepAliveMaxTime: 9s
    http: {maxHeaderBytes: 64KiB, maxHeaders: 11, maxTargetBytes: 1200, sanitizePath: false}
""").entry_points["web"]
    assert entry == EntryPoint("web", "0.0.0.0", 80, True, True, ("192.168.1.7/32",), 1, 2, 3, 4, 5, 6,
                               65536, 11, 1200, False, 8, 9, 7)


@pytest.mark.parametrize("text", ["", "\n", " \n\n"])
def test_an_emptied_file_is_refused_and_not_taken_for_the_defaults(text: str) -> None:
    # `>hostmesh.yml` under a running service moved it to port 80 and to another directory of routes.
    assert refused(text) == f"{FILE}: error: the file is empty (delete it, or write `{{}}`, to run on the defaults)"


def test_every_problem_is_told_with_its_place_and_the_nearest_right_word() -> None:
    lines = refused('entryPoints:\n  web: {adress: ":80"}\nlog: {level: debag}\nhost: {workers: many}\n').splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{FILE}:2:9", f"{FILE}:3:14", f"{FILE}:4:17"]
    assert 'did you mean "address"?' in lines[0]
    assert 'did you mean "DEBUG"?' in lines[1]
    assert '"many" is not a whole number from 1 to 512' in lines[2]


@pytest.mark.parametrize("said, told", [
    ('entryPoints: {web: {address: ":80", http: {tls: {}}}}', "http.tls is not supported yet"),
    ('entryPoints: {web: {address: ":80", http: {middlewares: [auth]}}}', "http.middlewares is not supported yet"),
    ('entryPoints: {web: {address: ":80/udp"}}', "udp is not supported yet"),
    ('entryPoints: {a: {address: ":80"}, b: {address: ":80"}}', "is the address of a too"),
    ('entryPoints: {a: {address: "127.0.0.1:9180"}}\napi: {address: "127.0.0.1:9180"}', "of the entrypoint a too"),
    ('entryPoints: {"a b": {address: ":80"}}', "is not a name"),
    ('entryPoints: {a: {address: ":70000"}}', "70000 is not a port"),
    ("providers: {file: {directory: a, filename: b}}", "found both"),
    ("api:\n", "nothing stands here"),
    ("log: {level: INFO, level: DEBUG}", "said twice"),
    ("- a", "the file is a list"),
    ("entryPoints: [", "this is not YAML"),
])
def test_a_static_file_that_is_wrong_is_refused(said: str, told: str) -> None:
    assert told in refused(said)


def test_what_asks_for_nothing_is_no_reason_for_a_warning() -> None:
    assert load_static(b"api: {dashboard: false, debug: false}\nlog: {maxSize: 0}", FILE, HERE)[1] == []


def test_the_api_can_be_turned_off() -> None:
    assert load('api: {address: ""}').api_address == ""


def test_a_filename_stands_in_for_the_directory() -> None:
    static = load("providers: {file: {filename: ../routes.yml}}")
    assert (static.file_filename, static.file_directory) == ("/etc/routes.yml", "")


def test_no_provider_is_asked_for_where_providers_say_so() -> None:
    static = load("providers: {}")
    assert (static.file_filename, static.file_directory) == ("", "")


@pytest.mark.parametrize("environ, uid, expected", [
    ({"RUNTIME_DIRECTORY": "/run/one:/run/two"}, 1000, "/run/one"), ({}, 0, "/run/hostmesh"),
    ({"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/user/7/hostmesh"), ({}, 7, "/tmp/hostmesh-7")])
def test_the_runtime_directory_is_systemds_or_roots_or_the_users(
        environ: dict[str, str], uid: int, expected: str) -> None:
    assert runtime_directory(environ, uid) == expected
