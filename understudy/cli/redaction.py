"""Redaction: what is secret does not reach the log, by the name that it stands under and by its look.

It errs on the side of hiding. It is a net under the rule that secrets are not logged in the first place,
and no proof: a password in the middle of a sentence looks like any other word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import cast

from pydantic import BaseModel

from understudy.protocols.base import encodable

HIDDEN = "[redacted]"
_DEPTH = 12

_NAMES = (
    "apikey",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
    "signature",
    "token",
)
_WORDS = (
    r"(?:api[_-]?key|authorization|cookie|credentials?|passphrase|passwd|password|private[_-]?key|pwd"
    r"|secret(?:[_-]?(?:access[_-]?)?key)?|signature|token)"
)
_FLAG = rf"-{{1,2}}(?:[a-z0-9]+[_-])*{_WORDS}"
_QUOTED = r"\"[^\"]*\"?|'[^']*'?"
_IS_FLAG = re.compile(_FLAG, re.IGNORECASE)

_LOOKS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), into)
    for pattern, into in (
        # a private key, to its end or to that of the text
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        # user and password of a URL
        (r"(?<=://)[^\s/@\"'?#]+(?=@)", HIDDEN),
        # Authorization: Bearer …; Basic …
        (r"\b(bearer|basic|digest)(\s+)[a-z0-9._~+/=-]{6,}", rf"\1\2{HIDDEN}"),
        # keys that say what they are: OpenAI, webhooks, GitHub, GitLab, Slack, AWS, Google; JSON web tokens
        (r"\b(?:sk|pk|rk)-[a-z0-9_-]{8,}", HIDDEN),
        (r"\bwhsec_[a-z0-9+/=_-]+", HIDDEN),
        (r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-)[a-z0-9_-]{8,}", HIDDEN),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", HIDDEN),
        (r"\bAIza[a-z0-9_-]{30,}", HIDDEN),
        (r"\beyJ[a-z0-9_-]+\.[a-z0-9_-]+(?:\.[a-z0-9_-]*)?", HIDDEN),
        # password=…, "token": "…", --api-key=…, ?access_token=…
        (
            rf"((?:\b|_|-){_WORDS}[\"']?\s*[=:]\s*)(?:{_QUOTED}|(?!\[redacted\])[^\s\"',;&}}\])]+)",
            rf"\1{HIDDEN}",
        ),
        # --password …
        (rf"((?:\s|^){_FLAG}\s+)(?!\[redacted\])(?:{_QUOTED}|\S+)", rf"\1{HIDDEN}"),
    )
)


def is_secret(name: str) -> bool:
    """Whether what stands under this name is hidden: `Authorization`, `api-key`, `DB_PASSWORD`, `authToken`.

    `tokens` (how many) is none.
    """
    plain = "".join(character for character in name.lower() if character.isalnum())
    return any(word in plain for word in _NAMES) and not plain.endswith("tokens")


def redact_text(text: str) -> str:
    """`text` without what looks like a secret."""
    for pattern, into in _LOOKS:
        text = pattern.sub(into, text)
    return text


def redact(value: object, name: str = "", *, depth: int = 0) -> object:
    """`value` as JSON can hold it, without secrets, however deep they are.

    Args:
        value: anything; what JSON does not know becomes its text.
        name: that it stands under.
        depth: how deep it is; below twelve there is only text.
    """
    if value is None or isinstance(value, bool):
        return value
    if is_secret(name):
        return HIDDEN
    if isinstance(value, int | float):
        return value
    if isinstance(value, BaseModel):
        value = dict(value)
    if depth < _DEPTH:
        if isinstance(value, Mapping):
            entries = cast("Mapping[object, object]", value)
            return {
                redact_text(_text(key)): redact(each, _text(key), depth=depth + 1)
                for key, each in entries.items()
            }
        if isinstance(value, Sequence | AbstractSet) and not isinstance(value, str | bytes | bytearray):
            return _redact_all(list(cast("Sequence[object]", value)), depth + 1)
    return redact_text(_text(value))


def _redact_all(values: list[object], depth: int) -> list[object]:
    """Of a command also what follows a flag such as `--password`, and of a pair the value."""
    if len(values) == 2 and isinstance(values[0], str) and is_secret(values[0]):  # noqa: PLR2004 - a pair
        return [redact_text(_text(values[0])), HIDDEN]
    before = [None, *values]
    return [
        HIDDEN
        if isinstance(flag, str) and isinstance(value, str) and _IS_FLAG.fullmatch(flag)
        else redact(value, depth=depth)
        for flag, value in zip(before, values, strict=False)
    ]


def _text(value: object) -> str:
    """What a value looks like; one that can't say is named by its type."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 - a log line must not fail for what it tells of
        text = f"<{type(value).__name__}>"
    return encodable(text)
