"""How a load balancer chooses and judges its endpoints, field by field, and the model made of what was said.

Owns the vocabulary of sticky cookies, health checks and passive health: Traefik's words with Traefik's meaning, ours
beside them for what it does not know.  The numbers that hold where nothing is said are the model's, with one exception:
who writes `passiveHealthCheck` means Traefik's, which counts answers of 500 and above.  Floor 2.
"""
from __future__ import annotations

from typing import Any

from mesh.model import Cookie, HealthCheck, Passive
from mesh.providers.kinds import Choice, Duration, Flag, Text, Whole
from mesh.providers.kinds_health import Headers, Percent, ProbeMode, UrlPath
from mesh.providers.shape import Either, Field, Shape

LEAST_INTERVAL_S = 0.1      # of probes: anything less is a slip of the pen that would load every endpoint

_TOKEN = r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z"          # RFC 6265 4.1.1: cookie-name
_ATTRIBUTE = r"[ -:<-~]*\Z"                                # the same: no control and no ";"

COOKIE = Shape(
    Field("name", Text("the name of a cookie", _TOKEN), "What it is called.", "name",
          default="_ and 5 hex digits made of the service's name, as in Traefik"),
    Field("secure", Flag(), "Browsers send it by HTTPS alone.", "secure"),
    Field("httpOnly", Flag(), "Scripts in browsers do not see it.", "http_only"),
    Field("sameSite", Choice("none", "lax", "strict", fold=True), "Whether it goes along from other sites.",
          "same_site"),
    Field("maxAge", Whole(-2**31, 2**31 - 1), "Seconds that it is kept; 0 is as long as the browser runs, less deletes "
          "it.", "max_age"),
    Field("path", Text("a path", rf"\A/{_ATTRIBUTE}"), "Where below the host it is sent.", "path"),
    Field("domain", Text("a domain", rf"\A{_ATTRIBUTE}"), "The hosts that it is sent to.", "domain",
          default="the host that was asked"),
    words="a mapping such as {name: seat}", model=Cookie)

STICKY = Shape(
    Field("cookie", COOKIE, "The cookie that says which one.", "cookie", required=True),
    words="a mapping such as {cookie: {}}")

HEALTH_CHECK = Shape(
    Field("mode", ProbeMode(), "What is asked: an answer to a request, or a connection.", "mode"),
    Field("path", UrlPath(), "What is asked for.", "path", default="/"),
    Field("scheme", Choice("http", "https"), "Spoken by probes.", "scheme", default="that of the endpoint"),
    Field("hostname", Text("a host name", r"\A[A-Za-z0-9\[][A-Za-z0-9._:\[\]-]{0,254}\Z"), "`Host` of probes.",
          "hostname", default="that of the endpoint"),
    Field("port", Whole(0, 65535), "Asked instead of the endpoint's own; 0 is its own.", "port"),
    Field("method", Choice("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", fold=True), "Method of probes.",
          "method"),
    Field("status", Whole(0, 599), "The answer of an endpoint that is well; 0 is any from 200 to 399.", "status"),
    Field("interval", Duration(LEAST_INTERVAL_S), "From one probe of an endpoint to the next.", "interval"),
    Field("unhealthyInterval", Duration(LEAST_INTERVAL_S), "The same while it is down.", "unhealthy_interval",
          default="interval"),
    Field("timeout", Duration(0.001), "What takes longer is a bad probe.", "timeout"),
    Field("followRedirects", Flag(), "Ask where an answer leads, too.", "follow_redirects"),
    Field("headers", Headers(), "Header lines of probes.", "headers"),
    Field("healthyThreshold", Whole(1, 1000), "Good probes in a row that bring an endpoint back (1 in Traefik, which "
          "has no such key).", "healthy_threshold"),
    Field("unhealthyThreshold", Whole(1, 1000), "Bad probes in a row that take it out (1 in Traefik, which has no such "
          "key).", "unhealthy_threshold"),
    Field("starts", Choice("up", "down"), "What holds until an endpoint's first probe, which is sent at once (not in "
          "Traefik).", "starts"),
    words="a mapping such as {path: /health, interval: 5s}", model=HealthCheck)

