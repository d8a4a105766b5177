/* llhttp as a peer of fast.pyx: one message, heard as spans of the very bytes it was fed with. */
#include <stdint.h>
#include <string.h>
#include "llhttp.h"

enum { PEER_LINES = 512, PEER_BODY = 1 << 17 };

typedef struct {
    llhttp_t parser;
    const char *url;
    size_t url_len;
    int count, head_over, over, odd;
    struct { const char *name, *value; size_t name_len, value_len; } lines[PEER_LINES];
    size_t body_len;
    char body[PEER_BODY];
} Peer_heard;

static llhttp_settings_t peer_settings;

static int peer_url(llhttp_t *p, const char *at, size_t n) {
    Peer_heard *h = p->data;
    if (h->url_len == 0) h->url = at;
    h->url_len += n;
    return 0;
}
static int peer_name(llhttp_t *p, const char *at, size_t n) {
    Peer_heard *h = p->data;
    if (h->head_over) return 0;         /* trailers */
    if (h->count == PEER_LINES) { h->odd = 1; return 0; }
    if (h->lines[h->count].name_len == 0) h->lines[h->count].name = at;
    h->lines[h->count].name_len += n;
    return 0;
}
static int peer_value(llhttp_t *p, const char *at, size_t n) {
    Peer_heard *h = p->data;
    if (h->head_over) return 0;
    if (h->count == PEER_LINES) return 0;
    if (h->lines[h->count].value_len == 0) h->lines[h->count].value = at;
    h->lines[h->count].value_len += n;
    return 0;
}
static int peer_value_over(llhttp_t *p) {
    Peer_heard *h = p->data;
    if (!h->head_over && h->count < PEER_LINES) {
        h->count++;
        if (h->count < PEER_LINES) memset(&h->lines[h->count], 0, sizeof(h->lines[0]));
    }
    return 0;
}
static int peer_head_over(llhttp_t *p) { ((Peer_heard *)p->data)->head_over = 1; return 0; }
static int peer_body(llhttp_t *p, const char *at, size_t n) {
    Peer_heard *h = p->data;
    if (n > PEER_BODY - h->body_len) { h->odd = 1; return 0; }
    memcpy(h->body + h->body_len, at, n);
    h->body_len += n;
    return 0;
}
static int peer_over(llhttp_t *p) { ((Peer_heard *)p->data)->over = 1; return 0; }

static void peer_start(Peer_heard *h, int is_request) {
    if (!peer_settings.on_body) {
        llhttp_settings_init(&peer_settings);
        peer_settings.on_url = peer_url;
        peer_settings.on_header_field = peer_name;
        peer_settings.on_header_value = peer_value;
        peer_settings.on_header_value_complete = peer_value_over;
        peer_settings.on_headers_complete = peer_head_over;
        peer_settings.on_body = peer_body;
        peer_settings.on_message_complete = peer_over;
    }
    llhttp_init(&h->parser, is_request ? HTTP_REQUEST : HTTP_RESPONSE, &peer_settings);
    h->parser.data = h;
    h->url = NULL;
    h->url_len = h->body_len = 0;
    h->count = h->head_over = h->over = h->odd = 0;
    memset(&h->lines[0], 0, sizeof(h->lines[0]));
}

/* 0: fine so far (a switch of protocols is fine, too), else llhttp's own number */
static int peer_feed(Peer_heard *h, const char *at, size_t n) {
    llhttp_errno_t error = n ? llhttp_execute(&h->parser, at, n) : HPE_OK;
    return error == HPE_OK || error == HPE_PAUSED_UPGRADE ? 0 : (int)error;
}

int LLVMFuzzerRunDriver(int *, char ***, int (*)(const uint8_t *, size_t));

/* Choices that depend on the message alone, so that a message tells its whole check. */
static inline uint64_t next_noise(uint64_t noise) { return noise * 6364136223846793005ULL + 1442695040888963407ULL; }

static inline uint64_t noise_of(const char *data, Py_ssize_t n) {
    uint64_t noise = 14695981039346656037ULL;
    for (Py_ssize_t i = 0; i < n; i++) noise = (noise ^ (uint8_t)data[i]) * 1099511628211ULL;
    noise = (noise ^ noise >> 29) * 0x9e3779b97f4a7c15ULL;
    return noise ^ noise >> 32;
}
