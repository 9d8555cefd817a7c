"""Other users of the machine at the port of a real `serve`."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.serving import Served, serving
from understudy.webui import peers

OTHER_UID = 65534
ROUNDS = 40
pytestmark = [
    pytest.mark.skipif(not peers.CAN_TELL, reason="only Linux tells whose a connection is"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become a second user"),
    pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning"),
]
BODY = json.dumps({"title": "break in", "command": ["id"]}).encode()


def _get(port: int) -> bytes:
    return b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port


def _post(port: int) -> bytes:
    head = b"POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n" % port
    return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


def as_another_user(work: Callable[[int], bool], port: int) -> None:
    """Run `work` in a process of that user; it returns whether all was as expected."""

    def run() -> None:
        os.setgroups([])
        os.setgid(OTHER_UID)
        os.setuid(OTHER_UID)
        os._exit(0 if work(port) else 1)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def _port(server: Served) -> int:
    found = urlsplit(str(server.address)).port
    assert found is not None
    return found


def _connect(port: int) -> socket.socket:
    """Without `create_connection`, which imports what that user may not be able to read."""
    connection = socket.socket()
    connection.settimeout(30)
    connection.connect(("127.0.0.1", port))
    return connection


def _ask(port: int, request: bytes) -> bytes:
    with _connect(port) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def _is_refused(port: int) -> bool:
    answers = [_ask(port, request) for request in (_get(port), _post(port))]
    return all(
        b"HTTP/1.1 403" in one and b"peer_refused" in one and b"[http] users" in one for one in answers
    )


def _is_answered(port: int) -> bool:
    return b"HTTP/1.1 200" in _ask(port, _get(port)) and b"HTTP/1.1 202" in _ask(port, _post(port))


def _send_and_close(port: int) -> bool:
    """A request that is sent before the server accepts, by a socket that nobody has any more then."""
    for number in range(ROUNDS):
        connection = _connect(port)
        if number % 4 == 1:  # closed by a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(_post(port))
        if number % 4 == 2:
            connection.shutdown(socket.SHUT_WR)
        if number % 4 == 3:
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
    return True


def _tasks(server: Served) -> list[object]:
    return httpx.get(f"{server.address}/api/tasks", timeout=20).json()["tasks"]


def test_another_user_is_refused_and_the_owner_is_answered(tmp_path: Path) -> None:
    """Reading and changing; the answer names the setting."""
    with serving(tmp_path / "home") as server:
        as_another_user(_is_refused, _port(server))
        assert _tasks(server) == []
        assert _is_answered(_port(server))


def test_what_another_user_sends_and_leaves_is_never_taken(tmp_path: Path) -> None:
    """Whether the server was quick or asleep: a socket that was closed shows as user 0, and is nobody's."""
    with serving(tmp_path / "home") as server:
        as_another_user(_send_and_close, _port(server))
        assert _tasks(server) == []
        server.process.send_signal(signal.SIGSTOP)
        try:
            as_another_user(_send_and_close, _port(server))
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert _tasks(server) == []


@pytest.mark.parametrize("users", ['["nobody", "no such user"]', f"[{OTHER_UID}]", '"all"'])
def test_users_that_the_configuration_names_are_answered(tmp_path: Path, users: str) -> None:
    """By name or number; a name that this machine lacks is a problem that is shown, and stops nothing."""
    config = tmp_path / "home" / "config" / "understudy.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f"[http]\nusers = {users}\n")
    with serving(tmp_path / "home") as server:
        as_another_user(_is_answered, _port(server))
        problems = httpx.get(f"{server.address}/api/status", timeout=20).json()["problems"]
        assert [one["name"] for one in problems] == (["no such user"] if "such" in users else [])
