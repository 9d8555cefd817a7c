"""The signature of webhooks, from both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.protocols.webhooks import ID, SIGNATURE, TIMESTAMP, BadSignature, key_of, sign, verify

SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_795_000_000


def headers_of(body: bytes, secret: str = SIGNING, delivery: str = "dlv-1", at: int = NOW) -> dict[str, str]:
    """What a sender sends."""
    return {ID: delivery, TIMESTAMP: str(at), SIGNATURE: sign(secret, delivery, at, body)}


@pytest.mark.req("NT-2")
def test_a_signature_is_the_one_of_the_standard() -> None:
    """The example that the libraries of Standard Webhooks are tested with."""
    made = sign(SIGNING, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.req("NT-2")
@given(body=st.binary(max_size=200), secret=st.text("abcXYZ019_-ü", min_size=24, max_size=60))
def test_whoever_has_the_secret_takes_what_was_signed(body: bytes, secret: str) -> None:
    """The names of headers are taken in any case, and several signatures are."""
    headers = {name.title(): value for name, value in headers_of(body, secret).items()}
    headers["Webhook-Signature"] = f"v1,AAAA {headers['Webhook-Signature']} v2,ü"
    assert verify(secret, headers, body, now_s=NOW + 299) == "dlv-1"


@pytest.mark.req("NT-2")
@given(body=st.binary(min_size=1, max_size=100), at=st.integers(0, 99), bit=st.integers(0, 7))
def test_any_changed_bit_is_noticed(body: bytes, at: int, bit: int) -> None:
    """In the body."""
    changed = bytearray(body)
    changed[at % len(body)] ^= 1 << bit
    with pytest.raises(BadSignature, match="made with the secret"):
        verify(SIGNING, headers_of(body), bytes(changed), now_s=NOW)


@pytest.mark.req("NT-2")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({ID: "dlv-2"}, "made with the secret"),
        ({TIMESTAMP: str(NOW + 1)}, "made with the secret"),
        ({SIGNATURE: "v1,"}, "made with the secret"),
        ({SIGNATURE: "ü\udcff"}, "made with the secret"),
        ({TIMESTAMP: "soon"}, "seconds since the epoch"),
        ({TIMESTAMP: "٣"}, "seconds since the epoch"),
        ({TIMESTAMP: "9" * 400}, "seconds since the epoch"),
        ({TIMESTAMP: str(NOW - 301)}, "within 300 s of now"),
        ({TIMESTAMP: str(NOW + 301)}, "within 300 s of now"),
    ],
)
def test_a_header_that_does_not_fit_is_told(change: dict[str, str], says: str) -> None:
    """Among them a request that somebody has recorded and sends again later."""
    with pytest.raises(BadSignature, match=says):
        verify(SIGNING, headers_of(b"{}") | change, b"{}", now_s=NOW)


@pytest.mark.req("NT-2")
@pytest.mark.parametrize("missing", [ID, TIMESTAMP, SIGNATURE])
def test_a_missing_header_is_told(missing: str) -> None:
    """By its name."""
    headers = headers_of(b"{}")
    del headers[missing]
    with pytest.raises(BadSignature, match=missing):
        verify(SIGNING, headers, b"{}", now_s=NOW)


@pytest.mark.req("NT-2")
@pytest.mark.parametrize(
    "secret", ["", "hunter2!", "whsec_", "whsec_aHVudGVyMg==", "whsec_not base64 at all!"]
)
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    """A short one can be guessed."""
    with pytest.raises(ValueError, match="expected") as refused:
        key_of(secret)
    assert not secret.strip("whsec_") or secret.removeprefix("whsec_") not in str(refused.value)
