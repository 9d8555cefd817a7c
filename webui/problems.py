"""Errors on the wire: problem+json (RFC 9457) with a stable `code`, whatever went wrong and wherever."""

from __future__ import annotations

import http
import json
import logging
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from understudy.protocols.errors import ActorBlocked, ActorHalted, TaskRefused, UnderstudyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI, Request

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "1"

_log = logging.getLogger(__name__)
_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 406: "not_acceptable"}
_ADVICE: dict[type[UnderstudyError], str] = {
    ActorHalted: (
        " What to do: look at the disk (full? failing?), then `understudy resume` "
        "or POST /api/resume; nothing that was acknowledged is lost"
    ),
    ActorBlocked: (
        " What to do: `understudy journal verify` shows the damage, `understudy journal repair` sets it aside"
    ),
}


class FieldProblem(BaseModel):
    """One field of a request that is not valid: where it is and what is wrong with it."""

    field: str = Field(description="where it is, such as `body.command.0` or `query.limit`")
    detail: str


class Problem(BaseModel):
    """What every error response holds."""

    type: str = "about:blank"
    title: str = Field(description="the cause in a few words")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="what was wrong here, and what to do about it")
    code: str = Field(description="stable name of the cause")
    errors: list[FieldProblem] = Field(default=[], description="the fields that are not valid")
    rule: str | None = Field(default=None, description="the rule of the pool that refused")
    task: str | None = Field(default=None, description="the task that stands in the way")


class BadRequest(UnderstudyError):
    """A request that can't be understood; `code` and `status` say in which way."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem(status, code, detail)


def problem(
    status: int, code: str, detail: str, *, title: str = "", errors: Sequence[FieldProblem] = ()
) -> Problem:
    """A problem whose title is, unless given, the status's usual phrase."""
    title = title or http.HTTPStatus(status).phrase
    return Problem(title=title, status=status, detail=detail, code=code, errors=list(errors))


def response_of(found: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The response that carries `found`; a 503 says when to come back."""
    left_out = {name for name in ("errors", "rule", "task") if not getattr(found, name)}
    content = json.dumps(found.model_dump(exclude=left_out), ensure_ascii=False).encode(errors="replace")
    extra = dict(headers or {})
    if found.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        extra.setdefault("Retry-After", RETRY_AFTER_S)
    return Response(content, status_code=found.status, media_type=MEDIA_TYPE, headers=extra)


def problem_of(error: UnderstudyError) -> Problem:
    """The problem that a typed error maps to, by its code and status."""
    if isinstance(error, BadRequest):
        return error.problem
    advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), "")
    detail = str(error) or error.title
    if advice and "understudy" not in detail:
        detail = f"{detail.rstrip('.')}.{advice}"
    found = problem(error.status, error.code, detail, title=error.title)
    if isinstance(error, TaskRefused):
        return found.model_copy(update={"rule": error.rule, "task": error.task})
    return found


def install(app: FastAPI) -> None:
    """Make `app` answer every error as problem+json."""
    app.add_exception_handler(UnderstudyError, _typed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _typed(_request: Request, error: Exception) -> Response:
    if not isinstance(error, UnderstudyError):
        raise error
    return response_of(problem_of(error))


async def _invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [_field_problem(entry) for entry in error.errors()]
    if any(entry["type"] == "json_invalid" for entry in error.errors()):
        detail = f"expected a JSON object as the body, got something that does not parse ({errors[0].field})"
        return response_of(problem(400, "bad_json", detail))
    detail = "; ".join(f"{entry.field}: {entry.detail}" for entry in errors)
    return response_of(problem(422, "invalid_request", detail, title="Invalid request", errors=errors))


def _field_problem(entry: dict[str, object]) -> FieldProblem:
    """One of pydantic's errors without the input, which may be large or secret."""
    loc = entry.get("loc")
    where = ".".join(str(part) for part in loc) if isinstance(loc, tuple) else ""  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- pydantic types it as Any
    what = str(entry.get("msg")).removeprefix("Value error, ").replace("a valid tuple", "a list")
    return FieldProblem(field=where, detail=what[:500])


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = _CODES.get(error.status_code, "http_error")
    detail = f"{request.method} {request.url.path}: {error.detail}"
    if allowed := (error.headers or {}).get("Allow"):
        detail = f"expected {allowed} for {request.url.path}, got {request.method}"
    if error.status_code == http.HTTPStatus.NOT_FOUND:
        detail = f"expected a known path, got {request.url.path}: see /openapi.json"
    return response_of(problem(error.status_code, code, detail), error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    extra = {"action": "http_failed", "method": request.method, "path": request.url.path}
    _log.error("a request failed unexpectedly", exc_info=error, extra=extra)
    detail = (
        f"{type(error).__name__} while handling {request.method} {request.url.path}; the log has the details"
    )
    return response_of(problem(500, "internal_error", detail))
