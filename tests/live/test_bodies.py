"""Bodies of all sizes, up and down, with a length and in chunks: every byte arrives, in order, once."""
from __future__ import annotations

import zlib
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from running import ORDERS, PATTERN, Mesh, digest, pattern

SIZES = [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 131_072, 1_000_003]
GIB = 1 << 30


def pieces(size: int, most: int = 1 << 20) -> Iterator[memoryview]:
    """The first bytes of the pattern."""
    view, at = memoryview(PATTERN), 0
    while at < size:
        start = at % len(PATTERN)
        yield view[start:start + min(most, size - at)]
        at += len(view[start:start + min(most, size - at)])


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_with_a_length(shared_mesh: Mesh, size: int) -> None:
    said = shared_mesh.ask("/", method="POST", body=pattern(size)).json
    assert (said["length"], said["digest"], said["framing"]) == (size, digest(pattern(size)), "length")


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_in_chunks(shared_mesh: Mesh, size: int) -> None:
    said = shared_mesh.ask("/", method="PUT", body=pieces(size, 7001), Transfer_Encoding="chunked").json
    assert (said["length"], said["digest"], said["framing"]) == (size, digest(pattern(size)), "chunked")


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_in_one_chunk(shared_mesh: Mesh, size: int) -> None:
    said = shared_mesh.ask("/", method="PUT", body=[pattern(size)], Transfer_Encoding="chunked").json
    assert (said["length"], said["digest"], said["framing"]) == (size, digest(pattern(size)), "chunked")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", ["", "&chunked=1"], ids=["length", "chunked"])
def test_a_download(shared_mesh: Mesh, size: int, framing: str) -> None:
    answer = shared_mesh.ask(f"/bytes?size={size}{framing}")
    assert answer.status == 200
    assert answer.body == pattern(size)
    assert answer.headers.get("Content-Length") == (None if framing else str(size))


@pytest.mark.parametrize("size", SIZES)
def test_a_download_that_ends_with_the_endpoint_s_connection(shared_mesh: Mesh, size: int) -> None:
    answer = shared_mesh.ask(f"/close?size={size}")
    assert answer.body == pattern(size)
    assert answer.headers["Transfer-Encoding"] == "chunked"


@pytest.mark.parametrize("size", SIZES)
def test_an_echo_while_it_still_comes(shared_mesh: Mesh, size: int) -> None:
    assert shared_mesh.ask("/echo", method="POST", body=pattern(size)).body == pattern(size)
    chunks = shared_mesh.ask("/echo", method="POST", body=pieces(size, 5000), Transfer_Encoding="chunked")
    assert chunks.body == pattern(size)


def test_a_kept_connection_carries_all_of_them_one_after_another(shared_mesh: Mesh) -> None:
    connection = HTTPConnection("127.0.0.1", shared_mesh.port, timeout=20)
    connection.connect()
    sock = connection.sock
    for size in [*SIZES, *reversed(SIZES)]:
        connection.request("PUT", "/", pieces(size, 9973), {"Host": ORDERS, "Transfer-Encoding": "chunked"},
                           encode_chunked=True)
        assert digest(pattern(size)).encode() in connection.getresponse().read()
        connection.request("GET", f"/bytes?size={size}&chunked=1", headers={"Host": ORDERS})
        assert connection.getresponse().read() == pattern(size)
    assert connection.sock is sock
    connection.close()


def sum_of(size: int) -> int:
    value = 0
    for piece in pieces(size):
        value = zlib.crc32(piece, value)
    return value


def test_a_gibibyte_down(shared_mesh: Mesh) -> None:
    connection = HTTPConnection("127.0.0.1", shared_mesh.port, timeout=60)
    connection.request("GET", f"/bytes?size={GIB}&chunked=1", headers={"Host": ORDERS})
    value, length, room = 0, 0, bytearray(1 << 20)
    with connection.getresponse() as answer:
        while got := answer.readinto(room):
            value = zlib.crc32(memoryview(room)[:got], value)
            length += got
    connection.close()
    assert (length, value) == (GIB, sum_of(GIB))


def test_a_gibibyte_up(shared_mesh: Mesh) -> None:
    connection = HTTPConnection("127.0.0.1", shared_mesh.port, timeout=60)
    connection.request("PUT", "/sum", pieces(GIB), {"Host": ORDERS, "Content-Length": str(GIB)})
    with connection.getresponse() as answer:
        assert answer.read() == b'{"length": %d, "sum": %d}' % (GIB, sum_of(GIB))
    connection.close()
