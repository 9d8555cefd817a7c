"""What has to be true of the lines of any journals, whoever wrote them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy.supervision.testing.lines import Lines


def check_lines(journals: dict[str, Lines]) -> None:
    """Check each journal, and what they have sent one another.

    Raises:
        AssertionError.
    """
    for name, lines in journals.items():
        check_numbers(name, lines)
        check_keys(name, lines)
    check_streams(journals)


def check_numbers(name: str, lines: Lines) -> None:
    """Turns are numbered without gaps, and know of nothing durable that comes after them."""
    seqs = sorted(lines.raw)
    expected = list(range(seqs[0], seqs[0] + len(seqs))) if seqs else []
    assert seqs == expected, f"{name}: expected turns without a gap, got {seqs}"
    for seq, line in lines.parsed.items():
        assert line["mark"] < seq, f"{name}: the turn {seq} knows of {line['mark']} as durable"


def check_keys(name: str, lines: Lines) -> None:
    """An idempotency key was decided once."""
    keys = Counter(line["key"] for line in lines.parsed.values() if "key" in line)
    twice = [key for key, count in keys.items() if count > 1]
    assert not twice, f"{name}: decided twice: {twice}"


def check_streams(journals: dict[str, Lines]) -> None:
    """What one actor sent another with numbers was taken once each, in order, and was sent."""
    sent: dict[tuple[str, str], dict[int, Any]] = {}
    for name, lines in journals.items():
        for line in lines.parsed.values():
            for send in line["sends"]:
                if send["n"]:
                    stream = sent.setdefault((name, send["to"]), {})
                    assert send["n"] not in stream, f"{name} gave {send['to']} the number {send['n']} twice"
                    stream[send["n"]] = send
    for name, lines in journals.items():
        taken: dict[str, int] = {}
        for seq, line in lines.parsed.items():
            if not line["n"]:
                continue
            sender = line["from"].split("#")[0]
            last = taken.get(sender)
            assert last is None or line["n"] == last + 1, (
                f"{name}: took number {line['n']} from {sender} in turn {seq}, after {last}"
            )
            taken[sender] = line["n"]
            known = sent.get((sender, name), {})
            assert line["n"] in known or line["n"] < min(known, default=0) or sender not in journals, (
                f"{name}: took number {line['n']} from {sender}, whose journal does not have it"
            )
