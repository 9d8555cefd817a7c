"""How a command ends: its exit codes, and the problems that lead to them (see `docs/reference/cli.md`)."""

from __future__ import annotations

from enum import IntEnum

from pydantic import BaseModel, ConfigDict, ValidationError

from understudy.protocols import errors


class Exit(IntEnum):
    """The exit codes. Scripts rely on them: a number never changes its meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_SERVER = 3
    HOME_IN_USE = 4
    NOT_FOUND = 5
    REFUSED = 6
    DAMAGED = 7
    HOME_UNUSABLE = 8
    TIMED_OUT = 9
    INTERRUPTED = 130


class Problem(BaseModel):
    """An error as the HTTP API tells it (problem+json); `--json` prints it on standard error.

    Attributes:
        title: the cause in a few words.
        status: the HTTP status; 0 when no request was made.
        detail: what happened, where, and what to do.
        code: stable name of the cause.
    """

    model_config = ConfigDict(extra="allow")

    title: str = "Failed"
    status: int = 0
    detail: str = ""
    code: str = "error"
    exit: int = int(Exit.FAILED)


class CommandFailed(Exception):
    """Ends the command: the problem is shown and its exit code returned."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def failure(code: Exit, title: str, detail: str, **fields: str | int | None) -> CommandFailed:
    """The exception that ends a command with `code`; `detail` says what, where and what to do."""
    known = {"title": title, "detail": detail, "code": code.name.lower(), "exit": int(code)}
    return CommandFailed(Problem.model_validate(fields | known))


_BY_TYPE: tuple[tuple[type[errors.UnderstudyError], Exit], ...] = (
    (errors.HomeInUse, Exit.HOME_IN_USE),
    (errors.HomeError, Exit.HOME_UNUSABLE),
    (errors.JournalDamaged, Exit.DAMAGED),
    (errors.ActorBlocked, Exit.DAMAGED),
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.UnknownActor, Exit.NOT_FOUND),
    (errors.Refused, Exit.REFUSED),
    (errors.KeyReused, Exit.REFUSED),
    (errors.AskTimeout, Exit.TIMED_OUT),
)

_BY_STATUS = {
    400: Exit.REFUSED,
    403: Exit.REFUSED,
    404: Exit.NOT_FOUND,
    409: Exit.REFUSED,
    413: Exit.REFUSED,
    415: Exit.REFUSED,
    422: Exit.REFUSED,
    429: Exit.REFUSED,
    504: Exit.TIMED_OUT,
}


def problem_of(error: errors.UnderstudyError) -> Problem:
    """The problem that an error of the library stands for."""
    code = next((code for kind, code in _BY_TYPE if isinstance(error, kind)), Exit.FAILED)
    fields = {name: value for name, value in vars(error).items() if isinstance(value, str | int)}
    return Problem.model_validate(
        fields
        | {
            "title": error.title,
            "status": error.status,
            "detail": str(error),
            "code": error.code,
            "exit": int(code),
        }
    )


def problem_of_answer(status: int, body: bytes) -> Problem:
    """The problem in a server's answer of `status`; one that is no problem+json is quoted."""
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        quoted = body[:200].decode(errors="replace")
        problem = Problem(title="Unexpected answer", detail=f"the server answered {status}: {quoted}")
    code = Exit.DAMAGED if problem.code == errors.ActorBlocked.code else _BY_STATUS.get(status, Exit.FAILED)
    return problem.model_copy(update={"status": status, "exit": int(code)})
