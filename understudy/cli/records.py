"""Reading journals from their files, without a lock, while their owner may be writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudy.actors.projection.keeper import FOLDER
from understudy.actors.projection.model_file import checkpoint_cursors
from understudy.protocols.errors import JournalDamaged, NotFound
from understudy.supervision.journal import (
    NO_CLAIM,
    JournalReader,
    JournalReport,
    RepairReport,
    claims_on,
    journal_names,
    last_lines,
    repair_journal,
    verify_journal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from understudy.supervision.home import Home


class EventEntry(BaseModel):
    """An event as a line holds it."""

    model_config = ConfigDict(extra="allow")

    type: str
    v: int = 1
    data: dict[str, object] = {}


class Line(BaseModel):
    """A journal's line as people look at it; `ts` is in microseconds since the epoch."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    journal: str
    seq: int
    ts: int
    cause: str = ""
    sender: str = Field(default="", alias="from")
    n: int = 0
    events: list[EventEntry] = []
    sends: list[object] = []


def names(home: Home) -> list[str]:
    """The home's journals, sorted."""
    return journal_names(home.files, home.journals) if home.journals.is_dir() else []


def known(home: Home) -> list[str]:
    """The journals that there are, and those that the read model or another journal knows of. Blocks."""
    if not home.journals.is_dir():
        return []
    cursors = checkpoint_cursors(home.files, home.state / FOLDER)
    claims = claims_on(home.files, home.journals)
    return sorted({*names(home), *claims, *(cursor.journal for cursor in cursors if cursor.seq)})


def folder_of(home: Home, name: str) -> Path:
    """The journal's folder.

    Raises:
        NotFound: the home has no such journal.
    """
    there = names(home)
    if name not in there:
        msg = f"{home.path} has no journal {name!r}; it has: {', '.join(there) or 'none'}"
        raise NotFound(msg)
    return home.journals / name


def read_lines(home: Home, name: str, after: int = 0) -> Iterator[tuple[int, bytes]]:
    """The kept lines that count behind seq `after`, oldest first: (seq, line). Blocks.

    Raises:
        JournalDamaged: at a line that no crash can explain; what came before it was good.
    """
    for chunk in JournalReader(home.files, folder_of(home, name), after).read():
        for index, line in enumerate(chunk.lines):
            yield chunk.first_seq + index, line


def last(home: Home, name: str, count: int) -> list[Line]:
    """The last `count` turns of a journal, oldest first. Blocks.

    Raises:
        JournalDamaged: among the lines that it reads.
    """
    folder = folder_of(home, name)
    return [_parse(name, folder, line) for line in last_lines(home.files, folder, count)]


class Follower:
    """Gives the turns that came since the last look, of journals that may come into being meanwhile."""

    def __init__(self, home: Home, seen: dict[str, int]) -> None:
        self._home = home
        self._readers = {name: self._reader(name, seq) for name, seq in seen.items()}

    def look(self, chosen: list[str]) -> list[Line]:
        """The new turns of the chosen journals, in the order of their time. Blocks.

        Raises:
            JournalDamaged: among them.
        """
        found: list[Line] = []
        for name in chosen:
            reader = self._readers.setdefault(name, self._reader(name, 0))
            for chunk in reader.read():
                found += [_parse(name, chunk.path, line) for line in chunk.lines]
        return sorted(found, key=lambda line: line.ts)

    def _reader(self, name: str, seq: int) -> JournalReader:
        return JournalReader(self._home.files, self._home.journals / name, seq)


def verify(home: Home, chosen: list[str]) -> list[JournalReport]:
    """Look at every line and snapshot of journals, and what others say of them. Blocks.

    Damage is in the reports, not raised.
    """
    claims = claims_on(home.files, home.journals) if chosen else {}
    return [
        verify_journal(home.files, home.journals / name, proven(home, name), claims.get(name, NO_CLAIM))
        for name in chosen
    ]


def repair(home: Home, chosen: list[str]) -> list[RepairReport]:
    """Repair journals. Blocks; owns the home.

    What the read model had of one and is missing becomes a gap. What they say of each other is looked at
    when each of them is whole.
    """
    reports = {name: repair_journal(home.files, home.journals / name, proven(home, name)) for name in chosen}
    claims = claims_on(home.files, home.journals) if chosen else {}
    for name, claim in claims.items():
        if claim.lost and name in reports:
            first = reports[name]
            then = repair_journal(home.files, home.journals / name, proven(home, name), claim)
            told = {"damage": (*first.damage, *then.damage), "kept": (*first.kept, *then.kept)}
            reports[name] = then.model_copy(update=told)
    return list(reports.values())


def proven(home: Home, name: str) -> tuple[int, int]:
    """How far the read model's newest checkpoint has read a journal: incarnation and seq, or (0, 0)."""
    for cursor in checkpoint_cursors(home.files, home.state / FOLDER):
        if cursor.journal == name:
            return cursor.incarnation, cursor.seq
    return 0, 0


def _parse(name: str, folder: Path, line: bytes) -> Line:
    """A line as a model; its name joins what is in the file."""
    try:
        return Line.model_validate_json(b'{"journal":"%b",%b' % (name.encode(), line.lstrip()[1:]))
    except ValidationError as error:
        reason = f"a line with a right checksum is no turn: {error.errors()[0]['msg']}"
        raise JournalDamaged(str(folder), 0, 0, reason) from error
