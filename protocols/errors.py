"""The errors: one root, a type per cause, each with a stable code and what to do about it."""

from __future__ import annotations

from typing import ClassVar

import pykka


class UnderstudyError(Exception):
    """The root of all errors that a caller may want to catch.

    Attributes:
        code: stable name of the cause, used on the wire (problem+json `code`).
        status: the HTTP status that the cause maps to.
        title: the cause in a few words.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"


class Refused(UnderstudyError):
    """An actor said no: the message broke one of its rules, and nothing happened."""

    code = "refused"
    status = 409
    title = "Refused"


class NotFound(Refused):
    """An actor said no: what the message names does not exist."""

    code = "not_found"
    status = 404
    title = "Not found"


class BadSchedule(Refused):
    """A schedule that can never be: the text names the field of the expression, the zone or the time."""

    code = "bad_schedule"
    status = 422
    title = "Bad schedule"


class SeqNotKept(NotFound):
    """A journal has no turn of that number, or not any more (rule J7); `first` and `last` are kept."""

    code = "seq_not_kept"
    title = "Turn not kept"

    def __init__(self, message: str, *, first: int = 0, last: int = 0) -> None:
        super().__init__(message)
        self.first = first
        self.last = last


class InvalidMessage(Refused):
    """A message or its field is not valid; the text names actor, message and field."""

    code = "invalid_message"
    status = 422
    title = "Invalid message"


class UnknownMessage(Refused):
    """The actor has no handler for this type of message."""

    code = "unknown_message"
    status = 422
    title = "Unknown message"


class TaskRefused(Refused):
    """The pool would not make a task, or end one: `rule` says why, and `task` names the one in the way.

    Attributes:
        rule: the rule that refused: one of these classes stands for each.
        task: the task that stands in the way; None when none does, or when the refusal is repeated for
            an idempotency key (its text still names it).
    """

    code = "task_refused"
    title = "Task refused"
    rule: ClassVar[str] = ""

    def __init__(self, text: str, *, task: str | None = None) -> None:
        super().__init__(text)
        self.task = task


class DuplicateTask(TaskRefused):
    """An active task has the same fingerprint."""

    code = "duplicate_task"
    title = "Duplicate task"
    rule = "fingerprint"


class TaskOver(TaskRefused):
    """The task has succeeded or failed: final states stay as they are."""

    code = "task_over"
    title = "Task is over"
    rule = "final"


class NotConfigured(TaskRefused):
    """The pool has no executor of that name: a profile that nothing was configured for, or a misspelt one."""

    code = "not_configured"
    status = 422
    title = "Executor not configured"
    rule = "executor"


class UnknownFunction(TaskRefused):
    """No callable of that name is registered."""

    code = "unknown_function"
    status = 422
    title = "Unknown function"
    rule = "function"


class BadArguments(TaskRefused):
    """The callable does not take these arguments."""

    code = "bad_arguments"
    status = 422
    title = "Bad arguments"
    rule = "arguments"


class BadWorkspace(TaskRefused):
    """The folder to work in is outside of the allowed ones, or reaches what belongs to the runtime."""

    code = "bad_workspace"
    status = 422
    title = "Bad workspace"
    rule = "workspace"


class TooLongTimeout(TaskRefused):
    """The task asks for more time than the configuration allows."""

    code = "too_long_timeout"
    status = 422
    title = "Time limit too long"
    rule = "timeout"


class SessionInvalid(UnderstudyError):
    """An engine's session is gone: the next call begins a new one. For engines to raise."""

    code = "session_invalid"
    status = 410
    title = "Engine session gone"


class UnknownActor(UnderstudyError):
    """No actor of that name, neither running nor in the home."""

    code = "unknown_actor"
    status = 404
    title = "Unknown actor"


class InvalidName(UnderstudyError):
    """The name can't be an actor's: it also names a folder, and stands in journal lines."""

    code = "invalid_name"
    status = 422
    title = "Invalid name"


class NameTaken(UnderstudyError):
    """Another actor of this system has the name."""

    code = "name_taken"
    status = 409
    title = "Name taken"


class MailboxFull(UnderstudyError):
    """The bound of the mailbox is reached: wait for room with `tell_async`, or try later."""

    code = "mailbox_full"
    status = 503
    title = "Mailbox full"


class OutboxFull(UnderstudyError):
    """A receiver has not made enough of this sender's messages durable (rule D2)."""

    code = "outbox_full"
    status = 503
    title = "Outbox full"


class ActorStopped(UnderstudyError, pykka.ActorDeadError):
    """The actor has stopped; the message was not handled."""

    code = "actor_stopped"
    status = 503
    title = "Actor stopped"


class ActorHalted(UnderstudyError):
    """A write failed: the actor takes nothing until `resume` (rule J5). Nothing happened."""

    code = "actor_halted"
    status = 503
    title = "Actor halted"


class ActorBlocked(UnderstudyError):
    """The actor's journal can't be read: it takes nothing until `understudy journal repair` (rule J4)."""

    code = "actor_blocked"
    status = 503
    title = "Actor blocked"


