"""What a person reads when something is wrong: one line that says where, what, and what to do."""
from __future__ import annotations

import pytest

from mesh.errors import ConfigError
from mesh.providers.catalog import Catalog
from mesh.providers.static import load_static

LOOK = "(look at the indentation and the quotes here and in the line before)"


def told(text: str, file: str = "f.yml") -> list[str]:
    """The problems of one dynamic file, without "error: "."""
    catalog = Catalog(no_disk)
    catalog.said(file, text.encode())
    return [str(problem).replace(" error: ", " ") for problem in catalog.settle({"web"}).problems]


def no_disk(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


@pytest.mark.parametrize("text, line", [
    ("http:\n\trouters: {}\n", "f.yml:2:1: this is not YAML: a tab stands here (YAML is indented with spaces)"),
    ('http:\n  routers: "web\n', "f.yml:2:12: this is not YAML: the quote that begins here is never closed "
     "(the file ends in the middle: half-written?)"),
    ("http: {routers: {a: 1\n", f"f.yml:1:17: this is not YAML: the {{ that begins here is never closed {LOOK}"),
    ("a: [1, 2\nb: 3\n", f"f.yml:2:2: this is not YAML: wanted , or ] here, for the [ in line 1 {LOOK}"),
    ("http:\n   routers: {}\n  services: {}\n", "f.yml:3:3: this is not YAML: wanted a key here, at the column of the "
     f"others in the mapping that begins in line 1 {LOOK}"),
    ("a: b: c\n", f"f.yml:1:5: this is not YAML: a colon makes a key where none can be {LOOK}"),
    ("http: {a: @b}\n", "f.yml:1:11: this is not YAML: a value cannot begin with @ (put it in quotes)"),
    ("http: {a: *b}\n", "f.yml:1:11: *b has no anchor &b before it (text that begins with * stands in quotes)"),
    ("entryPoints: {}\n", "f.yml:1:1: entryPoints is not a known section "
     "(it belongs into the static file, hostmesh.yml)"),
    ("- a\n", "f.yml:1:1: the file is a list; wanted keys such as `http:`"),
    ("http: {services: {a: {servers: []}}}\n", "f.yml:1:23: http.services.a: servers is not a known field "
     "(it belongs into loadBalancer)"),
    ("http: {services: {a: {loadBalancer: {servers: [http://b]}}}}\n", "f.yml:1:48: http.services.a: "
     'loadBalancer.servers[0]: "http://b" is not an endpoint such as {url: "http://10.0.0.1:8080"} '
     '(did you mean {url: "http://b"}?)'),
    ("http: {services: {a: {loadBalancer: {passHostHeader: yes}}}}\n", "f.yml:1:54: http.services.a: "
     'loadBalancer.passHostHeader: "yes" is not true or false (write true)'),
    ("http: {services: {a: {loadBalancer: {}, weighted: {services: []}}}}\n", "f.yml:1:41: http.services.a: wanted one "
     "kind alone, found loadBalancer and weighted"),
    ("http: {middlewares: {a: {}}}\n", "f.yml:1:25: http.middlewares.a: wanted one of addPrefix, basicAuth, buffering, "
     "chain, circuitBreaker, compress, ...; found none"),
    ("http: {routers: {a: {rule: 'Host(`a`)', service: b, tls: {}, observability: {metrics: true}}}}\n",
     "f.yml:1:53: http.routers.a: tls is not supported yet, so it does not serve; "
     "observability is not supported either"),
    ("http: {serversTransports: {a: {forwardingTimeouts: {dialTimeout: 5 S}}}}\n",
     'f.yml:1:66: http.serversTransports.a: forwardingTimeouts.dialTimeout: "5 S" is not a duration such as 5s, 100ms '
     'or 1m30s (did you mean "5s"?)'),
    ("mesh: {services: {a.b: {endpoints: http://c}}}\n", 'f.yml:1:36: mesh.services.a.b: endpoints: "http://c" is not '
     'a list, each a URL such as http://10.0.0.1:8080, or an endpoint such as {url: "http://10.0.0.1:8080"} '
     "(write a list: [http://c])"),
])
def test_a_mistake_in_yaml_is_told_in_one_line(text: str, line: str) -> None:
    assert line in told(text)


@pytest.mark.parametrize("text, line", [
    ("[http.routers.a]\nrule = Host\n", 'f.toml:2:8: this is not TOML: Invalid value (text stands in quotes: "Host")'),
    ("[http.routers.a]\n[http.routers.a]\n", "f.toml:2:16: this is not TOML: [http.routers.a] is said twice"),
])
def test_a_mistake_in_toml_is_told_in_one_line(text: str, line: str) -> None:
    assert told(text, "f.toml") == [line]


def test_a_slip_in_a_required_key_is_told_once() -> None:
    lines = told("http: {routers: {a: {rule: 'Host(`a`)', servise: b}}}\n")
    assert lines == ['f.yml:1:41: http.routers.a: servise is not a known field (did you mean "service"?)']


def test_a_part_of_a_dynamic_file_in_the_static_one_is_shown_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        load_static(b"http: {}\n", "/e/hostmesh.yml")
    assert str(caught.value) == ("/e/hostmesh.yml:1:1: error: http is not a known field "
                                 "(it belongs into a dynamic file below conf.d)")
