"""Whose process is at the other end of a connection: the owner's, root's and named users' are answered.

Linux knows the user of both ends of a connection within the machine. It is asked for the peer's own socket
(`sock_diag(7)`, or `/proc/net/tcp` where that is refused). A peer that has closed its socket shows as user 0
with inode 0: that is nobody, and not root.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from understudy.webui.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable

    import trio

    from understudy.webui.problems import Problem

log = logging.getLogger(__name__)

CAN_TELL = sys.platform == "linux"
"""Whether this system tells whose the peer of a connection is."""
ROOT = 0

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1
_OPEN_STATES = frozenset({1, 4, 5})  # established, or with only the peer's own direction closed
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_SPEC = struct.Struct("=BBBxI")  # inet_diag_req_v2: family, protocol, extensions, states
_PORTS = struct.Struct("!HH16s16s")  # inet_diag_sockid: ports and addresses of the socket that is sought
_NO_COOKIE = struct.pack("=III", 0, 0xFFFF_FFFF, 0xFFFF_FFFF)
_FOUND = struct.Struct("=BB2x48x4x4x4xII")  # inet_diag_msg: family, state, …, user, inode
_ANSWER_BYTES = 4096
_IPV4_BYTES = 4
_MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv4 address begins with when it is written as one of IPv6."""
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")

Address = tuple[str, int]
Admit: TypeAlias = "Callable[[trio.SocketStream], Problem | None]"
"""Why a connection is refused, asked before a byte of it is read; None when it is not."""


class Owner(NamedTuple):
    """Of a socket, as the kernel tells: its state, its user, and its inode: 0 when no process has it."""

    state: int
    uid: int
    inode: int

    @property
    def is_known(self) -> bool:
        """Whether a process holds the socket, and can still read an answer from it."""
        return self.state in _OPEN_STATES and self.inode != 0


class SocketDiagnosis:
    """Asks the kernel by `NETLINK_SOCK_DIAG`. Its descriptor is there before the first connection."""

    def __init__(self) -> None:
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)
        self._sequence = 0

    def close(self) -> None:
        """Give the descriptor back."""
        self._netlink.close()

    def owner_of(self, local: Address, remote: Address) -> Owner | None:
        """Who has the TCP socket that is `local` and is connected to `remote`; None when there is none.

        Raises:
            OSError: the kernel does not say.
        """
        self._sequence = (self._sequence + 1) & 0xFFFF_FFFF
        family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
        body = _SPEC.pack(family, socket.IPPROTO_TCP, 0, 0xFFFF_FFFF)
        body += _PORTS.pack(local[1], remote[1], _packed(family, local[0]), _packed(family, remote[0]))
        body += _NO_COOKIE
        size = _HEADER.size + len(body)
        self._netlink.sendto(
            _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST, self._sequence, 0) + body, (0, 0)
        )
        while True:
            answer = self._netlink.recv(
                _ANSWER_BYTES, socket.MSG_DONTWAIT
            )  # it is there when `sendto` returns
            _, kind, _, sequence, _ = _HEADER.unpack_from(answer)
            if sequence == self._sequence:
                break
        if kind != _SOCK_DIAG_BY_FAMILY:
            return None
        _, state, uid, inode = _FOUND.unpack_from(answer, _HEADER.size)
        return Owner(state, uid, inode)


def _packed(family: socket.AddressFamily, address: str) -> bytes:
    return socket.inet_pton(family, address).ljust(16, b"\0")


def owner_in_tables(local: Address, remote: Address, tables: Iterable[str] = _TABLES) -> Owner | None:
    """The same from the kernel's tables as text: slower the more connections there are.

    Raises:
        OSError: they can't be read.
    """
    wanted = {(_shown(*local, mapped=mapped), _shown(*remote, mapped=mapped)) for mapped in (False, True)}
    for table in tables:
        for line in Path(table).read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if (fields[1], fields[2]) in wanted:
                return Owner(int(fields[3], 16), int(fields[7]), int(fields[9]))
    return None


def _shown(host: str, port: int, *, mapped: bool) -> str:
    """An address as these tables have it: words in the machine's byte order; `mapped` an IPv4 one as IPv6."""
    data = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host).removeprefix(_MAPPED)
    if mapped and len(data) == _IPV4_BYTES:
        data = _MAPPED + data
    words = struct.unpack(f"!{len(data) // 4}I", data)
    ordered = [int.from_bytes(word.to_bytes(4, "big"), sys.byteorder) for word in words]
    return f"{''.join(f'{word:08X}' for word in ordered)}:{port:04X}"


class Peers:
    """Says of each accepted connection whether its peer is answered.

    Args:
        uids: of the users who are.
        owner_of: finds the owner of a socket.
    """

    def __init__(self, uids: Collection[int], owner_of: Callable[[Address, Address], Owner | None]) -> None:
        self._uids = frozenset(uids)
        self._owner_of = owner_of
        self._refused: set[int | None] = set()

    def __call__(self, stream: trio.SocketStream) -> Problem | None:
        """Why the peer of `stream` is refused; None when it is answered."""
        uid = self._uid_of(stream)
        if uid in self._uids:
            return None
        detail = self._reason(uid)
        if uid not in self._refused:
            self._refused.add(uid)
            extra = {"action": "peer_refused", "uid": uid}
            log.warning(
                "a connection was refused: %s. Further ones of it are not logged", detail, extra=extra
            )
        return problem(403, "peer_refused", detail)

    def _uid_of(self, stream: trio.SocketStream) -> int | None:
        """The user of the process at the other end; None when nobody can tell."""
        try:
            peer, ours = stream.socket.getpeername()[:2], stream.socket.getsockname()[:2]
            owner = self._owner_of(peer, ours)
        except OSError:
            return None
        return owner.uid if owner is not None and owner.is_known else None

    def _reason(self, uid: int | None) -> str:
        whose = "nobody's that can be told: its peer has closed it" if uid is None else f"of {name_of(uid)}"
        known = ", ".join(name_of(one) for one in sorted(self._uids))
        return (
            f"expected a connection of a process of {known}; this one is {whose}. "
            "Whoever is answered can run commands: `[http] users` in the home's configuration names others"
        )


@contextlib.contextmanager
def admitting(users: Collection[int] | None) -> Generator[Admit]:
    """The check of peers, while the block runs: the owner of this process, root and `users` are answered.

    All are where `users` is None, and on systems that do not tell whose a connection is.
    """
    if users is None or not CAN_TELL:
        yield _admit_all
        return
    uids = {ROOT, os.geteuid(), *users}
    try:
        kernel = SocketDiagnosis()
        kernel.owner_of(("127.0.0.1", 1), ("127.0.0.1", 1))
    except OSError:
        yield Peers(uids, owner_in_tables)
        return
    with contextlib.closing(kernel):
        yield Peers(uids, kernel.owner_of)


def _admit_all(_stream: trio.SocketStream) -> Problem | None:
    return None


def name_of(uid: int) -> str:
    """The user's name, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
