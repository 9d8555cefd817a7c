"""The writer service: one thread that makes the lines of all journals durable (rule J1).

It takes everything that is queued, writes it, syncs it, and then moves all watermarks with one call
on the loop's thread. A batch of one journal is synced by the thread itself; one of several by a pool.

Why a pool (8 threads), and not one `syncfs` for a batch of many files: with 256 journals of one line
each the pool was measured at 3.7 to 5 times SQLite, `syncfs` at 15 times. But `syncfs` writes out
whatever else is dirty on the file system, so a stranger's gigabyte delays our replies; before Linux
5.8 it reports no write errors at all, and after that it does not say whose; and other systems have
none. A `syncfs` followed by the pool's fdatasyncs names the file again, but gains only a third.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

from understudy.supervision.journal.pool import Pool
from understudy.supervision.wants import wants_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.supervision.journal.output import Output


logger = logging.getLogger(__name__)
_PATIENCE_S = 0.05

Append: TypeAlias = "tuple[Output, bytes, int]"
"""Whole lines of one journal, and the seq of the last of them. A plain tuple: one is made for each append."""


class Writer:
    """The service. `put` and `run` may be called from any thread and never wait.

    Args:
        post: runs a call on the loop's thread soon; never raises, also when the loop is gone.
        open_files: journals whose segment is kept open.
        threads: of the pool.

    Attributes:
        put: queues an `Append` or a job; the queue's own method, since a call in between costs as much
            again.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None], open_files: int, threads: int) -> None:
        self._post = post
        self._open_files = open_files
        self._open: dict[Output, None] = {}  # in order of last use
        self._pool = Pool(threads)
        self._hand: Append | None = None  # taken from the queue, and perhaps in no batch yet
        self._queue: SimpleQueue[Append | Callable[[], None] | None] = SimpleQueue()
        self.put: Callable[[Append | Callable[[], None]], None] = self._queue.put
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._start()

    def _start(self) -> None:
        with wants_named("write journals"):
            self._thread.start()

    def run(self, job: Callable[[], None]) -> None:
        """Run `job` on the writer's thread after what was queued before; it must not raise."""
        self.put(job)

    def forget(self, output: Output) -> None:
        """Close the journal's file after what was queued before."""
        self.put(partial(self._forget, output))

    def _forget(self, output: Output) -> None:
        self._open.pop(output, None)
        output.close()

    def close(self, deadline_s: float) -> bool:
        """Write what is queued, close all files, end the threads; False when that takes too long.

        The threads are daemons: a disk that hangs for good does not keep the program from ending.
        """
        self._queue.put(None)
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            batch: dict[Output, list[Append]] = {}
            then = _nothing
            try:
                then = self._take(batch)
                if batch:
                    self._commit(batch)
            except Exception as error:  # noqa: BLE001 - one thread serves all: it must go on (rule J5)
                self._break(batch, error)
            if then is None:
                break
            _run_job(then)
        self._close_all()

    def _break(self, batch: dict[Output, list[Append]], error: Exception) -> None:
        """Have the actors of a batch that could not be written halted; nothing of it counts (rule J5)."""
        problem = OSError(errno.ENOMEM if isinstance(error, MemoryError) else errno.EIO, repr(error))
        outputs = set(batch)
        if self._hand is not None:
            outputs.add(self._hand[0])
        for output in outputs:
            output.break_off(problem)
        self.tell([(output, output.seq, output.problem) for output in outputs])

    def _close_all(self) -> None:
        for output in self._open:
            output.close()
        self._pool.close()

    def _take(self, batch: dict[Output, list[Append]]) -> Callable[[], None] | None:
        """Put everything queued up to the next job (which keeps its place) into `batch`; that job."""
        item = self._queue.get()
        try:
            while item is not None and not callable(item):
                self._hand = item
                waiting = batch.get(item[0])
                if waiting is None:
                    batch[item[0]] = [item]
                else:
                    waiting.append(item)
                item = self._queue.get_nowait()
        except Empty:
            item = _nothing
        self._hand = None
        return item

    def _commit(self, batch: dict[Output, list[Append]]) -> None:
        good = [entry for entry in batch.items() if entry[0].problem is None]
        for start in range(0, len(good), self._open_files):
            self._commit_some(good[start : start + self._open_files])

    def _commit_some(self, some: list[tuple[Output, list[Append]]]) -> None:
        """Write and sync at most `open_files` journals, then move their watermarks with one post."""
        self._make_room([output for output, _ in some])
        self.make_durable(some)
        self.tell([(output, output.seq, output.problem) for output, _ in some])

    def make_durable(self, some: list[tuple[Output, list[Append]]]) -> None:
        """Write and sync all of `some`, or set their `problem`."""
        calls = [_begin(output, appends) for output, appends in some]
        if len(calls) == 1:
            calls[0]()
        else:
            self._pool.run(calls)

    def tell(self, results: list[tuple[Output, int, OSError | None]]) -> None:
        """Have the loop's thread told how far each journal is durable now, or that it failed."""
        while True:
            try:
                return self._post(partial(_tell, results))
            except MemoryError:  # who waits for it would wait for ever
                time.sleep(_PATIENCE_S)

    def _make_room(self, wanted: list[Output]) -> None:
        opened = self._open
        for output in wanted:
            opened.pop(output, None)
            opened[output] = None
        while len(opened) > self._open_files:
            oldest = next(iter(opened))
            del opened[oldest]
            oldest.close()