class OutcomeUnknown(UnderstudyError):
    """The turn was dropped before it was known to be durable: ask again with an idempotency key (rule D3)."""

    code = "outcome_unknown"
    status = 503
    title = "Outcome unknown"


class AskTimeout(UnderstudyError, pykka.Timeout):
    """No reply in time. The message may still be handled."""

    code = "ask_timeout"
    status = 504
    title = "No reply in time"


class UserCodeExit(UnderstudyError):
    """User code raised what is no `Exception`, such as SystemExit or KeyboardInterrupt; it is the cause."""

    code = "user_code_exit"


class WouldDeadlock(UnderstudyError):
    """A blocking call on the loop's own thread: await the async form instead."""

    code = "would_deadlock"


class AskCycle(UnderstudyError):
    """The asked actor waits, directly or not, for the asking one (rule T6)."""

    code = "ask_cycle"
    status = 409
    title = "Ask cycle"


class TurnOver(UnderstudyError):
    """`emit`, `send` or `ask` outside of the live turn (rule T3)."""

    code = "turn_over"


class NotEncodable(UnderstudyError):
    """An event or a message holds what a journal line can't hold; nothing was written."""

    code = "not_encodable"


class ReplyNotEncodable(UnderstudyError):
    """The reply can't be copied or encoded (rule T2); the turn was discarded."""

    code = "reply_not_encodable"


class KeyReused(UnderstudyError):
    """The idempotency key came before with another payload (rule D3)."""

    code = "key_reused"
    status = 409
    title = "Idempotency key reused"


class NotPersistent(UnderstudyError):
    """The operation needs a persistent actor, or a system with a home."""

    code = "not_persistent"
    status = 409
    title = "Not persistent"


class HomeError(UnderstudyError):
    """The home can't be used; the text names the folder and the reason."""

    code = "home_unusable"
    title = "Home unusable"


class HomeInUse(HomeError):
    """Another process owns the home; `pid` says which (rule H2)."""

    code = "home_in_use"
    status = 409
    title = "Home in use"

    def __init__(self, message: str, *, pid: int | None = None, address: str | None = None) -> None:
        super().__init__(message)
        self.pid = pid
        self.address = address


class HomeNotWritable(HomeError):
    """The home's folder can't be made or written."""

    code = "home_not_writable"
    title = "Home not writable"


class NewerVersion(HomeError):
    """A newer version of Understudy (or of the program's events) wrote this; it is not read."""

    code = "newer_version"
    title = "Written by a newer version"


class JournalDamaged(UnderstudyError):
    """A journal holds something that no crash can explain (rule J4).

    Attributes:
        file: path of the segment or snapshot.
        line: line number in that file, from 1.
        offset: byte offset of that line in the file.
        reason: what is wrong with it.
    """

    code = "journal_damaged"
    title = "Journal damaged"

    def __init__(self, file: str, line: int, offset: int, reason: str) -> None:
        super().__init__(
            f"{file}, line {line}, offset {offset}: {reason}. "
            "Nothing was changed; look at it with `understudy journal verify`, "
            "set the bad records aside with `understudy journal repair`"
        )
        self.file = file
        self.line = line
        self.offset = offset
        self.reason = reason

    def __reduce__(self) -> tuple[type[JournalDamaged], tuple[str, int, int, str]]:
        return type(self), (self.file, self.line, self.offset, self.reason)


class RecordNotUnderstood(UnderstudyError):
    """A whole, unchanged record that the actor's class can't decode: another program wrote it."""

    code = "record_not_understood"
    title = "Record not understood"


class Escalated(UnderstudyError):
    """A supervisor's restart intensity was exceeded (or a child's start never succeeded)."""

    code = "escalated"


class Stopping(UnderstudyError):
    """The system is shutting down and takes nothing new."""

    code = "stopping"
    status = 503
    title = "Shutting down"


class OutOfResources(UnderstudyError):
    """The machine has no descriptor, memory, thread or process left; nothing was begun. Try again later.

    Attributes:
        want: what is lacking: "file descriptors", "memory", "threads" or "processes".
    """

    code = "out_of_resources"
    status = 503
    title = "Out of resources"

    def __init__(self, message: str, *, want: str = "") -> None:
        super().__init__(message)
        self.want = want


class CommandNotStarted(UnderstudyError):
    """The operating system would not start a command; nothing ran. Trying again needs a change.

    Attributes:
        command: the command as it was given.
    """

    code = "command_not_started"
    status = 422
    title = "Command not started"

    def __init__(self, message: str, *, command: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.command = command


class CommandNotFound(CommandNotStarted):
    """No file of that name, neither as a path nor in the child's PATH."""

    code = "command_not_found"
    title = "Command not found"


class CommandNotExecutable(CommandNotStarted):
    """The file is there, but it may not be executed, or is not of a kind that can be."""

    code = "command_not_executable"
    title = "Command not executable"


class BadWorkingFolder(CommandNotStarted):
    """The folder to run in is missing, is not a folder, or may not be entered."""

    code = "bad_working_folder"
    title = "Bad working folder"
