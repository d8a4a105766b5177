"""The look-up behind every routed request: candidates by host, and the first of them that takes the request.

Owns the walk, whose cost depends on the candidates of the request's own host and on those that name no host.  It
refuses to know how rules are divided (hosts.py), what is asked (predicates.pyx) and who is filed (matcher.py).
Floor 1.
"""
from mesh.rules.hosts import DEEP, EXACT, ONE


cdef class Index:
    """Candidates by kind of key and key; they are filed in order of rank, the first to be asked first."""

    def __cinit__(self):
        self.exact, self.one, self.deep = {}, {}, {}
        self.rest = []

    def file(self, kind, bytes key, Py_ssize_t rank, test, target):
        candidates = self.rest
        if kind == EXACT:
            candidates = self.exact.setdefault(key, [])
        elif kind == ONE:
            candidates = self.one.setdefault(key, [])
        elif kind == DEEP:
            candidates = self.deep.setdefault(key, [])
        candidates.append((rank, test, target))

    cpdef object find(self, request, bytes host):
        """The target of the candidate with the lowest rank that takes the request, or None.

        `host` is the request's, in the form of mesh.rules.request.host_key.
        """
        cdef Py_ssize_t dot, dots = 0
        cdef bytes suffix
        cdef tuple found = _first(self.exact.get(host), request, None)
        if self.one or self.deep:
            for dot in range(len(host)):
                if host[dot] == c".":
                    dots += 1
                    suffix = host[dot + 1:]
                    if dots == 1:
                        found = _first(self.one.get(suffix), request, found)
                        if not self.deep:
                            break
                    found = _first(self.deep.get(suffix), request, found)
        found = _first(self.rest, request, found)
        return None if found is None else found[2]


cdef tuple _first(list candidates, request, tuple found):
    """The first candidate that takes the request, where its rank is below that of `found`, else `found`."""
    cdef tuple candidate
    if candidates is not None:
        for candidate in candidates:
            if found is not None and candidate[0] >= found[0]:
                break
            test = candidate[1]
            if test is None or test(request):
                return candidate
    return found
