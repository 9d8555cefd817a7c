"""The sessions: told with a durable send, in the turn that takes the notification (NT-1).

Not behind the interface of the other sinks: those act outside, after the turn, at least once. A send is
part of the turn's line and arrives exactly once, so there is nothing to try again.
"""

from __future__ import annotations

from collections.abc import Mapping


class Sessions:
    """Which actor keeps which session; all others are the manager's."""

    def __init__(self, keepers: Mapping[str, str], manager: str) -> None:
        self._keepers = dict(keepers)
        self._manager = manager

    def keeper(self, session: str) -> str:
        """The name of the actor that is told what the session owns."""
        return self._keepers.get(session, self._manager)
