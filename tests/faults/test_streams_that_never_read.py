"""Event streams that nobody reads cost a bounded amount of memory, and hold up nobody."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from tests.integration.serving import serving

STREAMS = 600
MOST_BYTES = 60 << 20
WATCHED_S = 2.0


def test_600_streams_that_never_read_cost_at_most_60_mib(tmp_path: Path) -> None:
    """They share a snapshot, those beyond the limit are refused, and the server answers meanwhile."""
    with serving(tmp_path) as served, httpx.Client(base_url=served.address, timeout=30) as client:
        for number in range(200):
            client.post("/api/input", json={"text": f"{number} {'x' * 6000}"}).raise_for_status()
        memory = psutil.Process(served.process.pid).memory_info
        before = memory().rss
        with ExitStack() as peers:
            for _ in range(STREAMS):
                peers.enter_context(unread(served.address))
                assert memory().rss - before <= MOST_BYTES
            end = time.monotonic() + WATCHED_S
            while time.monotonic() < end:
                assert client.get("/healthz").json() == {"status": "ok"}
                assert memory().rss - before <= MOST_BYTES


def unread(address: str) -> socket.socket:
    """A connection that asks for the events and takes none."""
    parts = urlsplit(address)
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.settimeout(20)
    peer.connect((parts.hostname, parts.port))
    peer.sendall(f"GET /api/events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    return peer
