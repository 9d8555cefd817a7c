"""The notifier: owns what still has to be told to whom."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from understudy.actors.notifier.attempts import carry_out
from understudy.actors.notifier.lanes import Lane
from understudy.actors.notifier.sinks import Sessions, SinkConfig, make_sink
from understudy.actors.notifier.state import (
    AttemptMade,
    DeliveriesDue,
    NotifierState,
    OpenDelivery,
    Told,
)
from understudy.protocols.conversation import WakeTaskDone
from understudy.protocols.errors import NotFound, Refused
from understudy.protocols.lifecycle import Problem
from understudy.protocols.notifications import (
    TASK_DONE,
    DeliveriesAccepted,
    DeliveriesQueued,
    Delivery,
    DeliveryGivenUp,
    DeliveryList,
    DeliveryMade,
    DeliveryRetried,
    DeliveryRevived,
    DeliveryStarted,
    ListDeliveries,
    NewDelivery,
    Notification,
    Notify,
    RetryDeliveries,
    TaskDone,
    TaskDoneSent,
)
from understudy.supervision.persistent import PersistentActor

log = logging.getLogger("understudy.notifier")

REMEMBERED = 10_000
"""So many notifications are remembered, to know one that comes twice."""
DEAD_KEPT = 10_000
"""So many dead letters are kept; the oldest is forgotten then, and is in the journal only."""
RETRY_AFTER_CAP_S = 3600.0
"""A receiver that wishes for a longer wait is not heard."""
CUT_OFF = "the runtime went down under the attempt"


class NotifierActor(PersistentActor[NotifierState]):
    """Tells sessions and sinks, each notification once to each (NT-1, NT-2).

    To the actor that keeps the owning session: exactly once. The send is in the same journal line as
    the record of it, and is repeated until it is durable at the receiver (rules D).

    To each sink that wants it: at least once, under an id that stays the same, as a delivery that is
    queued in the same line. Its attempts are made in the background, each recorded before it begins
    (so that those which a crash cuts off count, too), until one succeeds or it is given up: a dead
    letter, which `RetryDeliveries` tries again. A sink that hangs or fails holds up itself only.

    Args:
        sinks: where to tell besides; a delivery to a sink that is not among them any more is given up.
        sessions: which actor keeps which session; all others are the manager's.
        manager: the manager's name.
        problems: sinks that can't be used now; what waits for them is kept for a start that can.

    Raises:
        ValueError: two sinks have one name, or the file of one is the runtime's.
    """

    state_version = 2

    def __init__(
        self,
        *,
        sinks: Sequence[SinkConfig] = (),
        sessions: Mapping[str, str] | None = None,
        manager: str = "manager",
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__()
        self._sessions = Sessions(sessions or {}, manager)
        self._lanes = {config.name: Lane(config, make_sink(config, self.system)) for config in sinks}
        if len(self._lanes) < len(sinks):
            names = ", ".join(config.name for config in sinks)
            raise ValueError(f"expected sinks of different names, got {names}")
        self._alarm_at: float | None = None
        self.problems = tuple(problems)

    def on_start(self) -> None:
        """Go on with what was queued; an attempt that a crash cut off has failed."""
        for problem in self.problems:
            extra = {"action": "sink_unusable", "sink": problem.name}
            log.warning("nothing is sent to the sink %s: %s", problem.name, problem.reason, extra=extra)
        unusable = {problem.name for problem in self.problems}
        for delivery in tuple(self.state.open.values()):
            if delivery.sink in unusable and delivery.sink not in self._lanes:
                continue
            lane = self._lanes.get(delivery.sink)
            if lane is None:
                self._give_up(delivery, f"no sink {delivery.sink!r} is configured any more")
                continue
            lane.count += 1
            if delivery.status == "running":
                self._failed(lane, delivery, AttemptMade(id=delivery.id, attempt=0, error=CUT_OFF))
            else:
                lane.put(delivery)
        self._dispatch()

    # -- commands

    def task_done(self, message: TaskDone) -> None:
        result = message.result
        if result.task in self.state.known:
            log.warning("%s was told before", result.task, extra={"action": "task_done_again"})
            return
        receiver = self._sessions.keeper(result.session)
        self.emit(
            TaskDoneSent(
                task=result.task,
                attempt=result.attempt,
                status=result.status,
                session=result.session,
                receiver=receiver,
            )
        )
        self.send(receiver, WakeTaskDone(result=result))
        self._queue(Notification(id=result.task, kind=TASK_DONE, session=result.session, result=result))

    def notify(self, message: Notify) -> None:
        if message.notification.id in self.state.known:
            log.warning("%s was told before", message.notification.id, extra={"action": "notify_again"})
            return
        self._queue(message.notification)

    def list_deliveries(self, message: ListDeliveries) -> DeliveryList:
        return self.state.page(message)

    def retry_deliveries(self, message: RetryDeliveries) -> DeliveriesAccepted:
        if message.ids is None:
            wanted = [each for each in self.state.dead.values() if message.sink in (None, each.sink)]
        else:
            wanted = [self._known(name) for name in dict.fromkeys(message.ids)]
        for delivery in wanted:
            if delivery.sink not in self._lanes:
                raise Refused(f"{delivery.id}: expected a sink that is configured, got {delivery.sink!r}")
        for delivery in wanted:
            if delivery.status != "running":
                lane = self._lanes[delivery.sink]
                lane.count += delivery.status == "dead"
                self.emit(DeliveryRevived(id=delivery.id, sink=delivery.sink))
                lane.put(delivery)
        self._dispatch()
        return DeliveriesAccepted(ids=tuple(delivery.id for delivery in wanted))

    # -- what attempts and the timer report

    def attempt_made(self, message: AttemptMade) -> None:
        delivery = self.state.open.get(message.id)
        if delivery is None or delivery.status != "running" or delivery.attempts != message.attempt:
            extra = {"action": "delivery_stale", "delivery": message.id}
            log.info("late end of %s/%d dropped", message.id, message.attempt, extra=extra)
            return
        lane = self._lanes[delivery.sink]
        lane.running -= 1
        if message.error is None:
            lane.count -= 1
            self.emit(DeliveryMade(id=delivery.id, sink=delivery.sink, attempt=message.attempt))
        else:
            self._failed(lane, delivery, message)
        self._dispatch()

    def deliveries_due(self, _message: DeliveriesDue) -> None:
        self._alarm_at = None
        self._dispatch()

    # -- events

    def task_done_sent(self, event: TaskDoneSent) -> None:
        self._remember(event.task)

    def deliveries_queued(self, event: DeliveriesQueued) -> None:
        told, now = event.notification, self.turn_time
        self._remember(told.id)
        held = self.state.told.setdefault(told.id, Told(notification=told, at=now, users=0))
        for new in event.deliveries:
            number = self.state.next_delivery
            self.state.next_delivery += 1
            held.users += 1
            self.state.open[new.id] = OpenDelivery(
                id=new.id, number=number, sink=new.sink, about=told.id, queued_at=now, due_at=now
            )

    def delivery_started(self, event: DeliveryStarted) -> None:
        delivery = self.state.open[event.id]
        delivery.status, delivery.attempts = "running", event.attempt

    def delivery_made(self, event: DeliveryMade) -> None:
        self._release(self.state.open.pop(event.id))

    def delivery_retried(self, event: DeliveryRetried) -> None:
        delivery = self.state.open[event.id]
        delivery.status, delivery.error, delivery.due_at = "queued", event.error, event.retry_at
        if event.want:
            delivery.before += 1

    def delivery_given_up(self, event: DeliveryGivenUp) -> None:
        delivery = self.state.open.pop(event.id)
        delivery.status, delivery.error = "dead", event.reason
        dead = self.state.dead
        dead[event.id] = delivery
        if len(dead) > DEAD_KEPT:
            self._release(dead.pop(next(iter(dead))))

    def delivery_revived(self, event: DeliveryRevived) -> None:
        delivery = self.state.dead.pop(event.id, None) or self.state.open[event.id]
        delivery.status, delivery.before = "queued", delivery.attempts
        delivery.queued_at = delivery.due_at = self.turn_time
        self.state.open[event.id] = delivery

    def _remember(self, name: str) -> None:
        known = self.state.known
        if name not in known:
            known[name] = None
            self.state.count += 1
            if len(known) > REMEMBERED:
                del known[next(iter(known))]

    def _release(self, delivery: OpenDelivery) -> None:
        held = self.state.told[delivery.about]
        held.users -= 1
        if held.users == 0:
            del self.state.told[delivery.about]

    # -- transitions

    def _queue(self, notification: Notification) -> None:
        """Queue a delivery for each sink that wants it, and start what may start."""
        lanes = [lane for lane in self._lanes.values() if lane.config.wants(notification)]
        if not lanes:
            return
        first = self.state.next_delivery
        # A part of the id is drawn by lot: it has to be another one than that of any other home.
        deliveries = tuple(
            NewDelivery(id=f"dlv-{first + at}-{self.random.getrandbits(64):016x}", sink=lane.config.name)
            for at, lane in enumerate(lanes)
        )
        self.emit(DeliveriesQueued(notification=notification, deliveries=deliveries))
        for lane, new in zip(lanes, deliveries, strict=True):
            delivery = self.state.open[new.id]
            if lane.full:
                self._give_up(delivery, f"{lane.config.waiting} deliveries wait for this sink already")
            else:
                lane.count += 1
                lane.put(delivery)
        self._dispatch()

    def _dispatch(self) -> None:
        """Start what is due where a place is free, and wake again when the next one is due."""
        now, deliveries = self.clock.time(), self.state.open
        for lane in self._lanes.values():
            while (delivery := lane.take(now, deliveries)) is not None:
                self._start(lane, delivery)
        waits = [due for lane in self._lanes.values() if (due := lane.next_due(deliveries)) is not None]
        earliest = min(waits, default=None)
        if earliest != self._alarm_at:
            self._alarm_at = earliest
            if earliest is None:
                self.cancel_timer("due")
            else:
                self.start_timer("due", DeliveriesDue(), at_s=earliest)

    def _start(self, lane: Lane, delivery: OpenDelivery) -> None:
        self.emit(DeliveryStarted(id=delivery.id, sink=delivery.sink, attempt=delivery.attempts + 1))
        lane.running += 1
        told = self.state.told[delivery.about]
        attempt = Delivery(
            id=delivery.id,
            sink=delivery.sink,
            attempt=delivery.attempts,
            at=told.at,
            notification=told.notification,
        )
        name = f"{delivery.id}/{delivery.attempts}"
        self.start_task(carry_out, self.ref, lane.sink, attempt, lane.config.timeout_s, name=name)

    def _failed(self, lane: Lane, delivery: OpenDelivery, message: AttemptMade) -> None:
        """Try it again later, or give it up."""
        config, error = lane.config, message.error or ""
        made = max(1, delivery.attempts - delivery.before)
        delay_s = config.backoff().delay_s(made, self.random)
        delay_s = max(delay_s, min(message.retry_after_s or 0.0, RETRY_AFTER_CAP_S))
        retry_at = self.clock.time() + delay_s
        if message.want:
            reason = ""  # nothing was sent: it waits, however often and long
        elif made >= min(config.attempts, message.tries or config.attempts):
            reason = f"{error} (attempt {delivery.attempts})"
        elif retry_at > delivery.queued_at + config.max_age_s:
            reason = f"{error} (attempt {delivery.attempts}, and it waits for {config.max_age_s:g} s)"
        else:
            reason = ""
        if not reason:
            self.emit(
                DeliveryRetried(
                    id=delivery.id,
                    sink=delivery.sink,
                    attempt=delivery.attempts,
                    error=error,
                    retry_at=retry_at,
                    want=message.want,
                )
            )
            lane.put(delivery)
            return
        lane.count -= 1
        self._give_up(delivery, reason)

    def _give_up(self, delivery: OpenDelivery, reason: str) -> None:
        self.emit(
            DeliveryGivenUp(id=delivery.id, sink=delivery.sink, attempt=delivery.attempts, reason=reason)
        )
        extra = {"action": "delivery_given_up", "delivery": delivery.id, "sink": delivery.sink}
        log.warning("%s to %s is a dead letter: %s", delivery.id, delivery.sink, reason, extra=extra)

    # -- small questions

    def _known(self, name: str) -> OpenDelivery:
        found = self.state.open.get(name) or self.state.dead.get(name)
        if found is None:
            raise NotFound(f"expected the id of a delivery that is queued or dead, got {name!r}")
        return found
