"""The http part of a dynamic file and the `mesh.services` short form, field by field.

Owns the vocabulary of routers, services and transports.  A field that is not built yet is WARNS where an object is
useful without it, REFUSED where it protects, or changes who may pass or where requests go.  Floor 2.
"""
from __future__ import annotations

from mesh.model import LoadBalancer, Router, Server, Transport
from mesh.providers.kind_rule import Rule
from mesh.providers.kinds import Choice, Duration, Flag, Number, Pem, Size, Text, Url, Whole
from mesh.providers.shape import Built, Either, Field, ListOf, Shape
from mesh.providers.shapes_balancing import BALANCING, STICKY

LATER = Built.WARNS
REFUSED = Built.REFUSED


def name_of(what: str) -> Text:
    return Text(f"the name of {what}", r"\A[^\s@]+(@[A-Za-z]+)?\Z")


WEIGHT = Whole(0, 1_000_000)
PERCENT = Whole(0, 100)

_DOMAINS = ListOf(Shape(Field("main", Text()), Field("sans", ListOf(Text()))))
ROUTER_TLS = Shape(Field("options", Text()), Field("certResolver", Text()), Field("domains", _DOMAINS))
OBSERVABILITY = Shape(Field("accessLogs", Flag()), Field("metrics", Flag()), Field("tracing", Flag()),
                      Field("traceVerbosity", Text()))

ROUTER = Shape(
    Field("rule", Rule(), "Which requests it takes.", "rule", required=True),
    Field("service", name_of("a service"), "Where they go.", "service", required=True),
    Field("entryPoints", ListOf(name_of("an entrypoint")), "Where it listens; nothing means every default entrypoint.",
          "entry_points"),
    Field("middlewares", ListOf(name_of("a middleware")), "Steps between router and service, in order.", "middlewares"),
    Field("priority", Whole(-2**63, 2**63 - 1001), "Larger is tried first; 0 is the length of the rule.", "priority"),
    Field("ruleSyntax", Choice("v3", "default", refused=("v2",)), "The language of the rule.", "syntax", default="v3"),
    Field("tls", ROUTER_TLS, "Serve TLS.", built=REFUSED),
    Field("parentRefs", ListOf(Text()), "Routers before this one.", built=REFUSED),
    Field("observability", OBSERVABILITY, "Access log, metrics and tracing of this router.", built=LATER),
    words="a router such as {rule: \"Host(`a.example`)\", service: shop}", model=Router)

ENDPOINT = Url("http", "https", refused=("h2c",))

SERVER = Shape(
    Field("url", ENDPOINT, "Scheme, host and port of the endpoint; a path counts with `preservePath` alone.", "url",
          required=True),
    Field("weight", WEIGHT, "Its share; 0 gets nothing.", "weight"),
    Field("preservePath", Flag(), "Put the path of `url` before the request's.", "preserve_path"),
    words="an endpoint such as {url: \"http://10.0.0.1:8080\"}", model=Server)

LOAD_BALANCER = Shape(
    Field("servers", ListOf(SERVER), "The endpoints; none answers 503.", "servers"),
    *BALANCING,
    Field("passHostHeader", Flag(), "Send the client's Host; false sends the endpoint's.", "pass_host_header"),
    Field("serversTransport", name_of("a serversTransport"), "How endpoints are talked to.", "transport",
          default="the default transport"),
    Field("responseForwarding", Shape(Field("flushInterval", Text())), "Nothing is held back here.", built=LATER),
    words="a mapping such as {servers: [{url: \"http://10.0.0.1:8080\"}]}", model=LoadBalancer)

_NONE = Shape(words="{}")

_CHILD = Shape(Field("name", name_of("a service"), "Its name.", required=True),
               Field("weight", WEIGHT, "Its share; 0 gets nothing.", default=1),
               words="a service such as {name: shop, weight: 1}")

WEIGHTED = Shape(
    Field("services", ListOf(_CHILD), "The services that share the requests.", required=True),
    Field("sticky", STICKY, "Keep a client on its service.", "sticky"),
    Field("healthCheck", _NONE, "Pass on the health of the services.", built=LATER),
    words="a mapping such as {services: [{name: shop, weight: 1}]}")

_HASHED = Shape(Field("services", ListOf(_CHILD)), Field("healthCheck", _NONE))

_MIRRORING = Shape(
    Field("service", Text()), Field("mirrorBody", Flag()), Field("maxBodySize", Whole()),
    Field("mirrors", ListOf(Shape(Field("name", Text()), Field("percent", PERCENT)))), Field("healthCheck", _NONE))

_FAILOVER = Shape(
    Field("service", Text()), Field("fallback", Text()), Field("healthCheck", _NONE),
    Field("errors", Shape(Field("status", ListOf(Text())), Field("maxRequestBodyBytes", Whole()))))

SERVICE_KINDS = ("loadBalancer", "weighted", "highestRandomWeight", "mirroring", "failover")

