"""Whatever bytes a connection sends, and whenever it closes, it ends nothing but itself."""

from __future__ import annotations

import json
import random
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.serving import Served, serving
from understudy.cli.logs import LOG_FILE

if TYPE_CHECKING:
    from collections.abc import Generator

FUZZ_S = 6.0
SEED = 8
WS = (
    b"GET /api/events HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GET = b"GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n"
POST = b"POST /api/input HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"

PACKETS: list[tuple[str, bytes, bytes]] = [
    # what it is, what is sent before the sending side closes, how the answer begins
    ("a WebSocket upgrade and a frame", WS + b"\x81\x85\x00\x00\x00\x00hello", b"HTTP/1.1 200"),
    (
        "h2c",
        GET[:-2] + b"Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AAA\r\n\r\n",
        b"HTTP/1.1 200",
    ),
    ("HTTP/2 at once", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04", b"HTTP/1.1 "),
    ("HTTP/1.0", b"GET /healthz HTTP/1.0\r\nHost: HOST\r\n\r\n", b"HTTP/1.1 200"),
    ("a request, half closed", GET, b"HTTP/1.1 200"),
    ("two requests in one packet", GET + LAST, b"HTTP/1.1 200"),
    ("HEAD", b"HEAD /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n", b"HTTP/1.1 405"),
    ("nothing", b"", b""),
    ("zeros", b"\0" * 100, b"HTTP/1.1 400"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200, b""),
    ("half a head", GET[:20], b""),
    ("a large head", b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000, b"HTTP/1.1 431"),
    ("no Host", b"GET /healthz HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
    ("CONNECT", b"CONNECT a:1 HTTP/1.1\r\nHost: HOST\r\n\r\n", b"HTTP/1.1 400"),
    ("a proxy's target", b"GET http://a/ HTTP/1.1\r\nHost: HOST\r\n\r\n", b"HTTP/1.1 400"),
    ("a target that is no UTF-8", b"GET /%ff%00 HTTP/1.1\r\nHost: HOST\r\n\r\n", b"HTTP/1.1 404"),
    ("two lengths", POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"HTTP/1.1 400"),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\n", b"HTTP/1.1 400"),
    ("a bad chunk", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b""),
    ("half a body", POST + b"Content-Length: 100\r\n\r\n{", b"HTTP/1.1 400"),
    ("a GET with a body", GET[:-2] + b"Content-Length: 3\r\n\r\nabc", b"HTTP/1.1 200"),
    (
        "chunks",
        POST + b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"t\r\nd\r\next":"hello"}\r\n0\r\n\r\n',
        b"HTTP/1.1 202",
    ),
    (
        "Expect: 100-continue",
        POST + b'Expect: 100-continue\r\nContent-Length: 16\r\n\r\n{"text":"hello"}',
        b"HTTP/1.1 202",
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Served, Path]]:
    """A real server, and its home."""
    home = tmp_path_factory.mktemp("home")
    with serving(home) as served:
        yield served, home


def connected(served: Served) -> socket.socket:
    """A connection to it."""
    parts = urlsplit(served.address)
    assert parts.hostname is not None
    assert parts.port is not None
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def answer_to(served: Served, packet: bytes) -> bytes:
    """All that comes back for `packet`, behind which the sending side is closed."""
    with connected(served) as peer:
        peer.sendall(packet.replace(b"HOST", urlsplit(served.address).netloc.encode()))
        peer.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: peer.recv(65536), b""))


def check(server: tuple[Served, Path]) -> None:
    """The same process answers, and its log has nothing worse than a warning."""
    served, home = server
    assert httpx.get(f"{served.address}/healthz", timeout=20).json() == {"status": "ok"}
    assert served.process.poll() is None
    lines = [json.loads(line) for line in (home / LOG_FILE).read_text().splitlines()]
    assert [line for line in lines if line["level"] not in ("info", "warning")] == []
    assert [line for line in lines if "exception" in line] == []


@pytest.mark.parametrize(("packet", "begin"), [row[1:] for row in PACKETS], ids=[row[0] for row in PACKETS])
def test_a_hostile_packet_ends_its_own_connection_only(
    server: tuple[Served, Path], packet: bytes, begin: bytes
) -> None:
    """It is answered as the table says, and the server goes on."""
    assert answer_to(server[0], packet).startswith(begin)
    check(server)


def test_requests_in_one_packet_are_answered_one_by_one(server: tuple[Served, Path]) -> None:
    """Each has its answer, also when the peer has closed its sending side."""
    assert answer_to(server[0], GET * 3 + LAST).count(b"HTTP/1.1 200") == 4


def test_connections_made_of_random_pieces_end_themselves_only(server: tuple[Served, Path]) -> None:
    """A seeded fuzzer: pieces of good and bad packets, changed bytes, and ends at any moment."""
    chance = random.Random(SEED)
    end = time.monotonic() + FUZZ_S
    while time.monotonic() < end:
        assault(server[0], chance)
    check(server)


def assault(served: Served, chance: random.Random) -> None:
    """One connection."""
    packet = bytearray(b"".join(row[1] for row in chance.choices(PACKETS, k=chance.randint(1, 3)))[:150_000])
    packet = bytearray(packet.replace(b"HOST", urlsplit(served.address).netloc.encode()))
    for _ in range(chance.choice((0, 0, 1, 5)) if packet else 0):
        packet[chance.randrange(len(packet))] = chance.randrange(256)
    with connected(served) as peer:
        peer.settimeout(0.05)
        try:
            for start in range(0, len(packet), step := chance.choice((7_000, 200_000))):
                peer.sendall(packet[start : start + step])
            if chance.random() < 0.5:
                peer.shutdown(socket.SHUT_WR)
            if chance.random() < 0.5:
                peer.recv(chance.choice((1, 100_000)))
        except OSError:
            pass  # refused or slow: as it may be
        if chance.random() < 0.5:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset it
