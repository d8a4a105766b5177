"""What a connection is after 101: bytes in both directions, of a protocol that is not ours to know.

Owns the end of it: each side's half ends by itself, what came before is delivered.  Floor 3.
"""
from libc.stdint cimport int64_t

from workers.proxy.client cimport IN_A_ROW, Client
from workers.proxy.relay cimport ROOM, Relay
from workers.proxy.stream cimport (
    AGAIN, FAILED, READ, SMALL, TIMED_OUT, WOKEN, WRITE, now_us, piece_clear, piece_set, wait,
)
from workers.proxy.upstream cimport Upstream

cdef enum:
    TURN_MS = 1000              # how long the others may have their turn while nothing is possible any more


cdef int tunnel(Relay relay) except -1:
    """After 101: bytes in both directions until both sides have ended theirs, or one is broken."""
    cdef Client client = relay.client
    cdef Upstream up = relay.up
    cdef bint moved, client_over = False, up_over = False
    cdef Py_ssize_t got
    cdef int64_t until_ms
    relay.sent_us = now_us()
    piece_clear(&relay.to_up)
    piece_clear(&relay.to_client)
    # what came behind the heads belongs to the tunnel already
    piece_set(&relay.to_up, 2, client.buf + relay.body_at, client.n - relay.body_at)
    piece_set(&relay.to_client, 2, up.buf + relay.answer_at, up.n - relay.answer_at)
    while True:
        moved = False
        if not relay.to_up.left and not client_over and client.readable:
            client.n = relay.body_at
            if client.size - client.n < ROOM:
                client.need(client.size + SMALL)
                relay.request.base = client.buf
            got = client.recv()
            if got == FAILED:
                break
            moved = got != AGAIN
            if got > 0:
                piece_set(&relay.to_up, 2, client.buf + relay.body_at, got)
                relay.outcome.bytes_in += got
            elif got == 0:
                client_over = True
                up.finish()
        if not relay.to_client.left and not up_over and up.readable:
            up.n = relay.answer_at
            got = up.recv()
            if got == FAILED:
                break
            moved |= got != AGAIN
            if got > 0:
                piece_set(&relay.to_client, 2, up.buf + relay.answer_at, got)
                relay.outcome.bytes_out += got
            elif got == 0:
                up_over = True
                client.finish()
        if relay.to_up.left and up.writable:
            got = up.send(&relay.to_up)
            if got == FAILED:
                break
            moved |= got != AGAIN
        if relay.to_client.left and client.writable:
            got = client.send(&relay.to_client)
            if got == FAILED:
                break
            moved |= got != AGAIN
        if client_over and up_over and not relay.to_up.left and not relay.to_client.left:
            break
        relay.in_a_row += 1
        if moved and relay.in_a_row <= IN_A_ROW:
            continue
        relay.in_a_row = 0
        if moved:                       # the others have their turn
            if wait(client, READ | WRITE, up, READ | WRITE, client.thread, relay.from_now(TURN_MS)) & WOKEN:
                break
            continue
        # a tunnel may be silent for as long as it likes; half a tunnel as long as an idle connection
        until_ms = relay.from_now(relay.door.idle_ms) if client_over or up_over else 0
        got = wait(client, (WRITE if relay.to_client.left else 0) | (0 if relay.to_up.left or client_over else READ),
                   up, (WRITE if relay.to_up.left else 0) | (0 if relay.to_client.left or up_over else READ),
                   client.thread, until_ms)
        if got & WOKEN or (got & TIMED_OUT and until_ms and until_ms <= now_us() // 1000):
            break
    relay.outcome.origin_bytes = relay.outcome.bytes_out
    return 0