SERVICE = Shape(
    Field("loadBalancer", LOAD_BALANCER, "Endpoints behind one strategy."),
    Field("weighted", WEIGHTED, "Services behind weights."),
    Field("highestRandomWeight", _HASHED, "Services by the client's address.", built=REFUSED),
    Field("mirroring", _MIRRORING, "Copies of requests to other services.", built=REFUSED),
    Field("failover", _FAILOVER, "Another service when one is down.", built=REFUSED),
    Field("middlewares", ListOf(Text()), "Middlewares after those of the router.", built=REFUSED),
    words="a service such as {loadBalancer: {servers: [{url: \"http://10.0.0.1:8080\"}]}}",
    exactly_one=SERVICE_KINDS)

_TIMEOUTS = Shape(
    Field("dialTimeout", Duration(), "Until a connection is made; 0 is no limit.", "dial_timeout"),
    Field("responseHeaderTimeout", Duration(), "From the request sent to the head of its answer; 0 is no limit.",
          "response_header_timeout"),
    Field("idleConnTimeout", Duration(), "How long an idle connection is kept; 0 is no limit.", "idle_conn_timeout"),
    Field("readIdleTimeout", Duration(), "HTTP/2 alone.", built=LATER),
    Field("pingTimeout", Duration(), "HTTP/2 alone.", built=LATER),
    model=Transport)

CERTIFICATES = ListOf(Shape(Field("certFile", Text()), Field("keyFile", Text())))
SPIFFE = Shape(Field("ids", ListOf(Text())), Field("trustDomain", Text()))

TRANSPORT = Shape(
    Field("serverName", Text(), "The name that an endpoint's certificate must have.", "server_name",
          default="the host of its url"),
    Field("insecureSkipVerify", Flag(), "Believe any certificate.", "insecure_skip_verify"),
    Field("rootCAs", ListOf(Pem()), "Whom to believe: PEM text or paths.", "root_cas", default="the system's"),
    Field("maxIdleConnsPerHost", Whole(0, 2**31 - 1),
          "Idle connections that one worker keeps to one endpoint; 0 is as not said.", "max_idle_conns_per_host"),
    Field("forwardingTimeouts", _TIMEOUTS, "Time-outs towards endpoints.", ""),
    Field("disableHTTP2", Flag(), "Endpoints are spoken to in HTTP/1.1 either way.", "http1"),
    Field("certificates", CERTIFICATES, "Our own certificates.", built=REFUSED),
    Field("cipherSuites", ListOf(Text()), "Ciphers.", built=REFUSED),
    Field("minVersion", Text(), "Least TLS version.", built=REFUSED),
    Field("maxVersion", Text(), "Last TLS version.", built=REFUSED),
    Field("peerCertURI", Text(), "URI that the certificate must have.", built=REFUSED),
    Field("peerCertSANs", ListOf(Text()), "Names that the certificate must have.", built=REFUSED),
    Field("spiffe", SPIFFE, "Identity by SPIFFE.", built=REFUSED),
    words="a mapping such as {forwardingTimeouts: {dialTimeout: 5s}}", model=Transport)

_RATE = Shape(Field("average", Number()), Field("period", Duration()), Field("burst", Whole(0)),
              Field("scope", Choice("host", "mesh")), words="a mapping such as {average: 100, burst: 50}")

MESH_SERVICE = Shape(
    Field("endpoints", ListOf(Either(ENDPOINT, "url", SERVER)), "Its endpoints; none answers 503.", "servers"),
    Field("port", Whole(1, 65535), "The port that callers use; the name is matched with any port.", "port", default=80),
    Field("trafficType", Choice("http", refused=("tcp", "udp")), "What is spoken.", "traffic", default="http"),
    Field("passHostHeader", Flag(), "Send the client's Host; false sends the endpoint's.", "pass_host_header"),
    Field("serversTransport", name_of("a serversTransport"), "How endpoints are talked to.", "transport",
          default="the default transport"),
    *BALANCING,
    Field("retry", Shape(Field("attempts", Whole(1, 1000)), Field("initialInterval", Duration()),
                         Field("timeout", Duration()), Field("maxRequestBodyBytes", Size()),
                         Field("status", ListOf(Text())), Field("disableRetryOnNetworkError", Flag()),
                         Field("retryNonIdempotentMethod", Flag())), "Try again elsewhere.", built=LATER),
    Field("rateLimit", _RATE, "Requests in a time, for the service.", built=REFUSED),
    Field("endpointLimit", Shape(Field("rateLimit", _RATE), Field("maxInFlight", Whole(0)), Field("queue", Whole(0)),
                                 Field("queueTimeout", Duration())), "The same for each endpoint.", built=REFUSED),
    Field("circuitBreaker", Shape(Field("expression", Text()), Field("checkPeriod", Duration()),
                                  Field("fallbackDuration", Duration()), Field("recoveryDuration", Duration()),
                                  Field("responseCode", Whole(100, 599))), "Let it rest when it fails.", built=REFUSED),
    words="a service such as {endpoints: [\"http://10.0.0.1:8080\"]}", model=LoadBalancer)
