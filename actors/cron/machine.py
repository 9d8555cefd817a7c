"""The zone of this machine, as its other programs see it: from `$TZ`, else from `/etc/localtime`."""

from __future__ import annotations

import logging
import os
import zoneinfo
from pathlib import Path

from understudy.protocols.errors import BadSchedule

log = logging.getLogger("understudy.cron")

ETC = Path("/etc")


def machine_zone() -> str:
    """The IANA name of the zone that holds for the programs of this machine and this process.

    Raises:
        BadSchedule: `$TZ` names no zone of the time zone database.
    """
    given = os.environ.get("TZ")
    return _of_files(ETC) if given is None else _of_variable(given)


def _of_variable(given: str) -> str:
    """What the C library reads: a name, a path, either behind a colon; empty for UTC."""
    wanted = given.removeprefix(":")
    if not wanted:
        return "UTC"
    found = _of_file(Path(wanted)) if wanted.startswith("/") else _known(wanted)
    if found is None:
        msg = (
            f"expected $TZ to name an IANA time zone such as Europe/Zurich, got {given!r}: "
            "set it to a name, or set `timezone` of the table [cast] in the home's configuration"
        )
        raise BadSchedule(msg)
    return found


def _of_files(etc: Path) -> str:
    localtime = etc / "localtime"
    if not localtime.exists():
        return "UTC"
    found = _of_file(localtime, _named_in(etc / "timezone"))
    if found is None:
        text = "%s is none of the time zones that are known here: schedules without a zone are in UTC"
        log.warning(text, localtime, extra={"action": "zone_unknown"})
    return found or "UTC"


def _of_file(path: Path, likely: str | None = None) -> str | None:
    """The zone of a link to a file of the database, or of a copy of one; `likely` is tried first."""
    if (name := _known(str(path.resolve()).partition("zoneinfo/")[2])) is not None:
        return name
    try:
        data = path.read_bytes()
    except OSError:
        return None
    names = sorted(zoneinfo.available_timezones(), key=lambda name: (name != likely, "/" not in name, name))
    roots = [Path(root) for root in zoneinfo.TZPATH]
    return next((name for name in names for root in roots if _is(root / name, data)), None)


def _is(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _named_in(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _known(name: str) -> str | None:
    """The name, when the database has it. `posix/` and `right/` are folders of copies."""
    name = name.removeprefix("posix/")
    try:
        return zoneinfo.ZoneInfo(name).key if name else None
    except (OSError, ValueError, KeyError):
        return None
