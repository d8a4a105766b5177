"""What stands in a request target and in Host: authorities, paths, queries.  Over bytes that were scanned before."""


cdef const char *authority_fault(const char *at, Py_ssize_t n) noexcept     # NULL: `host [":" port]`
cdef bytes key_of_host(const char *at, Py_ssize_t n)    # of a faultless authority: lower case, bare
cdef bytes cleaned(const char *at, Py_ssize_t n)        # a path that begins with "/" and has no malformed escapes
cdef dict query_lists(bytes query)                      # key -> values in their order, both decoded as forms are
