"""`resume`: a person's word that the disk is fine again (JR-8)."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from pydantic import BaseModel

from understudy.cli.answers import ResumedAnswer
from understudy.cli.client import ask
from understudy.cli.exits import Exit
from understudy.cli.output import Text, console, print_json
from understudy.cli.server import require_server
from understudy.cli.settings import COMMON, Common, home_path


class ResumeBody(BaseModel):
    """The body of `POST /api/resume`."""

    actor: str | None = None


def resume(
    actor: Annotated[str | None, Parameter(help="The halted actor [default: all that are halted].")] = None,
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Let halted actors go on, after you have looked at the disk. Needs a running server.

    A write error (disk full, failing disk) halts an actor; `understudy status` shows which and why.
    """
    address = require_server(home_path(common), "resume")
    answer = ask(address, lambda client: client.post("/api/resume", ResumedAnswer, ResumeBody(actor=actor)))
    if common.json:
        print_json(answer)
    else:
        console().print(
            Text(f"resumed: {', '.join(answer.resumed)}" if answer.resumed else "nothing is halted")
        )
    return Exit.OK
