"""The signature of webhooks: what the sender makes and a receiver checks.

Headers `webhook-id` (the delivery's, the same in every repetition), `webhook-timestamp` (seconds since
the epoch, of the attempt) and `webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 of
`<id>.<timestamp>.<body>`, several of them with blanks in between while a secret is changed.

Source: Standard Webhooks 1.0 (https://www.standardwebhooks.com), whose libraries verify these too.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"
TOLERANCE_S = 300.0
"""So far from now may a timestamp be: an old request that somebody recorded is not taken again."""
KEY_BYTES = 24
"""The shortest key."""
_ENCODED = "whsec_"


class BadSignature(ValueError):
    """The request is not from whoever has the secret, or it is not from now: answer 401, do nothing."""


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: what is behind `whsec_` in base64, any other text as it is.

    Raises:
        ValueError: it is shorter than `KEY_BYTES`, or no base64. The text does not show the secret.
    """
    try:
        encoded = secret.startswith(_ENCODED)
        key = b64decode(secret[len(_ENCODED) :], validate=True) if encoded else secret.encode()
    except ValueError:
        raise ValueError(f"expected base64 behind {_ENCODED!r} in the secret, got something else") from None
    if len(key) < KEY_BYTES:
        raise ValueError(f"expected a secret of at least {KEY_BYTES} bytes, got one of {len(key)}")
    return key


def sign(secret: str, delivery: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = b"%b.%d.%b" % (delivery.encode(), timestamp, body)
    return "v1," + b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode()


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float, tolerance_s: float = TOLERANCE_S
) -> str:
    """Check a request that a receiver got; compares in constant time.

    Args:
        secret: the one that the sender has.
        headers: of the request; upper and lower case are the same.
        body: its bytes as they came, not decoded and encoded again.
        now_s: seconds since the epoch, as `time.time()` gives them.
        tolerance_s: how far the timestamp may be from now.

    Returns:
        the delivery's id: do nothing (but answer 2xx) when you have seen it before.

    Raises:
        BadSignature: says which header is missing or wrong.
    """
    known = {name.lower(): value for name, value in headers.items()}
    for name in (ID, TIMESTAMP, SIGNATURE):
        if name not in known:
            raise BadSignature(f"expected a header {name}, got none")
    stamp = known[TIMESTAMP]
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < len(str(10**15))):
        raise BadSignature(f"expected {TIMESTAMP} in seconds since the epoch, got {stamp!r}")
    if abs(now_s - int(stamp)) > tolerance_s:
        raise BadSignature(f"expected {TIMESTAMP} within {tolerance_s:g} s of now, got {stamp}")
    wanted = sign(secret, known[ID], int(stamp), body).encode()
    given = known[SIGNATURE].encode(errors="replace").split()
    if not any(hmac.compare_digest(wanted, one) for one in given):
        raise BadSignature(f"expected a {SIGNATURE} made with the secret, got another one")
    return known[ID]
