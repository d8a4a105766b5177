"""What all connections of one entrypoint share: its limits in milliseconds, who is trusted, the table that serves now.

Owns the passage from the static configuration to numbers that a request can use, and the request ids.  Floor 3.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t

import ipaddress
import os
from email.utils import formatdate

from mesh.http1.hop cimport Peer

cdef enum:
    PEERS = 4096            # remembered; an address costs 300 bytes, and 10 us to look at

cdef const char *DIGITS = b"0123456789abcdef"
cdef uint64_t id_prefix = 0
cdef uint64_t id_count = 0


def begin():
    """To be called once in the process that serves: its request ids differ from all others'."""
    global id_prefix, id_count
    id_prefix = int.from_bytes(os.urandom(8), "little")
    id_count = int.from_bytes(os.urandom(3), "little")


cdef bytes new_request_id():
    """32 hexadecimal digits: 16 of the process, 16 that count."""
    global id_count
    cdef bytes made = PyBytes_FromStringAndSize(NULL, 32)
    cdef char *text = PyBytes_AS_STRING(made)
    cdef int digit
    id_count += 1
    for digit in range(16):
        text[digit] = DIGITS[id_prefix >> (60 - 4 * digit) & 15]
        text[16 + digit] = DIGITS[id_count >> (60 - 4 * digit) & 15]
    return made


cdef class Door:
    """One entrypoint of this worker."""

    def __init__(self, entry_point, Column column, int number, AccessLog log, bytes server, logger):
        self.entry_point = entry_point
        self.name = entry_point.name
        self.column, self.number, self.log, self.logger = column, number, log, logger
        self.unrouted = Account(column, entry_point.name, "")
        self.sanitize = entry_point.sanitize_path
        self.max_header_bytes, self.max_headers = entry_point.max_header_bytes, entry_point.max_headers
        self.max_target = entry_point.max_target_bytes
        self.header_ms = int(entry_point.header_timeout * 1000)
        self.read_ms = int(entry_point.read_timeout * 1000)
        self.body_idle_ms = int(entry_point.body_idle_timeout * 1000)
        self.idle_ms = int(entry_point.idle_timeout * 1000)
        self.write_ms = int(entry_point.write_timeout * 1000)
        self.total_ms = int(entry_point.total_timeout * 1000)
        self.keep_alive_ms = int(entry_point.keep_alive_max_time * 1000)
        self.keep_alive_requests = entry_point.keep_alive_max_requests
        self._server = server
        self._peers = {}
        self._trust_all = entry_point.forwarded_insecure
        self._trusted = tuple(ipaddress.ip_network(said, strict=False) for said in entry_point.trusted_ips)
        self.look_at_clock()

    def look_at_clock(self):
        """The Date line of this second."""
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()

    cdef Peer peer(self, bytes address):
        known = self._peers.get(address)
        if known is not None:
            return <Peer>known
        if len(self._peers) >= PEERS:
            self._peers.clear()
        peer = Peer(address, self._server, self._trust_all or self._is_trusted(address.decode()))
        self._peers[address] = peer
        return peer

    def _is_trusted(self, text):
        if not self._trusted:
            return False
        address = ipaddress.ip_address(text)
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._trusted)

    def __repr__(self):
        return f"<Door {self.name}>"
