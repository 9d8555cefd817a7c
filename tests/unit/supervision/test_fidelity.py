"""What is acknowledged reads back equal, or is refused (rule T2)."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable as AnyCallable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr, create_model, field_serializer

from understudy import ActorRef, ActorSystem, Event, Frozen, Message, PersistentActor
from understudy.protocols.errors import NotEncodable, ReplyNotEncodable
from understudy.protocols.fidelity import differs, is_certain


class Color(Enum):
    RED = "red"


class Part(Frozen):
    size: int
    name: str | None = None


class Loose(BaseModel):
    """Frozen, and not told to look at instances of subclasses."""

    model_config = ConfigDict(frozen=True)
    size: int = 0


class More(Loose):
    weight: int = 0


class Keep(Message[object]):
    """Emit what there is to keep, and answer with it."""

    what: Literal["event", "send", "reply"]
    index: int


class Kept(Event):
    """Each field is one of which the class alone does not say that it comes back."""

    color: str | Color = ""
    many: tuple[int, ...] | frozenset[int] = ()
    at: datetime | None = None
    amount: Decimal | None = None
    part: Loose | None = None
    raw: bytes | None = None
    flag: int = True
    upper: str = ""

    @field_serializer("upper")
    def _upper(self, value: str) -> str:
        return value.upper()


class Forward(Message[None]):
    """The same as a message."""

    kept: Kept


class Texts(BaseModel):
    texts: list[str] = []


MADE: list[Kept] = []
"""What the next `Keep` is about."""


class Keeper(PersistentActor[Texts]):
    """Keeps the exact form of what its events say."""

    def keep(self, message: Keep) -> object:
        if message.what == "reply":
            return MADE[message.index]
        if message.what == "send":
            self.send(self.ref, Forward.model_construct(kept=MADE[message.index]))
        else:
            self.emit(MADE[message.index])
        return len(self.state.texts)

    def forward(self, message: Forward) -> None:
        pass

    def kept(self, event: Kept) -> None:
        self.state.texts.append(repr(event))


def texts_of(keeper: ActorRef[Keeper]) -> list[str]:
    """What the actor has in memory."""
    actor: Any = keeper._cell.actor  # pyright: ignore[reportPrivateUsage]
    return list(actor.state.texts)


LOST = [
    Kept(flag=1, color=Color.RED),
    Kept(flag=1, many=frozenset({1})),
    Kept(flag=1, at=datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/Berlin"))),
    Kept(flag=1, part=More(weight=2)),
    Kept(),
    Kept(flag=1, upper="a"),
]
SAME = [
    Kept(flag=1, color="red", many=(1, 2)),
    Kept(flag=1, at=datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=1)))),
    Kept(flag=1, at=datetime(2026, 3, 1)),  # noqa: DTZ001 - a wall time is a value, too
    Kept(flag=1, amount=Decimal("1.00"), part=Loose(size=1), raw="é".encode()),
]


@pytest.mark.parametrize("what", ["event", "send"])
@pytest.mark.parametrize("event", LOST)
async def test_what_would_come_back_other_is_refused_and_nothing_changes(
    tmp_path: Path, event: Kept, what: Literal["event", "send"]
) -> None:
    """The error names the field; the actor lives on."""
    MADE[:] = [event, SAME[0]]
    async with ActorSystem(tmp_path) as system:
        keeper = await system.spawn(Keeper, name="k")
        with pytest.raises(NotEncodable, match=r"comes back|read again"):
            await keeper.ask_async(Keep(what=what, index=0))
        assert await keeper.ask_async(Keep(what="event", index=1)) == 1


@pytest.mark.parametrize("event", SAME)
async def test_what_is_kept_is_replayed_as_it_was(tmp_path: Path, event: Kept) -> None:
    """The replayed state says the same to the letter, but for the class of a fixed offset."""
    MADE[:] = [event]
    async with ActorSystem(tmp_path) as system:
        keeper = await system.spawn(Keeper, name="k")
        assert await keeper.ask_async(Keep(what="event", index=0)) == 1
        live = texts_of(keeper)
    async with ActorSystem(tmp_path) as system:
        keeper = await system.spawn(Keeper, name="k")
        replayed = texts_of(keeper)
    assert len(replayed) == 1
    assert event.at is not None or replayed == live


async def test_reply_under_a_key_that_would_be_repeated_other_is_refused(tmp_path: Path) -> None:
    """Without a key it is the same object."""
    MADE[:] = [LOST[0]]
    async with ActorSystem(tmp_path) as system:
        keeper = await system.spawn(Keeper, name="k")
        assert await keeper.ask_async(Keep(what="reply", index=0)) is LOST[0]
        with pytest.raises(ReplyNotEncodable, match="comes back"):
            await keeper.ask_async(Keep(what="reply", index=0), key="k")


@pytest.mark.parametrize(
    ("annotation", "default", "why"),
    [
        (SecretStr, ..., "stars"),
        (tuple[SecretBytes, ...], ..., "stars"),
        (SecretStr | None, None, "stars"),
        (AnyCallable[[], int], ..., "callable"),
        (int, Field(exclude=True), "exclude"),
    ],
)
def test_field_that_never_comes_back_is_refused_when_the_class_is_made(
    annotation: Any, default: Any, why: str
) -> None:
    """Events and messages; the error says which field and why."""
    for base in (Event, Message):
        with pytest.raises(TypeError, match=f"Made.value that a journal line keeps.*{why}"):
            create_model("Made", __base__=base, value=(annotation, default))


@pytest.mark.parametrize(
    ("annotation", "default", "certain"),
    [
        (int, ..., True),
        (str | None, None, True),
        (float, math.inf, True),
        (tuple[Part, ...], (), True),
        (Color, Color.RED, True),
        (Literal["a", "b"], "a", True),
        (frozenset[str], ..., True),
        (int, True, False),
        (str, Color.RED, False),
        (int | str, ..., False),
        (datetime, ..., False),
        (Loose, ..., False),
        (Decimal, ..., False),
    ],
)
def test_class_alone_says_whether_its_values_come_back(
    annotation: Any, default: Any, *, certain: bool
) -> None:
    """Nothing is compared where it does."""
    assert is_certain(create_model("Made", __base__=Event, value=(annotation, default))) is certain


PAIRS: list[tuple[Any, Any]] = [
    (True, 1), (1, 1.0), (0.0, -0.0), ((1,), [1]), (frozenset({1}), (1,)), (Color.RED, "red"),
    (Decimal("1.0"), Decimal("1.00")), (deque([1], 2), deque([1])), ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1: 1}, {"1": 1}), (defaultdict(int), defaultdict(list)), (defaultdict(int), {}), (OrderedDict(), {}),
    (frozenset({1}), frozenset({True})), ((1, (2, True)), (1, (2, 1))), (Loose(), More()), (b"a", "a"),
    (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_values_that_python_or_json_takes_for_equal_differ(one: Any, other: Any) -> None:
    """Either way round, and inside of others."""
    for a, b in ((one, other), (other, one), ({"x": [one]}, {"x": [other]})):
        assert differs(a, b) is not None


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        -0.0,
        (1, None),
        {"a": [1.5]},
        date(2026, 1, 1),
        time(1),
        UUID(int=1),
        Fraction(1, 3),
        IPv4Address("127.0.0.1"),
        Path("a"),
        Loose(size=2),
        deque([1], 2),
        defaultdict(list, a=[1]),
    ],
)
def test_value_and_its_copy_do_not_differ(value: Any) -> None:
    """NaN is itself."""
    assert differs([value], [copy.deepcopy(value)]) is None
