"""What a supervisor knows about a child before it starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from understudy.supervision.backoff import Backoff
from understudy.supervision.strategy import Restart

if TYPE_CHECKING:
    from understudy.supervision.actor import Actor

NO_ARGUMENTS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start a child, when to restart it and how long it may take to stop.

    Attributes:
        name: the actor's name, unique in its system; that of a persistent actor names its journal.
        actor: its class.
        arguments: what its constructor is called with, anew for each incarnation.
        restart: whether it is started again when it is down; also by its word, "transient".
        backoff: the wait before that.
        stop_timeout_s: how long it may take to stop (finish its current message and `on_stop`) before
            it is cut off, in seconds. None: the system's `Settings.stop_timeout_s`. What a supervisor's
            children may take by their own specs is added to it.
        outages: errors that mean that something outside is away (an engine, a server). A failure by
            one of them is waited out with backoff and restarted without end: it does not count against
            the supervisor's intensity.

    Raises:
        ValueError: when it is made without a name, with an unknown kind or with a negative time.
    """

    name: str
    actor: type[Actor]
    _: KW_ONLY
    arguments: Mapping[str, object] = field(default_factory=lambda: NO_ARGUMENTS)
    restart: Restart | str = Restart.PERMANENT
    backoff: Backoff = field(default_factory=Backoff)
    stop_timeout_s: float | None = None
    outages: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        Restart(self.restart)
        if not self.name:
            msg = "expected a name for the child, got an empty one"
            raise ValueError(msg)
        if self.stop_timeout_s is not None and not self.stop_timeout_s >= 0:
            msg = f"expected stop_timeout_s of 0 seconds or more, got {self.stop_timeout_s}"
            raise ValueError(msg)

    @property
    def kind(self) -> Restart:
        """Whether it is started again when it is down."""
        return Restart(self.restart)

    def is_outage(self, error: BaseException | None) -> bool:
        """Whether `error` is one of this child's outages."""
        return isinstance(error, self.outages)