PASSIVE_HEALTH_CHECK = Shape(
    Field("failureWindow", Duration(0.001), "The time in which failures are counted.", "window"),
    Field("maxFailedAttempts", Whole(0, 2**31 - 1), "Failures in a row that eject an endpoint; 0 counts none. Traefik "
          "has 1: there one slow request or one lost connection takes an endpoint out.", "attempts"),
    Field("failureRatio", Percent(ratio=True), "Share of failures in the window that ejects it; 0 counts none (not in "
          "Traefik).", "ratio"),
    Field("minRequests", Whole(1, 2**31 - 1), "With fewer requests in the window the ratio says nothing (not in "
          "Traefik).", "min_requests"),
    Field("statuses", Flag(), "An answer of 500 or above is a failure, as in Traefik; false: only what is refused, "
          "broken off or late.", "statuses", default=True),
    Field("ejectionTime", Duration(0.001), "How long an ejected endpoint gets nothing; twice as long each time in a "
          "row (failureWindow in Traefik).", "ejection"),
    Field("maxEjectionTime", Duration(0.001), "The most that this grows to (not in Traefik).", "max_ejection"),
    Field("maxEjectionPercent", Percent(), "Share of the endpoints that may be out at the same time; 0 ejects none. "
          "Traefik ejects all.", "max_ejected"),
    words="a mapping such as {maxFailedAttempts: 3}", model=Passive)

STRATEGY = Choice("wrr", "p2c", "hrw", "leasttime")

_WHAT_STRATEGIES_DO = ("How an endpoint is chosen: in turn by weight, of two the one with less to do, by the client's "
                       "address, or the quickest.")

# What a load balancer of the long form and a service of the short form say in the same words.
BALANCING = (
    Field("strategy", STRATEGY, _WHAT_STRATEGIES_DO, "strategy"),
    Field("sticky", STICKY, "Keep a client on its endpoint.", "sticky"),
    Field("healthCheck", HEALTH_CHECK, "Ask endpoints whether they are well.", "health_check"),
    Field("passiveHealthCheck", Either(Flag(), "on", PASSIVE_HEALTH_CHECK), "Learn from failures; false does not.",
          "passive", default="what fails to connect, breaks off or is late counts; no status does"),
    Field("slowStart", Duration(), "The time in which an endpoint that joins or returns gets to its share; 0 at once "
          "(not in Traefik).", "slow_start"),
    Field("locality", Choice("local"), "`local`: endpoints on this host first, others when these cannot (not in "
          "Traefik).", "locality", default="all alike"),
    Field("panicThreshold", Percent(), "With a smaller share of healthy endpoints all are used, for a guess is better "
          "than a refusal; 0 never (not in Traefik).", "panic_threshold"))


def balancing(values: dict[str, Any]) -> dict[str, Any]:
    """The values of BALANCING as fields of mesh.model.LoadBalancer; others are left as they are."""
    made = dict(values)
    if "sticky" in values:
        made["sticky"] = cookie(values["sticky"])
    if "health_check" in values:
        made["health_check"] = None if values["health_check"].get("mode") == "grpc" else HealthCheck(
            **values["health_check"])
    if "passive" in values:
        made["passive"] = _passive(values["passive"])
    return made


def cookie(sticky: dict[str, Any] | None) -> Cookie | None:
    return None if sticky is None else Cookie(**sticky["cookie"])


def _passive(values: dict[str, Any]) -> Passive:
    said = {key: value for key, value in values.items() if key != "on"}
    if values.get("on", True):
        return Passive(**{"statuses": True, **said})
    return Passive(attempts=0, ratio=0)
