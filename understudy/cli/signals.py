"""SIGINT, SIGTERM and SIGHUP as RT-9 wants them: the first asks for an orderly end, a second ends at once."""

from __future__ import annotations

import faulthandler
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import trio

if TYPE_CHECKING:
    from types import FrameType, TracebackType

ORDERLY_S = 60.0
"""The time that the first signal gives the process; more than the actors and the journals may take."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Turns the first of the signals into a trio event, and ends the process on the second.

    A SIGHUP that is ignored stays so (nohup). It never counts as the second: a terminal that is closed
    sends it twice, from the shell and from the kernel.

    Plain handlers instead of `trio.open_signal_receiver`: a handler runs between two bytecodes of the
    main thread, so a second signal works also while a turn keeps the loop busy, and a first one that
    comes before trio runs is not lost. Ending at once is safe: what was acknowledged is on disk, and
    the children die with this process (rule H1).
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._timed = False
        self._nowhere = os.open(os.devnull, os.O_WRONLY)  # a full pipe would keep the guard waiting
        self._event = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._previous: dict[signal.Signals, signal.Handlers] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            previous = signal.signal(number, self._handle)
            self._previous[number] = previous if isinstance(previous, signal.Handlers) else signal.SIG_DFL
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
        os.close(self._nowhere)
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def end_within(self, seconds: float, code: int) -> None:
        """End the process with `code` unless this block is left within `seconds`; a signal ends it at once.

        By the kernel's timer: a thread could not be started when memory or threads have run out. Where one
        can, a second guard ends the process with code 1 a second later, also when the main thread is stuck
        inside a library and no handler is called any more.
        """
        self._timed = True
        signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(code))
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with suppress(RuntimeError, MemoryError):
            faulthandler.dump_traceback_later(seconds + 1, exit=True, file=self._nowhere)

    async def wait(self) -> None:
        """Return once the first signal has come."""
        self._token = trio.lowlevel.current_trio_token()
        if self.received is not None:
            return
        try:
            await self._event.wait()
        finally:
            self._token = None

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the shape of a handler
        if self.received is not None or self._timed:
            if number == signal.SIGHUP:
                return
            os._exit(128 + number)
        self.received = signal.Signals(number)
        self.end_within(ORDERLY_S, 128 + number)  # here: the loop may be stuck, and never hear of it
        if self._token is not None:
            self._token.run_sync_soon(self._event.set)
