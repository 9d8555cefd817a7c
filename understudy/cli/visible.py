"""Text of others for a terminal: control characters are shown, never sent, so they act on nothing."""

from __future__ import annotations

import re

_C0_PICTURES = 0x2400
_DELETE = 0x7F
_DELETE_PICTURE = "\u2421"

_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # all controls but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of text
    "\u2028\u2029"  # line ends that are no line feed
    "\ud800-\udfff]"  # bytes that are no UTF-8, as Python hands them over
)


def visible(text: str) -> str:
    r"""Return `text` with pictures (`␛`) or escapes (`\x9b`, `\u202e`) in place of control characters.

    Of a line that was overwritten by carriage returns, as progress bars do, the last state is kept.
    """
    if "\r" in text:
        text = "\n".join(_last_state(line) for line in text.split("\n"))
    return _ACTING.sub(_picture, text)


def _last_state(line: str) -> str:
    states = line.split("\r")
    return next((state for state in reversed(states) if state), "")


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < ord(" "):
        return chr(_C0_PICTURES + code)
    if code == _DELETE:
        return _DELETE_PICTURE
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - a byte that surrogateescape kept
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - one byte


def is_utf8(text: str) -> bool:
    """Whether `text` is whole: without bytes that Python could not decode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
