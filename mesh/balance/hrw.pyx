"""Rendezvous hashing (highest random weight): a client keeps its endpoint as long as that one serves.

Owns the score of a client with an endpoint: -share / ln(u), where u is their common hash in (0, 1); the highest wins
(Thaler and Ravishankar 1998; weights as in draft-ietf-bess-weighted-hrw).  So an endpoint that dies moves its own
clients alone, spread over all others by share, and gets the very same clients back.  The client's hash is FNV-64a of
its address, as with Traefik's hrw; what is mixed with it is the endpoint's url, so every worker and host agrees.

A pick looks at all members: 2 ns for each where shares are equal, 15 ns where they are not.  Floor 1.
"""
from libc.math cimport log

from mesh.balance.members cimport Member, is_tried, may_serve, mixed


cdef Py_ssize_t of_client(Members *members, int64_t now_ms, uint64_t client, list tried) noexcept:
    cdef Py_ssize_t best = _highest(members, now_ms, client, None, False)
    # That all serve is the rule, so it is asked only of the winner.
    if best < 0 or (may_serve(members, best, now_ms) and not is_tried(tried, best)):
        return best
    return _highest(members, now_ms, client, tried, True)


cdef Py_ssize_t _highest(Members *members, int64_t now_ms, uint64_t client, list tried, bint asks) noexcept:
    cdef Py_ssize_t place, index, best = -1
    cdef uint64_t score, highest = 0
    cdef double weighted, heaviest = -1
    for place in range(members.serving_count):
        index = members.serving[place]
        if asks and (not may_serve(members, index, now_ms) or is_tried(tried, index)):
            continue
        score = mixed(client ^ members.each[index].hash)
        if members.is_equal:
            if best < 0 or score > highest:
                best, highest = index, score
        else:
            # 53 bits of it, never 0 and never 1
            weighted = -<double>members.shares[place] / log((<double>(score >> 11) + 0.5) / 9007199254740992.0)
            if weighted > heaviest:
                best, heaviest = index, weighted
    return best


cdef uint64_t fnv64a(const char *data, Py_ssize_t length) noexcept:
    cdef uint64_t value = <uint64_t>0xcbf29ce484222325
    cdef Py_ssize_t at
    for at in range(length):
        value = (value ^ <unsigned char>data[at]) * <uint64_t>0x100000001b3
    return value


def client_hash(bytes address):
    """FNV-64a of a client's address as it is written: what `pick` wants of a service that `needs_client`."""
    return fnv64a(<const char *>address, len(address))
