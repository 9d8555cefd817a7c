"""Whose the peer of a connection is."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager

import pytest
import trio

from understudy.webui import peers
from understudy.webui.peers import Owner, Peers, SocketDiagnosis, owner_in_tables

pytestmark = pytest.mark.skipif(not peers.CAN_TELL, reason="only Linux tells whose a connection is")


def _by_netlink(local: peers.Address, remote: peers.Address) -> Owner | None:
    with closing(SocketDiagnosis()) as kernel:
        return kernel.owner_of(local, remote)


def _by_tables(local: peers.Address, remote: peers.Address) -> Owner | None:
    return owner_in_tables(local, remote)


ASK = {"netlink": _by_netlink, "tables": _by_tables}


@contextmanager
def connected(listen: str, connect: str) -> Generator[tuple[socket.socket, socket.socket]]:
    """A peer, and the accepted socket at the other end."""
    with socket.socket(_family(listen)) as server:
        server.bind((listen, 0))
        server.listen()
        peer = socket.socket(_family(connect))
        peer.connect((connect, server.getsockname()[1]))
        accepted, _ = server.accept()
        with peer, accepted:
            yield peer, accepted


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@pytest.mark.parametrize("how", ASK)
@pytest.mark.parametrize(
    ("listen", "connect"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_process_that_is_connected_is_known_by_its_user(listen: str, connect: str, how: str) -> None:
    """Over IPv4, IPv6, and IPv4 from a socket of IPv6."""
    with connected(listen, connect) as (_, accepted):
        found = ASK[how](accepted.getpeername()[:2], accepted.getsockname()[:2])
        assert found is not None
        assert (found.uid, found.is_known) == (os.geteuid(), True)


@pytest.mark.parametrize("how", ASK)
def test_a_peer_that_still_reads_is_known_and_one_that_has_closed_is_nobody(how: str) -> None:
    """The kernel shows what was closed as user 0 with inode 0, which is not root."""
    with connected("127.0.0.1", "127.0.0.1") as (peer, accepted):
        ends = accepted.getpeername()[:2], accepted.getsockname()[:2]
        peer.sendall(b"GET")
        peer.shutdown(socket.SHUT_WR)
        half = ASK[how](*ends)
        assert half is not None
        assert half.is_known
        peer.close()
        gone = ASK[how](*ends)
        assert gone is None or not gone.is_known
        accepted.close()
        over = ASK[how](*ends)
        assert over is None or not over.is_known


@pytest.mark.parametrize("how", ASK)
def test_a_listener_on_the_ports_in_question_is_no_peer(how: str) -> None:
    """The kernel answers with a listening socket where it has no connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = ASK[how](server.getsockname(), ("127.0.0.1", 9))
        assert found is None or not found.is_known


@pytest.mark.parametrize(
    "found", [None, Owner(1, 0, 0), Owner(4, 0, 0), Owner(6, 0, 0), Owner(10, 0, 7), Owner(1, 7, 9)]
)
async def test_only_a_socket_that_a_process_of_a_known_user_holds_is_admitted(found: Owner | None) -> None:
    """A closed socket shows as user 0 or its last one, without a process: it is nobody's."""
    with connected("127.0.0.1", "127.0.0.1") as (_, accepted):
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
        problem = Peers({0}, lambda _peer, _ours: found)(stream)
        assert problem is not None
        assert problem.code == "peer_refused"
        assert Peers({0}, lambda _peer, _ours: Owner(1, 0, 9))(stream) is None


async def test_a_kernel_that_does_not_answer_admits_nobody() -> None:
    """Descriptors may be used up, or the tables unreadable."""

    def fails(_peer: peers.Address, _ours: peers.Address) -> Owner | None:
        raise OSError

    with connected("127.0.0.1", "127.0.0.1") as (_, accepted):
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
        assert Peers({0}, fails)(stream) is not None
