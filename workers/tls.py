"""How endpoints are believed: one SSL context for each transport that says something of its own.

Owns verification towards endpoints: on unless the transport says `insecureSkipVerify`, against the system's roots or
the transport's `rootCAs`, by the name in the endpoint's url or the transport's `serverName`.  Floor 3.
"""
from __future__ import annotations

import ssl

from mesh.model import Transport


def context_of(transport: Transport) -> ssl.SSLContext:
    """A client's context; raises ssl.SSLError when a root certificate cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if transport.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif transport.root_cas:
        context.load_verify_locations(cadata="\n".join(transport.root_cas))
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context
