"""Listeners: opened once, kept over reloads, taken over from systemd by name."""
from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from mesh.model import EntryPoint
from workers.listeners import CannotListen, Listener, adopt, let_none_begin, open_all


@pytest.fixture
def opened():
    """Collects what a test opens."""
    with contextlib.ExitStack() as stack:
        def keep(listeners: dict[str, Listener]) -> dict[str, Listener]:
            for listener in listeners.values():
                stack.callback(listener.sock.close)
            return listeners
        yield keep


def points(**addresses: tuple[str, int]) -> dict[str, EntryPoint]:
    return {name: EntryPoint(name, host, port) for name, (host, port) in addresses.items()}


def free_port() -> int:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_the_system_chooses_where_the_port_is_0_and_the_listener_tells(opened):
    web = opened(open_all(points(web=("127.0.0.1", 0)), {}))["web"]
    host, _, port = web.bound.partition(":")
    with socket.create_connection((host, int(port))):
        pass


def test_entrypoints_keep_the_order_of_the_file(opened):
    names = ["web", "admin", "internal"]
    now = opened(open_all(points(internal=("127.0.0.1", 0)), {}))
    assert list(opened(open_all(points(**dict.fromkeys(names, ("127.0.0.1", 0))), now))) == names


def test_a_reload_keeps_the_sockets_whose_address_stayed(opened):
    before = opened(open_all(points(web=("127.0.0.1", 0), old=("127.0.0.1", 0)), {}))
    after = opened(open_all(points(new=("127.0.0.1", 0), web=("127.0.0.1", 0)), before))
    assert after["web"].sock is before["web"].sock
    assert set(after) == {"new", "web"}


def test_entrypoints_that_swap_names_swap_sockets(opened):
    one, two = free_port(), free_port()
    before = opened(open_all(points(a=("127.0.0.1", one), b=("127.0.0.1", two)), {}))
    after = open_all(points(a=("127.0.0.1", two), b=("127.0.0.1", one)), before)
    assert after["a"].sock is before["b"].sock
    assert after["b"].sock is before["a"].sock
    assert after["a"].name == "a"


def test_an_address_in_use_is_one_line_that_names_the_entrypoint(opened):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"^entrypoint web: 127.0.0.1:{port}: is in use by another program.*$"):
            open_all(points(web=("127.0.0.1", port)), {})


def test_when_one_address_cannot_be_had_the_others_are_let_go():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = free_port()
        with pytest.raises(CannotListen):
            open_all(points(first=("127.0.0.1", port), second=("127.0.0.1", other.getsockname()[1])), {})
        with socket.socket() as sock:
            assert sock.connect_ex(("127.0.0.1", port))


def test_an_address_that_overlaps_one_of_our_own_says_that_a_restart_is_needed(opened):
    port = free_port()
    before = opened(open_all(points(web=("0.0.0.0", port)), {}))
    with pytest.raises(CannotListen, match=r"web of this instance.*restart"):
        open_all(points(web=("127.0.0.1", port)), before)


@pytest.mark.parametrize("host", ["203.0.113.77", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_told(host):
    with pytest.raises(CannotListen, match=f"^entrypoint web: {host}:8080: "):
        open_all(points(web=(host, 8080)), {})


def test_no_host_means_every_address(opened):
    web = opened(open_all(points(web=("", 0)), {}))["web"]
    with socket.create_connection(("127.0.0.1", web.sock.getsockname()[1])):
        pass


def server() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_systemd_sockets_go_to_the_entrypoints_of_their_names(opened):
    sockets = [("admin", server()), ("web", server())]
    taken, unknown = adopt(points(web=("", 80), admin=("", 9000)), sockets)
    opened(taken)
    assert unknown == []
    assert taken["web"].sock is sockets[1][1]
    assert taken["admin"].sock is sockets[0][1]


def test_systemd_sockets_without_names_go_by_their_address(opened):
    one, two = server(), server()
    entry_points = points(web=one.getsockname(), admin=two.getsockname())
    taken, unknown = adopt(entry_points, [("hostmesh.socket", two), ("hostmesh.socket", one)])
    opened(taken)
    assert unknown == []
    assert (taken["web"].sock, taken["admin"].sock) == (one, two)


def test_the_only_socket_goes_to_the_only_entrypoint(opened):
    taken, unknown = adopt(points(web=("", 80)), [("unknown", server())])
    assert set(opened(taken)) == {"web"}
    assert unknown == []


def test_a_socket_that_is_no_entrypoints_is_told_and_closed():
    stray = server()
    taken, unknown = adopt(points(web=("", 80), admin=("", 81)), [("metrics", stray)])
    assert taken == {}
    assert stray.fileno() == -1
    assert "named metrics" in unknown[0]
    assert "web, admin" in unknown[0]


def test_a_systemd_socket_stays_whatever_address_the_file_says(opened):
    taken, _ = adopt(points(web=("", 80)), [("web", server())])
    after = opened(open_all(points(web=("127.0.0.1", free_port())), taken))
    assert after["web"].sock is taken["web"].sock


def test_sockets_of_another_process_are_not_taken_and_ours_are():
    """The variables and descriptors as systemd passes them, in a process of its own."""
    with server() as sock:
        code = ("import os, sys; from workers.listeners import inherited; e = os.environ\n"
                "e['LISTEN_PID'] = str(os.getpid() + 1); assert inherited(e, os.getpid()) == []\n"
                "e.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='web')\n"
                "[(name, sock)] = inherited(e, os.getpid())\n"
                "print(name, sock.getsockname()[1], sock.get_inheritable(), 'LISTEN_FDS' in e)")

        def place() -> None:
            os.dup2(sock.fileno(), 3)

        said = subprocess.run([sys.executable, "-c", code], preexec_fn=place, close_fds=False, check=True,
                              capture_output=True, text=True).stdout
        assert said.split() == ["web", str(sock.getsockname()[1]), "False", "False"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_before_a_port_closes_nobody_new_gets_into_its_queue_and_who_is_there_is_served(opened, host):
    listener = opened(open_all(points(web=(host, 0)), {}))["web"]
    address = listener.sock.getsockname()[:2]
    with socket.create_connection(address, timeout=5) as waiting:
        let_none_begin([listener])
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.3)
        accepted, _ = listener.sock.accept()
        with accepted:
            waiting.sendall(b"is heard")
            accepted.settimeout(5)
            assert accepted.recv(100) == b"is heard"


def test_a_socket_of_systemds_keeps_its_queue_for_whoever_comes_next(opened):
    listener = opened(open_all(points(web=("127.0.0.1", 0)), {}))["web"]
    let_none_begin([Listener("web", listener.host, listener.port, listener.sock, inherited=True)])
    socket.create_connection(listener.sock.getsockname(), timeout=5).close()
