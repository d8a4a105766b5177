"""TCP, UDP and TLS sections, field by field: all known, none built yet.

Owns their vocabulary, so that a slip of the pen is told today and editors complete it.  Floor 2.
"""
from __future__ import annotations

from mesh.providers.kinds import Duration, Flag, Text, Whole
from mesh.providers.shape import Field, Kind, ListOf, MapOf, Shape
from mesh.providers.shapes_http import CERTIFICATES, ROUTER_TLS, SPIFFE

_TEXT, _FLAG, _WHOLE, _TIME = Text(), Flag(), Whole(), Duration()
_TEXTS = ListOf(_TEXT)


def _with(**kinds: Kind) -> Shape:
    return Shape(*(Field(name, kind) for name, kind in kinds.items()))


_SHARES = ListOf(_with(name=_TEXT, weight=_WHOLE))
_PROXY_PROTOCOL = _with(version=_WHOLE)
_TCP_TLS = Shape(Field("passthrough", _FLAG), *ROUTER_TLS.fields.values())
_PEER = _with(serverName=_TEXT, insecureSkipVerify=_FLAG, rootCAs=_TEXTS, certificates=CERTIFICATES, peerCertURI=_TEXT,
              peerCertSANs=_TEXTS, spiffe=SPIFFE)
_HEALTH = _with(port=_WHOLE, send=_TEXT, expect=_TEXT, interval=_TIME, unhealthyInterval=_TIME, timeout=_TIME)
_PAIR = {"certFile": _TEXT, "keyFile": _TEXT}

SECTIONS: dict[str, MapOf | ListOf] = {
    "tcp.routers": MapOf(_with(entryPoints=_TEXTS, middlewares=_TEXTS, service=_TEXT, rule=_TEXT, ruleSyntax=_TEXT,
                               priority=_WHOLE, tls=_TCP_TLS)),
    "tcp.services": MapOf(_with(
        loadBalancer=_with(servers=ListOf(_with(address=_TEXT, tls=_FLAG)), serversTransport=_TEXT,
                           proxyProtocol=_PROXY_PROTOCOL, terminationDelay=_WHOLE, healthCheck=_HEALTH),
        weighted=_with(services=_SHARES, healthCheck=_with()))),
    "tcp.middlewares": MapOf(_with(ipAllowList=_with(sourceRange=_TEXTS), ipWhiteList=_with(sourceRange=_TEXTS),
                                   inFlightConn=_with(amount=_WHOLE))),
    "tcp.serversTransports": MapOf(_with(dialKeepAlive=_TIME, dialTimeout=_TIME, proxyProtocol=_PROXY_PROTOCOL,
                                         terminationDelay=_TIME, tls=_PEER)),
    "udp.routers": MapOf(_with(entryPoints=_TEXTS, service=_TEXT)),
    "udp.services": MapOf(_with(loadBalancer=_with(servers=ListOf(_with(address=_TEXT))),
                                weighted=_with(services=_SHARES))),
    "tls.certificates": ListOf(_with(**_PAIR, stores=_TEXTS)),
    "tls.options": MapOf(_with(
        minVersion=_TEXT, maxVersion=_TEXT, cipherSuites=_TEXTS, curvePreferences=_TEXTS, sniStrict=_FLAG,
        clientAuth=_with(caFiles=_TEXTS, clientAuthType=_TEXT), alpnProtocols=_TEXTS, disableSessionTickets=_FLAG,
        preferServerCipherSuites=_FLAG)),
    "tls.stores": MapOf(_with(
        defaultCertificate=_with(**_PAIR),
        defaultGeneratedCert=_with(resolver=_TEXT, domain=_with(main=_TEXT, sans=_TEXTS)))),
}
