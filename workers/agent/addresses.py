"""The addresses of this host, as its kernel has them, and whether a url leads to one of them.

Owns one question to the kernel (rtnetlink, RTM_GETADDR): a name server or a guess by routes would be wrong for hosts
with several addresses.  Names are not resolved here; only localhost and this host's own are known.  Floor 3.
"""
from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

_RTM_GETADDR, _RTM_NEWADDR, _NLMSG_DONE, _NLMSG_ERROR = 22, 20, 3, 2
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_HEADER = struct.Struct("=IHHII")           # struct nlmsghdr: length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")          # struct ifaddrmsg: family, prefix, flags, scope, interface
_ATTRIBUTE = struct.Struct("=HH")           # struct rtattr: length, type


def own_addresses() -> frozenset[str]:
    """Every address of every interface of this host, in the usual spelling; OSError where the kernel does not tell."""
    found: set[str] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(1.0)
        asked = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        sock.send(_HEADER.pack(_HEADER.size + len(asked), _RTM_GETADDR, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + asked)
        while True:
            data = sock.recv(1 << 16)
            at = 0
            while at + _HEADER.size <= len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, at)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR) or length < _HEADER.size:
                    return frozenset(found)
                if kind == _RTM_NEWADDR:
                    found.update(_addresses(data[at + _HEADER.size:at + length]))
                at += (length + 3) & ~3
            if not data:
                return frozenset(found)


def _addresses(message: bytes) -> Iterable[str]:
    family = message[0]
    at = _ADDRESS.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if length < _ATTRIBUTE.size:
            return
        value = message[at + _ATTRIBUTE.size:at + length]
        # of a point-to-point link, IFA_ADDRESS is the other end's
        if (kind == _IFA_LOCAL or (kind == _IFA_ADDRESS and family == socket.AF_INET6)) and len(value) in (4, 16):
            yield str(ip_address(value))
        at += (length + 3) & ~3


def is_here(url: str, own: frozenset[str]) -> bool:
    """Whether this url's host is this host; `own` holds its addresses and names."""
    try:
        host = (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost") or host in own:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or str(mapped or address) in own
