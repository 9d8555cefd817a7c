"""How the demo looks on a terminal."""

from __future__ import annotations

from collections import Counter

from rich.console import Console

from understudy.cli.demo.checks import Check, Evidence
from understudy.cli.demo.ledger import Ledger, TaskStory
from understudy.cli.demo.stage import Stage
from understudy.cli.output import NARROW, Text, styled, table

_LATE_S = 0.5
_INPUT_WIDTH = 34  # of the columns beside what was said and replied
_TASK_WIDTH = 54  # of the columns beside the scene


class Programme:
    """Tells the story, line by line."""

    def __init__(self, out: Console) -> None:
        self._out = out

    def title(self, folder: str) -> None:
        """Before the curtain."""
        self._act("Understudy, a play in three acts")
        self._line("When an actor falls, its understudy takes the stage and knows every line.", "italic")
        self._line(f"The theatre is {folder}.", "dim", whole=True)

    def opened(self, stage: Stage) -> None:
        """See `Audience`."""
        self._act("Act I: the curtain rises")
        self._line(f"Process {stage.pid} serves. Watch it live: {stage.address}", "bold", whole=True)

    def said(self, text: str, input_id: str) -> None:
        """See `Audience`."""
        self._out.print(Text.assemble(("  you: ", "dim"), text, (f"  [{input_id}, on disk]", "dim")))

    def warmed_up(self) -> None:
        """See `Audience`."""
        self._line("The prologue is over, the bell rang on time. Now everybody on stage:")

    def fell(self, pid: int, on_stage: int, before: Ledger) -> None:
        """See `Audience`."""
        unanswered = sum(name not in before.replies for name in before.received)
        waiting = sum(not story.attempts and not story.ends for story in before.tasks.values())
        self._act("Act II: the actor falls")
        self._out.print(Text.assemble(("  kill -9 ", "bold red"), (str(pid), "bold red")))
        self._line(
            f"In the middle of {on_stage} scenes. {waiting} more wait in the wings, "
            f"{unanswered} inputs wait for their reply."
        )
        self._line("No farewell, nothing flushed. The stage is dark, and in the dark a ghost is due…")

    def rose(self, stage: Stage, dark_s: float) -> None:
        """See `Audience`."""
        self._act("Act III: the understudy takes the stage")
        self._line(f"Process {stage.pid} has read the journals and serves at {stage.address}.", "bold")
        self._line(f"It was dark for {dark_s:.1f} s. What was interrupted begins again…")

    def evidence(self, found: Evidence) -> None:
        """The tables, from the journals."""
        self._act("What the journals say")
        self._out.print(_inputs(found, self._out.width))
        self._out.print()
        self._out.print(_tasks(found, self._out.width))
        self._out.print()
        self._line(_honestly(found))

    def verdict(self, checks: list[Check], seconds: float) -> None:
        """Each check, and the sum."""
        self._act("The verdict")
        rows: list[list[str | Text]] = []
        for check in checks:
            mark = Text("kept", style="bold green") if check.kept else Text("BROKEN", style="bold red")
            rows.append([mark, check.promise, Text(check.found, style="dim")])
        self._out.print(table(["", "", ""], rows, header=False))
        self._out.print()
        kept = sum(check.kept for check in checks)
        if kept == len(checks):
            self._line("Nothing was lost, nothing was doubled. Applause.", "bold green")
            self._line(f"{kept} of {kept} promises kept, in {seconds:.0f} s.", "green")
        else:
            self._line(f"{len(checks) - kept} of {len(checks)} promises were broken.", "bold red")

    def kept_running(self, address: str, home: str) -> None:
        """For --keep."""
        self._line(f"The show goes on at {address} until Ctrl-C.", "bold")
        self._line(f'Say something: understudy send --home {home} --wait "hello"', whole=True)

    def left_behind(self, folder: str) -> None:
        """For --keep, at the end."""
        self._line(f"The journals are still in {folder}; remove it when you have read them.", whole=True)

    def _act(self, name: str) -> None:
        self._out.print()
        self._out.rule(Text(name, style="bold"), align="left", style="dim")

    def _line(self, text: str, style: str = "", *, whole: bool = False) -> None:
        """A line of the story; `whole` ones are not wrapped, for what is copied from the screen."""
        self._out.print(Text(text, style=style), soft_wrap=whole)


def _honestly(found: Evidence) -> str:
    """What happened more than once, and what came late."""
    began = Counter(note.task for note in found.notes if note.what == "began")
    again = [name for name, count in began.items() if count > 1]
    late = "".join(
        f" {schedule} was due in the dark and fired {lateness:.1f} s late, once."
        for (schedule, _), lateness in found.ledger.lateness.items()
        if lateness > _LATE_S
    )
    if not again:
        return f"No scene had to begin a second time.{late}"
    return (
        f"Honestly: {', '.join(again)} began a second time. A command that a crash cut off can't be "
        f"un-run: it is run again, and the journal says so.{late}"
    )


def _inputs(found: Evidence, width: int) -> object:
    narrow, share = width < NARROW, (width - _INPUT_WIDTH) // 2
    rows: list[list[str | Text]] = []
    for name in found.accepted:
        replies = found.ledger.replies.get(name, [])
        reply = _gist(replies[0].text) if replies else "none"
        counted = Text(str(len(replies)), style="" if len(replies) == 1 else "bold red")
        kept = Text(str(found.ledger.received[name]))
        rows.append(
            [name, counted] if narrow else [name, found.ledger.texts.get(name, ""), kept, counted, reply]
        )
    columns = ["input", "replies"] if narrow else ["input", "said", "kept", "replies", "reply"]
    return table(columns, rows, cut={"said": share, "reply": share})


def _gist(reply: str) -> str:
    """The line of a reply that says most: what a task put out, else its first."""
    lines = reply.strip().splitlines()
    return lines[-1] if lines[0].startswith("task-") else lines[0]


def _tasks(found: Evidence, width: int) -> object:
    narrow = width < NARROW
    rows: list[list[str | Text]] = []
    for name, story in found.ledger.tasks.items():
        state = styled(story.ends[0]) if len(story.ends) == 1 else Text(str(story.ends), style="bold red")
        attempts = str(len(story.attempts))
        if narrow:
            rows.append([name, attempts, state])
        else:
            rows.append([name, story.spec.title, _asked_by(story), attempts, str(story.interrupted), state])
    columns = ["task", "attempts", "end"]
    if not narrow:
        columns = ["task", "scene", "asked by", "attempts", "cut off", "end"]
    return table(columns, rows, cut={"scene": width - _TASK_WIDTH})


def _asked_by(story: TaskStory) -> str:
    return story.spec.schedule or story.spec.origin or ""