class InlineWriter(Writer):
    """The same service without a thread, for simulations: it works on the loop, in steps of its own.

    What a turn queues is written and synced in a later call on the loop, and the watermarks move in
    one after that: acknowledgements lag the turns as they do with threads, and in the same order in
    each run. The disk holds up the loop meanwhile, so its files should be those of a test.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None], open_files: int) -> None:
        super().__init__(post, open_files, 1)
        self._posted = False
        self.put = self._put

    def _start(self) -> None:
        """There is no thread to start."""

    def _put(self, item: Append | Callable[[], None]) -> None:
        self._queue.put(item)
        if not self._posted:
            self._posted = True
            self._post(self._work)

    def close(self, deadline_s: float) -> bool:  # noqa: ARG002 - nothing here waits
        """As `Writer.close`; what is queued is written before it returns."""
        self._work()
        self._close_all()
        return True

    def make_durable(self, some: list[tuple[Output, list[Append]]]) -> None:
        """As `Writer.make_durable`, one after the other."""
        for output, appends in some:
            _begin(output, appends)()

    def _work(self) -> None:
        self._posted = False
        while not self._queue.empty():
            batch: dict[Output, list[Append]] = {}
            then = self._take(batch)
            if batch:
                self._commit(batch)
            _run_job(then or _nothing)


def _nothing() -> None:
    """No job."""


def _run_job(job: Callable[[], None]) -> None:
    """The thread serves all journals: an error that a job did not expect must not end it."""
    try:
        job()
    except Exception:
        logger.exception("a job of the journals' writer failed", extra={"action": "journal_job_failed"})


def _begin(output: Output, appends: list[Append]) -> Callable[[], None]:
    """Write at once where that is one quick call; what is left to do on a thread of the pool.

    With the writes in the pool too, its threads contend for the interpreter: a fifth slower.
    """
    parts, last_seq = [append[1] for append in appends], appends[-1][2]
    if output.is_ready:
        output.write(parts)
        return partial(output.commit, last_seq)
    return partial(_write_and_commit, output, parts, last_seq)


def _write_and_commit(output: Output, parts: list[bytes], last_seq: int) -> None:
    """Opening and making files syncs folders: all of it in parallel."""
    output.write(parts)
    output.commit(last_seq)


def _tell(results: list[tuple[Output, int, OSError | None]]) -> None:
    """On the loop's thread: everything of one batch."""
    for output, seq, problem in results:
        if problem is None:
            output.moved(seq)
        else:
            output.failed(problem)
