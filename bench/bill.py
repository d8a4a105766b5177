"""The bill by feature: what each thing that is asked of hostmesh adds to the CPU of one request."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256

from bench.figures import Column, Sample
from bench.peers.ours import dynamic
from bench.peers.peer import Wanted
from bench.rows import Bench, Row, hosts, many, under_wrk

BASE = "100 routers"
WEIGHTED = """\
http:
  routers:
    r0: {{rule: 'Host(`h42.bench.example`)', service: both}}
  services:
    both: {{weighted: {{services: [{{name: one, weight: 3}}, {{name: two, weight: 1}}]}}}}
    one: {{loadBalancer: {{servers: [{{url: 'http://127.0.0.1:{first}'}}]}}}}
    two: {{loadBalancer: {{servers: [{{url: 'http://127.0.0.1:{second}'}}]}}}}
"""
STICKY = ", sticky: {cookie: {name: seat}}"
TRANSPORT = "  serversTransports:\n    any: {insecureSkipVerify: true}\n"
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.5", "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: http://www.bench.example/some/where?page=17", "DNT: 1", "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: same-origin", "Priority: u=0, i",
    "Cookie: session=6f1ed002ab5595859014ebf0951522d9; theme=dark; consent=yes", "Cache-Control: max-age=0",
)
PROXIED = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Real-Ip: 192.0.2.7")


Feature = Callable[[Bench], Wanted]


def _with(*headers: str, **options: str) -> Feature:
    """The plain task with more to do, and what the load sends with each request."""
    def wanted(bench: Bench) -> Wanted:
        said = {key.replace("_", " "): value for key, value in options.items()}
        return replace(hosts(100, _both(bench)), headers=headers, options=said)
    return wanted


def _both(bench: Bench) -> tuple[str, ...]:
    return f"127.0.0.1:{bench.upstream.first}", f"127.0.0.1:{bench.upstream.second}"


def _weighted(bench: Bench) -> Wanted:
    return replace(hosts(1, ()), host="h42.bench.example", options={"dynamic": WEIGHTED.format(
        first=bench.upstream.first, second=bench.upstream.second)})


def _known(bench: Bench) -> Wanted:
    """A client that brings the cookie of the first of two endpoints."""
    wanted = _with(balancer=STICKY)(bench)
    value = sha256(f"http://{_both(bench)[0]}".encode()).hexdigest()[:16]
    return replace(wanted, headers=(f"Cookie: theme=dark; seat={value}",))


def _https(bench: Bench) -> Wanted:
    plain = hosts(100, (f"127.0.0.1:{bench.upstream.secure}",))
    said = dynamic(plain, scheme="https", balancer=", serversTransport: any")
    return replace(plain, options={"dynamic": said + TRANSPORT})


FEATURES: Mapping[str, Feature] = {
    BASE: _with(),
    "one router": lambda bench: hosts(1, _both(bench)),
    "10,000 routers": lambda bench: many(bench, 10_000),
    "one endpoint": lambda bench: hosts(100, _both(bench)[:1]),
    "+ path in the rule": _with(rule="Host(`{host}`) && PathPrefix(`/`)"),
    "+ header in the rule": _with("X-Tenant: a", rule="Host(`{host}`) && Header(`X-Tenant`, `a`)"),
    "+ pattern in the rule": _with(rule="Host(`{host}`) && PathRegexp(`^/[a-z]*$`)"),
    "+ a browser's headers": _with(*BROWSER),
    "+ X-Forwarded-* sent": _with(*PROXIED),
    "+ and trusted": _with(*PROXIED, entry_point=", forwardedHeaders: {insecure: true}"),
    "+ access log, common": _with(static="accessLog: {filePath: logs/access.log}"),
    "+ access log, json": _with(static="accessLog: {filePath: logs/access.log, format: json}"),
    "+ weighted services": _weighted,
    "+ p2c over shared cells": _with(balancer=", strategy: p2c"),
    "+ leasttime": _with(balancer=", strategy: leasttime"),
    "+ hrw": _with(balancer=", strategy: hrw"),
    "+ passive health (statuses)": _with(balancer=", passiveHealthCheck: {statuses: true}"),
    "+ p2c and passive health": _with(balancer=", strategy: p2c, passiveHealthCheck: {statuses: true}"),
    "+ sticky cookie": _with(balancer=STICKY),
    "+ sticky cookie, known": _known,
    "+ endpoint's own Host": _with(balancer=", passHostHeader: false"),
    "+ https to the endpoint": _https,
}


def measure(bench: Bench, name: str, round: int) -> Sample:
    with bench.peers["us"].start(bench.fresh(), FEATURES[name](bench), bench.core) as proxy:
        figures, wrong = under_wrk(bench, proxy, "/", 64)
    return Sample("bill", name, round, figures, wrong)


BILL = Row("bill", "hostmesh: what each feature adds (plain, otherwise)", (
    Column("us", "us/request"), Column("busiest_us", "worker"), Column("user_us", "user"),
    Column("system_us", "system"), Column("memory_mib", "MiB")), measure, tuple(FEATURES), (BASE,), is_ours=True,
    is_bill=True)
