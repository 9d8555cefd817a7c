"""What the running system says of itself: its actors as they stand, and what went wrong lately (RT-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.protocols import lifecycle as events
from understudy.protocols.read_model import ActorRow, Change, Incident, Row, SystemRow, TableName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from understudy.actors.projection.feed import Feed
    from understudy.protocols.lifecycle import LifecycleEvent, Problem, SystemStatus
    from understudy.supervision.system import ActorSystem

KEEPERS = ("cron", "notifier")
"""The actors that keep items which a machine or a configuration can make unusable."""

VITAL = frozenset({"manager", "workers"})
"""Without these no work is done."""
_TEXT_CHARACTERS = 2000


class Live:
    """Keeps a feed's actors, incidents and system row level with the system. Loop's thread only."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._numbered = 0

    def refresh(self, status: SystemStatus, problems: tuple[Problem, ...] = ()) -> None:
        """Publish what differs from what the feed has."""
        rows = {actor.name: ActorRow.model_construct(id=actor.name, **dict(actor)) for actor in status.actors}
        feed = self._feed
        changes = [_change("actors", name, row) for name, row in rows.items() if feed.actors.get(name) != row]
        changes += [_change("actors", name, None) for name in feed.actors if name not in rows]
        feed.actors = rows
        system = system_row(status, problems)
        if system != feed.system:
            feed.system = system
            changes.append(_change("system", "system", system))
        feed.publish(changes)

    def happened(self, event: LifecycleEvent) -> None:
        """Publish the event if it is an incident."""
        incident = self._incident(event)
        if incident is not None:
            self._publish(incident)

    def report(self, actor: str, kind: str, text: str, at: float) -> None:
        """Publish what the projection itself has found."""
        self._publish(self._numbered_incident(actor, kind, text, at))

    def _publish(self, incident: Incident) -> None:
        self._feed.incidents.append(incident)
        self._feed.publish([_change("incidents", incident.id, incident)])

    def remember(self, recent: Iterable[LifecycleEvent]) -> None:
        """Take in what happened before this start of the projection."""
        found = [incident for event in recent if (incident := self._incident(event)) is not None]
        self._feed.incidents.extend(found)

    def _incident(self, event: LifecycleEvent) -> Incident | None:
        text = incident_text(event)
        return None if text is None else self._numbered_incident(event.actor, event.kind, text, event.time)

    def _numbered_incident(self, actor: str, kind: str, text: str, at: float) -> Incident:
        self._numbered += 1
        return Incident(
            id=f"incident-{self._numbered}", at=at, actor=actor, kind=kind, text=text[:_TEXT_CHARACTERS]
        )


def system_row(status: SystemStatus, problems: tuple[Problem, ...] = ()) -> SystemRow:
    """The system's row: halted when the manager or the pool needs a person (JR-8)."""
    needy = {halt.actor for halt in (*status.halted, *status.blocked)}
    return SystemRow(
        state="halted" if needy & VITAL else "degraded" if needy else "ok",
        home=status.home,
        halted=status.halted,
        blocked=status.blocked,
        dead_letters=status.dead_letters,
        problems=problems,
    )


def problems_of(system: ActorSystem) -> tuple[Problem, ...]:
    """The stored and configured items that can't be used now, of the actors that keep such."""
    found: list[Problem] = []
    for name in KEEPERS:
        cell = system.find(name)
        if cell is not None:
            found += getattr(cell.actor, "problems", ())
    return tuple(found)


def incident_text(event: LifecycleEvent) -> str | None:
    """What went wrong, in a sentence; None for what is no incident."""
    text: str | None = None
    match event:
        case events.ActorFailed() | events.TurnDiscarded():
            text = f"failed on {event.message}: {event.error}"
        case events.ActorRestarting():
            text = f"restart {event.restarts} in {event.delay_s:.1f} s: {event.reason}"
        case events.ActorEscalated():
            text = f"given up: {event.reason}"
        case events.ActorHalted() | events.ActorBlocked():
            text = f"{event.error}; {event.advice}"
        case events.ActorResumed():
            text = "goes on"
        case events.TornTailCut():
            text = (
                f"{event.size_bytes} torn bytes at {event.offset} of {event.file} are kept in {event.kept_in}"
            )
        case events.ClockCameBack():
            text = event.text
        case events.DeadLetter():
            text = f"{event.message} from {event.sender or 'outside'} was not handled: {event.reason}"
        case _:
            pass
    return text


def _change(table: TableName, row_id: str, row: Row | None) -> Change:
    return Change.model_construct(table=table, id=row_id, row=row)
