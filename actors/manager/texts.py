"""What the system itself says in the conversation: all of its sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.protocols.engine import ActionProblem

NO_ANSWER = "The engine gave no answer to this input."


def not_handled(error: str) -> str:
    """The final reply to an input whose run was given up."""
    return f"This input could not be handled: {error}. It is not tried again; send it anew."


def kept(error: str, cap_s: float) -> str:
    """No engine has answered for a while, and what waits is kept (MG-5)."""
    return (
        f"No engine answers: {error}. What was sent is kept and tried again, at least every {cap_s:g} s; "
        "nothing needs to be sent anew."
    )


def engine_changed(old: str, new: str, error: str) -> str:
    """Another engine than the last time has answered (MG-5)."""
    why = f" ({error})" if error else ""
    return f"Engine {new} answers now, in place of {old}{why}."


def session_rebuilt(engine: str, reason: str) -> str:
    """The engine has lost what was said before (MG-3)."""
    return f"Engine {engine} could not go on with its session ({reason}) and has begun a new one."


def dropped(problems: Sequence[ActionProblem]) -> str:
    """Actions of an answer were not done (MG-4)."""
    lines = [f"- {one.action}: {one.error}" for one in problems]
    return "\n".join(("The engine asked for what can't be done; none of it was done:", *lines))


def refused(what: str, error: str) -> str:
    """An action was refused by the actor that it was for."""
    return f"{what} was refused: {error}"


def not_taken(error: str) -> str:
    """The reason of a task that the pool refused."""
    return f"it was not taken: {error}"
