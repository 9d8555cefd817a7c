"""Engines that fail: the chain, the two policies when all do, and what people are told (MG-5)."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.unit.actors.office import Office, events, replies, runs, status
from tests.unit.actors.stage import ManualClock, until
from understudy import ActorSystem
from understudy.actors.engines import OfflineEngine, ScriptedEngine
from understudy.actors.engines.scripted import Hang
from understudy.actors.manager import ManagerActor, RunPolicy
from understudy.protocols.conversation import SubmitInput
from understudy.protocols.engine import RunAnswer


def engine(name: str, *steps: Exception | Hang | RunAnswer) -> ScriptedEngine:
    """One of a chain."""
    return ScriptedEngine(steps, name=name)


@pytest.mark.req("MG-5")
async def test_a_failed_attempt_falls_to_the_next_engine_at_once(tmp_path: Path) -> None:
    """With the same batch; the failure is recorded, and people are told that another one answers."""
    main, spare = engine("main", ValueError("no route")), engine("spare")
    async with ActorSystem(tmp_path) as system:
        office = await Office.chain(system, main, spare, retry_delay_s=60)
        await office.say("hello")
        await office.wait_idle()
        assert (await status(system)).answering == "spare"
    (failed,) = events(tmp_path, "RunFailed")
    assert (failed["engine"], failed["error"], failed["retry_at"]) == ("main", "no route", None)
    (over,) = events(tmp_path, "RunSucceeded")
    assert (over["engine"], over["attempt"], over["batch"]) == ("spare", 2, ["input-1"])
    assert replies(tmp_path) == [
        ("echo hello", ("input-1",)),
        ("Engine spare answers now, in place of main (no route).", ()),
    ]


@pytest.mark.req("MG-5")
async def test_each_run_begins_with_the_first_engine_and_its_return_is_told_once(tmp_path: Path) -> None:
    """While nothing changes nothing is said."""
    main = engine("main", ValueError("1"), ValueError("2"))
    async with ActorSystem(tmp_path) as system:
        office = await Office.chain(system, main, engine("spare"))
        for text in "abcd":
            await office.say(text)
            await office.wait_idle()
    assert [event["engine"] for event in events(tmp_path, "RunSucceeded")] == [
        "spare",
        "spare",
        "main",
        "main",
    ]
    assert [text for text, answered in replies(tmp_path) if not answered] == [
        "Engine spare answers now, in place of main (1).",
        "Engine main answers now, in place of spare.",
    ]


@pytest.mark.req("MG-5")
async def test_a_hung_engine_falls_to_the_next_when_its_time_is_up(tmp_path: Path) -> None:
    """It is cancelled: two calls at once never are."""
    main, spare = engine("main", Hang()), engine("spare")
    async with ActorSystem(tmp_path) as system:
        office = await Office.chain(system, main, spare, run_timeout_s=0.05)
        await office.say("hello")
        await office.wait_idle()
        assert not main.busy
    assert ("echo hello", ("input-1",)) in replies(tmp_path)


@pytest.mark.req("MG-5")
async def test_what_no_engine_answers_is_kept_and_tried_again_without_end(tmp_path: Path) -> None:
    """With a pause that doubles up to the cap; the status says why and when; nothing is consumed."""
    clock = ManualClock(1_000_000.0)
    main = engine("main", *(ValueError(f"away {number}") for number in range(12)))
    spare = engine("spare", *(ValueError("away too") for _ in range(12)))
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await Office.chain(system, main, spare, retry_delay_s=1, retry_cap_s=8)
        await office.say("hello")
        for passes, pause_s in enumerate([1, 2, 4, 8, 8, 8, 8, 8, 8, 8, 8, 8], start=1):
            await until(system, lambda n=passes: len(events(tmp_path, "RunFailed")) == 2 * n)
            now = await status(system)
            assert (now.error, now.retry_at) == ("away too", clock.time() + pause_s)
            assert (now.inputs_cursor, now.inputs_total, now.open_inputs) == (0, 1, 1)
            clock.advance(system, pause_s)
        await office.wait_idle()
        assert (await status(system)).inputs_cursor == 1
    said = replies(tmp_path)
    assert [text for text, answered in said if answered] == ["echo hello"]
    (told,) = [text for text, answered in said if not answered]
    assert told.startswith("No engine answers: away too. What was sent is kept")


@pytest.mark.req("MG-5")
async def test_a_kept_run_is_kept_over_a_restart(tmp_path: Path) -> None:
    """Where it was in the chain, and when it is due."""
    async with ActorSystem(tmp_path) as system:
        office = await Office.chain(
            system, engine("main", ValueError("1")), engine("spare", ValueError("2")), retry_delay_s=50
        )
        await office.say("hello")
        await until(system, lambda: len(events(tmp_path, "RunFailed")) == 2)
    async with ActorSystem(tmp_path) as system:
        office = await Office.chain(system, engine("main"), engine("spare"))
        assert (await status(system)).error == "2"
        assert office.engine.requests == []
    clock = ManualClock(events(tmp_path, "RunFailed")[-1]["retry_at"] + 1)
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await Office.chain(system, engine("main"), engine("spare"))
        await office.wait_idle()
        assert office.engine.requests[0].attempt == 3
    assert replies(tmp_path) == [("echo hello", ("input-1",))]


@pytest.mark.req("MG-5")
async def test_by_the_other_policy_the_inputs_are_answered_by_the_system(tmp_path: Path) -> None:
    """After so many passes through the whole chain."""
    async with ActorSystem(tmp_path) as system:
        main = engine("main", *(ValueError("a") for _ in range(2)))
        spare = engine("spare", *(ValueError("b") for _ in range(2)))
        office = await Office.chain(system, main, spare, when_all_fail="answer", failures=2)
        await office.say("hello")
        await office.wait_idle()
    assert [kind for kind, _run, _attempt in runs(tmp_path)] == ["RunStarted", "RunFailed"] * 3 + [
        "RunStarted",
        "RunGivenUp",
    ]
    ((text, answered),) = replies(tmp_path)
    assert "could not be handled: b" in text
    assert answered == ("input-1",)


@pytest.mark.req("MG-5")
async def test_the_offline_engine_is_not_chosen_when_others_are_configured(tmp_path: Path) -> None:
    """Only when nothing is, or when it is named."""
    async with ActorSystem(tmp_path / "a") as system:
        office = await Office.chain(system, engine("main", *(ValueError("x") for _ in range(9))))
        await office.say("/help")
        await until(system, lambda: len(events(tmp_path / "a", "RunFailed")) == 5)
        assert {event["engine"] for event in events(tmp_path / "a", "RunStarted")} == {"main"}
    for name, engines in (("b", ()), ("c", (engine("main", ValueError("x")), OfflineEngine()))):
        async with ActorSystem(tmp_path / name) as system:
            manager = await system.spawn(
                ManagerActor, name="manager", engines=engines, policy=RunPolicy(retry_delay_s=0.01)
            )
            await manager.ask_async(SubmitInput(text="/help"), timeout_s=5)
            await until(system, lambda n=name: bool(events(tmp_path / n, "RunSucceeded")))
        assert events(tmp_path / name, "RunSucceeded")[0]["engine"] == "offline"


async def test_engines_of_the_same_name_are_refused(tmp_path: Path) -> None:
    """Their sessions could not be told apart."""
    async with ActorSystem(tmp_path) as system:
        with pytest.raises(ValueError, match="different names"):
            await system.spawn(ManagerActor, name="manager", engines=(engine("a"), engine("a")))


@pytest.mark.parametrize("answer", [None, "text", RunAnswer(actions=({"action": "create_task"},))])
@pytest.mark.req("MG-5")
async def test_an_engine_that_answers_nonsense_has_failed_or_is_corrected(
    tmp_path: Path, answer: object
) -> None:
    """Never the manager."""

    async def answers(_request: object, _desk: object) -> object:
        await trio.lowlevel.checkpoint()
        return answer

    odd = engine("odd")
    if isinstance(answer, RunAnswer):
        odd.steps.append(answer)
    else:
        odd.run = answers  # pyright: ignore[reportAttributeAccessIssue] - on purpose
    async with ActorSystem(tmp_path) as system:
        office = await Office.chain(system, odd, engine("spare"))
        await office.say("hello")
        await office.wait_idle()
        assert system.cell("manager").restarts == 0
    assert ("echo hello", ("input-1",)) in replies(tmp_path)


async def test_an_answer_that_no_journal_can_hold_is_a_failed_attempt(tmp_path: Path) -> None:
    """Such as half of a surrogate pair, which JSON has no form for."""
    lone = RunAnswer.model_validate({"session_id": "x"}).model_copy(update={"session_id": "\ud800"})
    async with ActorSystem(tmp_path) as system:
        office = await Office.chain(system, engine("main", lone), engine("spare"))
        await office.say("hello")
        await office.wait_idle()
    assert len(events(tmp_path, "RunFailed")) == 1
    assert ("echo hello", ("input-1",)) in replies(tmp_path)
