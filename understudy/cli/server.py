"""Who serves a home: found through its lock file, believed only if the lock is really held (rule H2)."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from understudy.cli.exits import Exit, failure
from understudy.supervision.home import Home

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.supervision.home import Owner


def owner_of(home: Path) -> Owner | None:
    """The process that owns the home now, None when nobody does.

    The lock file of a killed owner still names it, and its pid may have gone to somebody else, so the
    lock itself is tried. Only when a living process is named: trying takes the lock for a moment, in
    which a starting server would be refused.
    """
    known = Home(home)
    owner = known.owner()
    return owner if owner is not None and is_held(known.state) else None


def is_held(folder: Path) -> bool:
    """Whether another descriptor holds the flock of `folder`."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def address_of(home: Path) -> str | None:
    """Where the home's server listens; None when there is none, or not yet."""
    owner = owner_of(home)
    return None if owner is None else owner.address


def require_server(home: Path, action: str) -> str:
    """The address of the home's server, for a command that changes something.

    Raises:
        CommandFailed: there is no server (exit code 3); says how to start one.
    """
    owner = owner_of(home)
    if owner is not None and owner.address is not None:
        return owner.address
    known = Home(home)
    if owner is None and not known.lock_file.exists() and is_held(known.state):
        detail = (
            f"{action} needs a server, and {known.lock_file}, which names the one that has {home}, is "
            "missing: somebody has deleted it. Stop that process and start it again"
        )
        raise failure(Exit.NO_SERVER, "No server", detail)
    if owner is None:
        start = f"start one with `understudy serve --home {home}`"
        detail = f"{action} needs a running server, and none runs for {home}: {start}"
        raise failure(Exit.NO_SERVER, "No server", detail)
    detail = (
        f"{action} needs a server, and process {owner.pid}, which has {home}, does not listen: "
        "it is still starting (try again), or it embeds the home without the HTTP API"
    )
    raise failure(Exit.NO_SERVER, "No server", detail, pid=owner.pid)


def require_home(home: Path) -> Home:
    """The home's paths, for a command that reads files.

    Raises:
        CommandFailed: there is no home there (exit code 8).
        NewerVersion, HomeError: it can't be read by this version.
    """
    known = Home(home)
    if not known.state.is_dir():
        detail = (
            f"{home} is no home: `understudy serve --home {home}` makes one, "
            "--home or UNDERSTUDY_HOME names another"
        )
        raise failure(Exit.HOME_UNUSABLE, "No home", detail)
    known.check_format()
    return known
