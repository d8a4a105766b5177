"""The letters of HTTP/1.1: what a byte may be where (RFC 9110 5.5, 5.6.2, RFC 3986), and comparisons that fold case.

Owns tables and loops over bytes; knows no message.  C, because a head is read with these and nothing else.  Floor 1.
"""
from libc.stdint cimport uint8_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <string.h>

    /* tchar: what names, methods and list members are made of */
    static const uint8_t h1_token[256] = {
        ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1,
        ['\\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1};

    /* What a byte means in a request target; everything that ends a scan of the path is above 0. */
    enum {H1_PLAIN, H1_SLASH, H1_PERCENT, H1_QUESTION, H1_BACKSLASH, H1_SPACE, H1_HASH, H1_BAD};
    static const uint8_t h1_target[256] = {
        [0 ... 0x1f] = H1_BAD, [0x7f ... 0xff] = H1_BAD, ['/'] = H1_SLASH, ['%'] = H1_PERCENT, ['?'] = H1_QUESTION,
        ['\\\\'] = H1_BACKSLASH, [' '] = H1_SPACE, ['#'] = H1_HASH};

    /* unreserved of RFC 3986: means the same escaped or not, and all that a host name may consist of */
    static const uint8_t h1_unreserved[256] = {
        ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['-'] = 1, ['.'] = 1, ['_'] = 1, ['~'] = 1};

    static inline int h1_is_token(char c) { return h1_token[(uint8_t)c]; }
    static inline int h1_is_unreserved(char c) { return h1_unreserved[(uint8_t)c]; }
    static inline int h1_in_target(char c) { return h1_target[(uint8_t)c]; }
    static inline int h1_is_digit(char c) { return c >= '0' && c <= '9'; }
    static inline char h1_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }
    static inline int h1_hex(char c) {      /* -1: no digit */
        return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
    }

    /* Is it `lower`, a name of letters, digits and hyphens, in any case?  Both must be known to be tokens. */
    static inline int h1_same(const char *said, const char *lower, Py_ssize_t n) {
        for (Py_ssize_t i = 0; i < n; i++) if ((said[i] | 0x20) != lower[i]) return 0;
        return 1;
    }
    static inline int h1_same_folded(const char *one, const char *other, Py_ssize_t n) {    /* of any bytes */
        for (Py_ssize_t i = 0; i < n; i++) if (h1_lower(one[i]) != h1_lower(other[i])) return 0;
        return 1;
    }

    static inline int h1_is_text_byte(uint8_t c) { return (c >= 0x20 && c != 0x7f) || c == '\\t'; }
    /* Only HTAB, SP, VCHAR and obs-text?  Eight bytes at a time: values are most of a head. */
    static inline int h1_is_text(const char *at, Py_ssize_t n) {
        Py_ssize_t i = 0;
        for (; i + 8 <= n; i += 8) {
            uint64_t word, no_delete;
            memcpy(&word, at + i, 8);
            no_delete = word ^ 0x7f7f7f7f7f7f7f7fULL;
            if ((((word - 0x2020202020202020ULL) & ~word) | ((no_delete - 0x0101010101010101ULL) & ~no_delete))
                    & 0x8080808080808080ULL)        /* a control character, perhaps HTAB, perhaps a false alarm */
                for (int j = 0; j < 8; j++) if (!h1_is_text_byte((uint8_t)at[i + j])) return 0;
        }
        for (; i < n; i++) if (!h1_is_text_byte((uint8_t)at[i])) return 0;
        return 1;
    }
    """
    enum:
        H1_PLAIN, H1_SLASH, H1_PERCENT, H1_QUESTION, H1_BACKSLASH, H1_SPACE, H1_HASH, H1_BAD
    bint h1_is_token(char c) noexcept
    bint h1_is_unreserved(char c) noexcept
    int h1_in_target(char c) noexcept
    bint h1_is_digit(char c) noexcept
    char h1_lower(char c) noexcept
    int h1_hex(char c) noexcept
    bint h1_same(const char *said, const char *lower, Py_ssize_t n) noexcept
    bint h1_same_folded(const char *one, const char *other, Py_ssize_t n) noexcept
    bint h1_is_text_byte(uint8_t c) noexcept
    bint h1_is_text(const char *at, Py_ssize_t n) noexcept
