"""What one server bears: connections, event streams and times. What a peer can grow is bounded here."""

from __future__ import annotations

import resource

HEAD_BYTES = 32 << 10
"""A request's line and headers."""
AHEAD_BYTES = 64 << 10
"""So much may come behind a request that is still being answered; an event stream ends there."""
DRAIN_BYTES = 8 << 20
"""So much is read and dropped behind a last answer: a peer that still writes would lose it."""
HEAD_S = 10.0
"""Time for the whole head of a request, from its first byte."""
IDLE_S = 60.0
"""Time that a connection may wait for its next request."""
SEND_S = 10.0
"""Time for each piece of an answer; a peer that takes nothing for so long is cut off."""
DRAIN_S = 1.0
"""Time to read what still comes behind a last answer."""
ACCEPT_PAUSE_S = 0.2
"""Time until connections are accepted again when there was no descriptor or memory for one."""
_MOST_CONNECTIONS = 512
_FEWEST_CONNECTIONS = 8


def most_connections() -> int:
    """Half of the descriptors that this process may have: journals and tasks need the others."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return min(_MOST_CONNECTIONS, max(_FEWEST_CONNECTIONS, soft // 2))


def most_streams() -> int:
    """Half of the connections: the others stay free for requests."""
    return most_connections() // 2
