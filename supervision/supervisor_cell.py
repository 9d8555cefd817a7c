"""The cell of a supervisor: it holds the children, so that they outlive the supervisor's incarnations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pykka.messages import ProxyCall

from understudy.supervision.cell import Cell
from understudy.supervision.living import ABANDON_S
from understudy.supervision.scheduler import STOPPED

if TYPE_CHECKING:
    from understudy.supervision.actor import Actor
    from understudy.supervision.child_spec import ChildSpec
    from understudy.supervision.guardian import Parent
    from understudy.supervision.mailbox import Envelope
    from understudy.supervision.system import ActorSystem


@dataclass(slots=True, eq=False)
class Supervised:
    """One child as its supervisor knows it.

    Attributes:
        spec: what it was told about the child.
        cell: the child's cell, the same over all restarts.
        failures: failures in a row, for the backoff.
        started_at: when its incarnation was started, on the clock's `monotonic()`.
        replaced: incarnations up to this number are being replaced, or have been: what becomes of
            them is no news.
    """

    spec: ChildSpec
    cell: Cell
    failures: int = 0
    started_at: float = 0.0
    replaced: int = 0

    @property
    def stop_timeout_s(self) -> float:
        """How long it may take to stop."""
        named = self.spec.stop_timeout_s
        return self.cell.system.settings.stop_timeout_s if named is None else named

    @property
    def gone(self) -> bool:
        """Whether it stops for good, or has."""
        return self.cell.stop_reason is not None or self.cell.state == STOPPED

    def longest_stop_s(self) -> float:
        """The longest that its stop may take, with those of its own children."""
        below = self.cell.children_time_s() if isinstance(self.cell, SupervisorCell) else 0.0
        return self.stop_timeout_s + ABANDON_S + below

    async def start(self) -> None:
        """The next incarnation.

        Raises:
            Exception: what made the start fail.
        """
        clock = self.cell.system.clock
        self.started_at = clock.monotonic()
        if self.cell.incarnation == 0:
            await self.cell.start()
        else:
            await self.cell.restart()
        self.started_at = clock.monotonic()

    async def end_incarnation(self, reason: str) -> None:
        """Stop it in order, keeping its mailbox for the next incarnation."""
        await self.cell.stop_incarnation(reason, self.stop_timeout_s)

    async def stop(self, reason: str) -> None:
        """Stop it for good."""
        await self.cell.stop(reason, self.stop_timeout_s)


class SupervisorCell(Cell):
    """See the module. What stops the supervisor stops its children first, in reverse order.

    A restart of the supervisor ends its children's incarnations and keeps their cells, so that their
    references and mailboxes survive it too.
    """

    __slots__ = ("children",)

    def __init__(
        self,
        system: ActorSystem,
        actor_class: type[Actor],
        name: str,
        arguments: dict[str, Any],
        parent: Parent | None,
    ) -> None:
        super().__init__(system, actor_class, name, arguments, parent)
        self.children: dict[str, Supervised] = {}

    def add(self, spec: ChildSpec) -> Supervised:
        """Make the cell of one more child, not started yet.

        Raises:
            NameTaken: another actor of the system has the name.
        """
        cell = self.system.make_cell(spec.actor, spec.name, spec.arguments, self)
        child = self.children[spec.name] = Supervised(spec, cell)
        return child

    def children_time_s(self) -> float:
        """The longest that the children may take to stop, one after the other."""
        return sum(child.longest_stop_s() for child in self.children.values())

    async def start(self) -> None:
        """As every cell; when the start fails, the children that were started end.

        Raises:
            Exception: what made the start fail.
        """
        try:
            await super().start()
        except Exception:
            if self.actor is not None:
                await self.actor.end_children(f"the start of {self} failed")
            raise

    async def stop(self, reason: str, deadline_s: float) -> None:
        """As every cell; the children have their time on top of `deadline_s`."""
        if self.phase == "starting" and self.actor is not None:
            self.actor.abandon_start()
        await super().stop(reason, deadline_s + self.children_time_s())

    async def stop_incarnation(self, reason: str, deadline_s: float | None = None) -> None:
        """As every cell; the children have their time on top of `deadline_s`."""
        own = self.system.settings.stop_timeout_s if deadline_s is None else deadline_s
        await super().stop_incarnation(reason, own + self.children_time_s())

    def failed(self, envelope: Envelope, error: Exception) -> None:
        """What `start_child` and the like raise through a proxy is an answer, not a supervisor's failure."""
        if isinstance(envelope[0], ProxyCall) and (reply := envelope[1]) is not None:
            reply.resolve(None, error)
        else:
            super().failed(envelope, error)

    def fail(self, error: BaseException, message: str) -> None:
        """A failed supervisor takes its children down, in order, before it is started again."""
        failed = self.actor
        super().fail(error, message)
        # Whoever starts this cell again signals later than this, so it comes after the children's end.
        self.signal(lambda: failed.end_children(f"{self} failed"))

    async def run_on_stop(self, reason: str) -> None:
        """The hook, then the children; at the end for good it is `flush` that stops them."""
        lived = self.lives
        await super().run_on_stop(reason)
        if lived and self.stop_reason is None:
            await self.actor.end_children(reason)

    def must_flush(self) -> bool:
        """Whether there are children to stop."""
        return bool(self.children)

    async def flush(self) -> None:
        """Stop the children for good, in reverse order, each with its deadline."""
        for child in reversed(tuple(self.children.values())):
            await child.stop(f"its supervisor stops: {self.stop_reason}")

    def closed(self, reason: str) -> None:
        """What is still there of the children (after an abandoned stop, or a start that failed) goes too."""
        if self.state == STOPPED:
            return
        for child in reversed(tuple(self.children.values())):
            child.cell.end_incarnation()
            child.cell.closed(reason)
        super().closed(reason)
