"""The actors that the rows run: as small as the work allows, so that the runtime is what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from understudy import Actor, Event, Message, PersistentActor

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from understudy import ActorRef


class Ping(Message[int]):
    """Count, and say how many so far."""


class Join(Message[None]):
    """Take the actor named `after` as the next one of the ring."""

    after: str


class Book(Message[int]):
    """Write an entry; the reply is the total."""

    amount: int
    who: str = "customer-17"
    what: str = "sku-1,sku-2,sku-3"


class Booked(Event):
    """An entry of some 60 bytes of JSON."""

    amount: int
    who: str
    what: str


class Totals(BaseModel):
    """What a ledger knows: small, so that recovery's memory is recovery's own."""

    total: int = 0
    last: str = ""


class Counter(Actor):
    """Counts what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def ping(self, _message: Ping) -> int:
        """One more."""
        self.count += 1
        return self.count


class Lap:
    """How many hops are left, shared by a ring's actors of either runtime."""

    def __init__(self, hops: int, done: Callable[[], object]) -> None:
        self.left = hops
        self._done = done

    def hop(self) -> bool:
        """Count one hop; whether there is another."""
        self.left -= 1
        if self.left == 0:
            self._done()
        return self.left > 0


class Runner(Actor):
    """One of a ring: passes on what it gets."""

    def __init__(self, lap: Lap) -> None:
        super().__init__()
        self._lap = lap
        self._next: ActorRef[Runner] | None = None

    def join(self, message: Join) -> None:
        """Close the ring."""
        self._next = self.system.get(message.after)

    def ping(self, message: Ping) -> int:
        """Pass it on while hops are left."""
        if self._lap.hop() and self._next is not None:
            self._next.tell(message)
        return 0


class Ledger(PersistentActor[Totals]):
    """One small event a turn."""

    def book(self, message: Book) -> int:
        """A durable turn; answered when its line is on disk."""
        self.emit(Booked(amount=message.amount, who=message.who, what=message.what))
        return self.state.total

    def read(self, _message: Ping) -> int:
        """A turn that changes nothing."""
        return self.state.total

    def booked(self, event: Booked) -> None:
        """Sum up."""
        self.state.total += event.amount
        self.state.last = event.who


class CreateJob(Message[str]):
    """Note a job and start it when there is room."""

    job: str


class StartJob(Message[None]):
    """Note that the job runs, and run it."""

    job: str


class RunJob(Message[None]):
    """Carry the job out."""

    job: str


class FinishJob(Message[None]):
    """Note that the job is done, and tell the client."""

    job: str


class JobDone(Message[None]):
    """The job is done, durably."""

    job: str


class JobCreated(Event):
    """A job waits."""

    job: str


class JobStarted(Event):
    """A job runs."""

    job: str


class JobFinished(Event):
    """A job is done."""

    job: str


class Jobs(BaseModel):
    """Where each job is."""

    status: dict[str, str] = {}


class Pool(PersistentActor[Jobs]):
    """A task pool in miniature: three durable turns a job, everything in between by durable sends."""

    def create(self, message: CreateJob) -> str:
        """Turn one."""
        self.emit(JobCreated(job=message.job))
        self.send("pool", StartJob(job=message.job))
        return message.job

    def start_job(self, message: StartJob) -> None:
        """Turn two."""
        self.emit(JobStarted(job=message.job))
        self.send("executor", RunJob(job=message.job))

    def finish(self, message: FinishJob) -> None:
        """Turn three."""
        self.emit(JobFinished(job=message.job))
        self.send("client", JobDone(job=message.job))

    def created(self, event: JobCreated) -> None:
        """Waits."""
        self.state.status[event.job] = "queued"

    def started(self, event: JobStarted) -> None:
        """Runs."""
        self.state.status[event.job] = "running"

    def finished(self, event: JobFinished) -> None:
        """Done."""
        self.state.status[event.job] = "done"


class Executor(Actor):
    """Does nothing, at once."""

    def run_job(self, message: RunJob) -> None:
        """A no-op, then its outcome."""
        self.system.get("pool").tell(FinishJob(job=message.job))


class Client(Actor):
    """Wakes whoever waits for a job."""

    def __init__(self, waiting: dict[str, trio.Event]) -> None:
        super().__init__()
        self._waiting = waiting

    def done(self, message: JobDone) -> None:
        """The job's finished turn is durable: sends leave at the watermark."""
        self._waiting.pop(message.job).set()
