"""`Supervisor`: an actor that starts others, and starts them again when they fail.

The words and the rules are OTP's, with three additions: a wait with backoff before each restart,
outages that do not count against the intensity, and references and mailboxes that survive. Source:
Erlang/OTP, `supervisor`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from trio.lowlevel import ParkingLot

from understudy.protocols import lifecycle as events
from understudy.protocols.base import described
from understudy.protocols.errors import ActorStopped, Escalated, UnderstudyError, UnknownActor
from understudy.supervision.actor import Actor
from understudy.supervision.child_spec import ChildSpec
from understudy.supervision.restart_window import RestartWindow
from understudy.supervision.restarting import Restarting
from understudy.supervision.strategy import Restart, Strategy
from understudy.supervision.supervisor_cell import Supervised, SupervisorCell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.supervision.guardian import Parent
    from understudy.supervision.living import LivingCell
    from understudy.supervision.reference import ActorRef
    from understudy.supervision.system import ActorSystem

log = logging.getLogger("understudy.supervisor")


class Supervisor(Actor):
    """Starts its children in order, restarts them by their specs, stops them in reverse order.

    When a child is down, its kind (`ChildSpec.restart`) says whether it is restarted and `strategy`
    which others are restarted with it: those are stopped in reverse order first, and all are started
    in order after the child's backoff. A start that fails is a failure. More than `intensity`
    restarts within `period_s` are too many: the supervisor stops its children and fails with
    `Escalated`, and its own supervisor decides. A child with a damaged or halted journal is left alone.

    Its start ends when each child runs, is given up, or waits for the end of an outage. When it is
    restarted, its children are too, those that were added by `start_child` included.

    `system.spawn(Supervisor, name="pool", children=[ChildSpec(...), ...], intensity=5)`, or a subclass
    that sets the attributes. An `on_start` of a subclass calls `await super().on_start()`.

    Attributes:
        children: the specs of those that are started with it.
        strategy: who is restarted together; also by its word, "rest_for_one".
        intensity: restarts that are allowed within the period.
        period_s: that period, in seconds.

    Raises:
        ValueError: when it is made with a name twice, an unknown strategy, or an intensity or a period
            out of bounds.
        Escalated: from its start, when that took more restarts than allowed.
        NameTaken: from its start, when another actor has a child's name.
    """

    children: Sequence[ChildSpec] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 3
    period_s: float = 5.0

    _cell: SupervisorCell  # pyright: ignore[reportIncompatibleVariableOverride] - `_make_cell` makes no other

    def __init__(
        self,
        *,
        children: Sequence[ChildSpec] | None = None,
        strategy: Strategy | str | None = None,
        intensity: int | None = None,
        period_s: float | None = None,
    ) -> None:
        super().__init__()
        _check_names(self.children if children is None else children)
        self.children = tuple(self.children if children is None else children)
        self.strategy = Strategy(strategy or self.strategy)
        self.intensity = self.intensity if intensity is None else intensity
        self.period_s = self.period_s if period_s is None else period_s
        self._window = RestartWindow(self.intensity, self.period_s)
        self._restarting: list[Restarting] = []
        self._changed = ParkingLot()
        self._ending = False
        self._verdict: UnderstudyError | None = None

    @classmethod
    def _make_cell(
        cls, system: ActorSystem, name: str, arguments: dict[str, Any], parent: Parent | None
    ) -> SupervisorCell:
        return SupervisorCell(system, cls, name, arguments, parent)

    async def on_start(self) -> None:
        """Start the children in order."""
        for spec in self.children:
            if spec.name not in self._cell.children:
                self._cell.add(spec)
        await self._run(self._begin(tuple(self._cell.children.values()), f"{self} starts"))
        while self._verdict is None and (self._ending or not all(each.outage for each in self._restarting)):
            await self._changed.park()
        if self._verdict is not None:
            raise self._verdict

    # -- children by hand

    async def start_child(self, spec: ChildSpec) -> ActorRef[Any]:
        """Add a child after all others and start it; durable in the sense of its own class only.

        From elsewhere: `await system.get("pool").proxy().start_child(spec)`.

        Raises:
            NameTaken: another actor of the system has the name.
            ActorStopped: the supervisor stops.
            Exception: what made the start fail; the child is not kept then.
        """
        if self._ending or not self._cell.lives:
            msg = f"expected {self} to run, got one that stops: it starts no children"
            raise ActorStopped(msg)
        child = self._cell.add(spec)
        try:
            await child.start()
        except BaseException as error:
            if not child.cell.left_alone:
                self._stop_soon(child, f"the start failed: {error!r}")
            raise
        return child.cell.ref

    async def terminate_child(self, name: str) -> None:
        """Stop a child for good, whatever its kind; returns when it has stopped.

        Raises:
            UnknownActor: there is no such child.
        """
        child = self._cell.children.get(name)
        if child is None:
            msg = f"expected the name of a child of {self}, got {name!r}; there are: {self._names()}"
            raise UnknownActor(msg)
        await child.stop("terminated by its supervisor")

    def list_children(self) -> tuple[events.ActorStatus, ...]:
        """The children as they stand, in start order."""
        return tuple(child.cell.status() for child in self._cell.children.values())

    def _names(self) -> str:
        return ", ".join(self._cell.children) or "none"

    # -- what cells tell their parent; plain calls on the loop

    def child_failed(self, cell: LivingCell, error: BaseException) -> None:
        """The child has failed and is suspended."""
        self._down(cell, error, ran=True)

    def child_stops(self, cell: LivingCell) -> bool:
        """Whether a child that was asked to stop is started again afterwards: a permanent one."""
        child = self._cell.children.get(cell.name)
        return child is not None and child.spec.kind is Restart.PERMANENT

    def child_stopped(self, cell: LivingCell) -> None:
        """A permanent child has stopped by itself and is suspended."""
        self._down(cell, None, ran=True)

    def child_gone(self, cell: LivingCell) -> None:
        """The child has stopped for good."""
        child = self._cell.children.get(cell.name)
        if child is not None and child.cell is cell:
            del self._cell.children[cell.name]

    # -- decisions

    def _down(self, cell: LivingCell, error: BaseException | None, *, ran: bool) -> None:
        """A child's incarnation has ended: by `error`, or by itself; while it ran, or at its start."""
        child = self._cell.children.get(cell.name)
        if child is None or self._ending or not self._cell.lives or cell.incarnation <= child.replaced:
            return
        child.replaced = cell.incarnation
        reason = "it stopped by itself" if error is None else described(error)
        if not child.spec.kind.wanted(failed=error is not None):
            self._stop_soon(child, reason)
            return
        now = self.clock.monotonic()
        outage = child.spec.is_outage(error)
        if not outage:
            self._window = self._window.add(now)
            if self._window.exceeded:
                self._escalate(cell, reason, error)
                return
        ran_s = now - child.started_at if ran else 0.0
        child.failures = child.spec.backoff.failures_in_a_row(child.failures, ran_s)
        self._restart(child, reason, outage=outage)

    def _restart(self, child: Supervised, reason: str, *, outage: bool) -> None:
        delay_s = child.spec.backoff.delay_s(child.failures, self.random)
        child.cell.next_restart = self.clock.time() + delay_s
        self._announce(child, reason, delay_s)
        every = list(self._cell.children.values())
        together = [every[index] for index in self.strategy.affected(every.index(child), len(every))]
        restarting = self._begin(
            together, f"{child.cell} is restarted: {reason}", delay_s=delay_s, outage=outage
        )
        self.start_task(self._run, restarting, name=f"restart of {child.cell.name}")

    def _begin(
        self, children: Sequence[Supervised], reason: str, *, delay_s: float = 0.0, outage: bool = False
    ) -> Restarting:
        """Enter a restart, in the place of those that have to do with the same children."""
        before = [each for each in self._restarting if each.overlaps(children)]
        for each in before:
            each.preempt()
        for child in children:
            child.replaced = child.cell.incarnation
        restarting = Restarting(children, reason, delay_s=delay_s, outage=outage, before=before)
        self._restarting.append(restarting)
        return restarting

    def _announce(self, child: Supervised, reason: str, delay_s: float) -> None:
        log.warning("%s: restart in %.3f s (%s)", child.cell, delay_s, reason, extra={"action": "restart"})
        child.cell.publish(
            events.ActorRestarting, reason=reason, restarts=child.cell.restarts + 1, delay_s=delay_s
        )

    def _stop_soon(self, child: Supervised, reason: str) -> None:
        self.start_task(child.stop, reason, name=f"stop of {child.cell.name}")

    # -- work, in background tasks

    async def _run(self, restarting: Restarting) -> None:
        try:
            for each in restarting.before:
                await each.wait_until_ended()
            await self._take_down(restarting)
            await restarting.wait_until_due()
            while restarting.waiting and not restarting.preempted:
                await self._start_next(restarting)
        finally:
            self._restarting.remove(restarting)
            restarting.done.set()
            self._changed.unpark_all()

    async def _take_down(self, restarting: Restarting) -> None:
        """Stop those that still run, in reverse order, keeping their mailboxes."""
        for child in reversed(tuple(restarting.waiting)):
            if restarting.preempted:
                return
            if child.cell.lives and not child.cell.left_alone:
                await self._end(child, restarting.reason)

    async def _end(self, child: Supervised, reason: str) -> None:
        """End a child's incarnation; a temporary child, or one that stops anyway, for good."""
        if child.gone or child.spec.kind is Restart.TEMPORARY:
            await child.stop(reason)
        else:
            await child.end_incarnation(reason)

    async def _start_next(self, restarting: Restarting) -> None:
        child = restarting.current = restarting.waiting.pop(0)
        error = None
        if not child.gone and not child.cell.left_alone:
            error = await self._start(child)
        restarting.current = None
        if error is not None:
            child.cell.publish(events.ActorFailed, error=described(error), message="on_start")
            self._down(child.cell, error, ran=False)

    async def _start(self, child: Supervised) -> Exception | None:
        try:
            await child.start()
        except Exception as error:  # noqa: BLE001 - a failing start is a failure (RT-6)
            return None if child.gone or child.cell.left_alone else error
        return None

    async def end_children(self, reason: str) -> None:
        """End all restarts, then the children's incarnations in reverse order; their cells stay."""
        self._preempt_all()
        for each in tuple(self._restarting):
            await each.wait_until_ended()
        for child in reversed(tuple(self._cell.children.values())):
            if child.cell.lives:
                await self._end(child, reason)

    def abandon_start(self) -> None:
        """A start that waits for children's restarts has no point any more: the supervisor is to stop."""
        self._preempt_all()
        self._verdict = self._verdict or ActorStopped(f"{self} was stopped before it had started")
        self._changed.unpark_all()

    def _preempt_all(self) -> None:
        self._ending = True
        for each in self._restarting:
            each.preempt()

    def _escalate(self, cell: LivingCell, reason: str, error: BaseException | None) -> None:
        self._preempt_all()
        window = f"more than {self.intensity} restarts within {self.period_s:g} s"
        escalated = Escalated(f"{self}: {window}, the last one of {cell}: {reason}")
        escalated.__cause__ = error
        self._cell.publish(events.ActorEscalated, reason=str(escalated))
        self.start_task(self._give_up, escalated, name="escalation")

    async def _give_up(self, escalated: Escalated) -> None:
        await self.end_children(str(escalated))
        self._verdict = escalated
        self._changed.unpark_all()
        raise escalated


def _check_names(specs: Sequence[ChildSpec]) -> None:
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        msg = f"expected a name of its own for each child, got {', '.join(names)}"
        raise ValueError(msg)
