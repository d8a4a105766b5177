"""The same messages as others read them: httptools (llhttp, which is Node's) and h11.

Each answers None where it refuses, else what it understood: (method or status, target, lines, body, is the message over).
"""
import h11
import httptools


class _Heard:
    def __init__(self):
        self.url = self.body = b""
        self.lines, self.is_over, self.head_is_over = [], False, False

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        if not self.head_is_over:           # what comes later are trailers
            self.lines.append((name, value))

    def on_headers_complete(self):
        self.head_is_over = True

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.is_over = True


def by_llhttp(message, is_request=True):
    heard = _Heard()
    parser = (httptools.HttpRequestParser if is_request else httptools.HttpResponseParser)(heard)
    try:
        parser.feed_data(message)
    except httptools.HttpParserUpgrade:
        pass                                # it hands over what follows the head
    except httptools.HttpParserError:
        return None
    first = parser.get_method() if is_request else parser.get_status_code()
    return first, heard.url, heard.lines, heard.body, heard.is_over


def by_h11(message, to=None, at_end=False):
    """`to`: the method that a response answers; None: it is a request.  `at_end`: the connection ends behind the message."""
    connection = h11.Connection(h11.SERVER if to is None else h11.CLIENT, max_incomplete_event_size=1 << 20)
    if to is not None:
        connection.send(h11.Request(method=to, target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
    first = target = None
    lines, body, is_over = [], b"", False
    try:
        connection.receive_data(message)
        if at_end:
            connection.receive_data(b"")
        while not is_over:
            event = connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                break
            if isinstance(event, h11.Request):
                first, target, lines = event.method, event.target, event.headers.raw_items()
            elif isinstance(event, h11.Response | h11.InformationalResponse):
                first, lines = event.status_code, event.headers.raw_items()
                is_over = isinstance(event, h11.InformationalResponse)
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                is_over = True
    except h11.RemoteProtocolError:
        return None
    return first, target, list(lines), bytes(body), is_over
