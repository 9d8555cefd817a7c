"""What the log hides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from understudy.cli.redaction import HIDDEN, is_secret, redact, redact_text

pytestmark = pytest.mark.req("OP-1")

WORD = "Xq7Zw9Kp2Lm4Rt6Y"
"""A secret of these tests: in no other text."""
secrets = st.text("Xq7Zw9Kp2Lm4Rt6Y", min_size=12, max_size=40).map(lambda text: WORD + text)
names = st.sampled_from(
    ("password", "Authorization", "api_key", "API-Key", "dbPassword", "Set-Cookie", "client_secret", "xToken")
)


def nested(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`leaf` somewhere in lists, tuples and mappings, among other things."""
    plain = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(plain, inner).map(list),
            st.tuples(inner, plain),
            st.tuples(st.text(max_size=10), inner, plain).map(lambda t: {t[0]: t[1], "more": t[2]}),
        ),
        max_leaves=3,
    )


def under_a_name(pair: tuple[str, object]) -> dict[str, object]:
    """A mapping with a secret in it."""
    return {pair[0]: pair[1], "user": "ada"}


@given(nested(st.tuples(names, secrets | secrets.map(lambda s: [s, {"x": s}])).map(under_a_name)))
def test_what_stands_under_the_name_of_a_secret_is_hidden_however_deep(document: object) -> None:
    """Also a list or a mapping that does."""
    written = json.dumps(redact(document))
    assert WORD not in written
    assert HIDDEN in written


LOOKS = (
    "Authorization: Bearer {}",
    "curl -H 'Authorization: Basic {}' x",
    "bearer {} and more",
    "sk-{}",
    "key sk-proj-{} is used",
    "whsec_{}",
    "https://ada:{}@example.org/path",
    "https://{}@example.org/path",
    "password={}",
    'she said {{"password": "{} "}}',
    "DB_PASSWORD='{} x'",
    "--token {} --verbose",
    "run --api-key={} now",
    "GET /x?access_token={}&y=1",
    "token: {}",
    "client_secret={}",
    "AWS_SECRET_ACCESS_KEY={}",
    "ghp_{}",
    "xoxb-{}",
    "eyJhbGciOiJIUzI1NiJ9.{}.{}",
    "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n{}",
    "Cookie: {}",
)


@given(
    look=st.sampled_from(LOOKS),
    secret=secrets,
    before=st.text(max_size=20).map(lambda text: text + " "),
    after=st.text(max_size=20).map(lambda text: " " + text),
)
@example(look="password={}", secret=WORD, before="", after="")
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(
    look: str, secret: str, before: str, after: str
) -> None:
    """In any text, and in any depth; once hidden it stays as it is."""
    text = before + look.format(secret, secret) + after
    hidden = redact_text(text)
    assert WORD not in hidden
    assert HIDDEN in hidden
    assert WORD not in json.dumps(redact({"parameters": [{"note": text}]}))
    assert WORD not in redact_text(hidden)


@given(
    flag=st.sampled_from(["--password", "--api-key", "-token", "--db-password", "--TOKEN"]), secret=secrets
)
def test_of_a_command_what_follows_a_flag_of_that_name_is_hidden(flag: str, secret: str) -> None:
    """As a list of words, where no equals sign stands between."""
    assert redact(("login", flag, secret, "--user", "ada")) == ["login", flag, HIDDEN, "--user", "ada"]


def test_of_pairs_of_name_and_value_the_value_is_hidden() -> None:
    """As a task's environment is one."""
    assert redact({"env": (("DB_PASSWORD", WORD), ("LANG", "C"))}) == {
        "env": [["DB_PASSWORD", HIDDEN], ["LANG", "C"]]
    }


@pytest.mark.parametrize(
    "text",
    [
        "task-7 finished: exit code 0",
        "listening on http://127.0.0.1:7433",
        "the basic idea; a bearer of news",
        "mailto:ada@example.org, see https://example.org/@ada",
        "max_tokens: 100",
        "/home/ada/.understudy/state/journals/manager/0000000000000001-0001.jsonl",
        "dlv-3-0123456789abcdef to hook is a dead letter: answered 500",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Whoever reads the log needs it."""
    assert redact_text(text) == text


def test_names_that_are_none_and_values_that_say_nothing_stay() -> None:
    """How many tokens there were is no secret, and neither is that there was no password."""
    assert not any(map(is_secret, ("tokens", "max_tokens", "session", "author", "key", "path")))
    assert redact({"input_tokens": 5, "password": None, "secret": False}) == {
        "input_tokens": 5,
        "password": None,
        "secret": False,
    }


def test_whatever_is_logged_becomes_json() -> None:
    """Models, errors, bytes, sets, half a character, what can't say what it is, and what holds itself."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    class Login(BaseModel):
        user: str
        password: str
        key: SecretStr

    endless: list[object] = []
    endless.append(endless)
    found = redact(
        {
            "login": Login(user="ada", password=WORD, key=SecretStr(WORD)),
            "error": OSError("token=" + WORD),
            "bytes": b"password=" + WORD.encode(),
            "set": {1},
            "half": "\udcff",
            "mute": Mute(),
            1: "one",
            "endless": endless,
            "password=" + WORD: 1,
        }
    )
    written = json.dumps(found)
    assert WORD not in written
    assert json.loads(written)["login"]["user"] == "ada"
    assert json.loads(written)["mute"] == "<Mute>"
    assert json.loads(written)["1"] == "one"
