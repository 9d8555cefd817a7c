from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.actors.manager.replies import fall_back, pending_tasks, settle
from understudy.actors.manager.state import OpenInput
from understudy.actors.manager.texts import NO_ANSWER
from understudy.protocols.engine import (
    Action,
    DoneTask,
    DueSchedule,
    Reply,
    TaskToCreate,
    TaskToSummarize,
    UserInput,
    Wake,
)
from understudy.protocols.tasks import CreateTask, SummarizeTask, TaskResult, TaskSpec, TaskStatus


def an_input(name: str) -> UserInput:
    """A wake event of the first kind."""
    return UserInput(id=name, text="do something")


def a_result(task: str, origin: str | None, status: TaskStatus = "succeeded") -> DoneTask:
    """A wake event of the second kind."""
    result = TaskResult(
        task=task,
        title="echo",
        status=status,
        attempt=1,
        reason="exit code 0",
        source="worker",
        output="hello\n",
        origin=origin,
    )
    return DoneTask(id=task, result=result)


def creating(task: str, origin: str) -> Action:
    """A proposal made for an input."""
    spec = TaskSpec(title="echo", command=("echo",), origin=origin)
    return TaskToCreate(message=CreateTask(spec=spec, id=task))


def waiting(*tasks: str) -> OpenInput:
    """An input without a final reply that asked for these tasks."""
    return OpenInput(session="main", tasks=tasks)


@pytest.mark.rule("E2")
def test_the_engines_replies_are_kept_as_they_are() -> None:
    """When each input has one."""
    replies = [Reply(text="one", in_reply_to=("input-1",)), Reply(text="two", in_reply_to=("input-2",))]
    inputs = {"input-1": waiting(), "input-2": waiting()}
    assert replies == settle(replies, (), [an_input("input-1"), an_input("input-2")], inputs)


@pytest.mark.rule("E2")
def test_a_second_reply_to_an_input_answers_nothing() -> None:
    """It is said, but not as an answer; so is one to an input that has its reply or never was."""
    replies = [
        Reply(text="one", in_reply_to=("input-1",)),
        Reply(text="again", in_reply_to=("input-1", "input-9")),
    ]
    settled = settle(replies, (), [an_input("input-1")], {"input-1": waiting()})
    assert [reply.in_reply_to for reply in settled] == [("input-1",), ()]


@pytest.mark.rule("E2")
def test_an_input_that_the_engine_forgot_gets_a_system_reply() -> None:
    """Nobody waits for ever."""
    (reply,) = settle([], (), [an_input("input-1")], {"input-1": waiting()})
    assert (reply.in_reply_to, reply.role, reply.text) == (("input-1",), "system", NO_ANSWER)


@pytest.mark.rule("E2")
def test_an_input_that_asked_for_a_task_waits_for_its_result() -> None:
    """Its reply comes with the outcome, not before."""
    inputs = {"input-1": waiting()}
    assert settle([], [creating("task-1", "input-1")], [an_input("input-1")], inputs) == []
    assert pending_tasks([creating("task-1", "input-1")], [], inputs) == {"input-1": ("task-1",)}


@pytest.mark.rule("E2")
def test_an_outcome_that_the_engine_says_nothing_about_is_the_reply() -> None:
    """When it is the last one that the input waits for."""
    inputs = {"input-1": waiting("task-1")}
    (reply,) = settle([], [], [a_result("task-1", "input-1")], inputs)
    assert reply.in_reply_to == ("input-1",)
    assert "task-1 succeeded" in reply.text
    assert "hello" in reply.text


@pytest.mark.rule("E2")
def test_an_input_with_two_tasks_is_answered_with_the_last() -> None:
    """The first outcome alone is only told."""
    inputs = {"input-1": waiting("task-1", "task-2")}
    first = settle([], [], [a_result("task-1", "input-1")], inputs)
    assert [(reply.in_reply_to, reply.task, reply.role) for reply in first] == [((), "task-1", "system")]
    both = [a_result("task-1", "input-1"), a_result("task-2", "input-1")]
    assert [reply.in_reply_to for reply in settle([], [], both, inputs)] == [(), ("input-1",)]


@pytest.mark.req("MG-4")
def test_a_summary_is_the_reply_when_the_engine_gives_no_other() -> None:
    """To the input that asked for the task, with the last of its tasks."""
    summary = TaskToSummarize(message=SummarizeTask(id="task-1", text="It said hello."))
    inputs = {"input-1": waiting("task-1")}
    done = a_result("task-1", "input-1")
    (reply,) = settle([], [summary], [done], inputs)
    assert (reply.text, reply.in_reply_to, reply.role) == ("It said hello.", ("input-1",), "assistant")
    (reply,) = settle([Reply(text="Hello!", in_reply_to=("input-1",))], [summary], [done], inputs)
    assert reply.text == "Hello!"


@pytest.mark.parametrize(
    ("status", "origin", "told"),
    [
        ("succeeded", None, False),
        ("failed", None, True),
        ("canceled", None, True),
        ("succeeded", "input-1", True),
    ],
)
def test_nobody_misses_how_a_task_ended(status: TaskStatus, origin: str | None, *, told: bool) -> None:
    """Not when it went wrong, nor when an input asked for it; a schedule that works need not be talked of."""
    done = a_result("task-1", origin, status)
    assert bool(settle([], [], [done], {})) == told
    assert settle([Reply(text="I know.", task="task-1")], [], [done], {})[0].text == "I know."
    assert len(settle([Reply(text="I know.", task="task-1")], [], [done], {})) == 1


@pytest.mark.req("MG-2")
def test_a_run_that_is_given_up_answers_all_of_its_batch() -> None:
    """Inputs with the error, results with the outcome, reminders with their text."""
    due = DueSchedule(id="sched-1@5", schedule="sched-1", nominal_at=5.0, title="tea", text="")
    batch: list[Wake] = [an_input("input-2"), a_result("task-1", "input-1"), due]
    inputs = {"input-1": waiting("task-1"), "input-2": waiting()}
    replies = fall_back(batch, inputs, "the engine is away")
    assert [reply.in_reply_to for reply in replies] == [("input-2",), ("input-1",), ()]
    assert "the engine is away" in replies[0].text
    assert "hello" in replies[1].text
    assert replies[2].text == "Reminder: tea"


NAMES = st.sampled_from([f"input-{number}" for number in range(4)])


@pytest.mark.rule("E2")
@given(
    give_up=st.booleans(),
    proposed=st.lists(st.lists(NAMES, max_size=3).map(tuple), max_size=5),
    batch=st.lists(NAMES, max_size=4, unique=True),
    finished=st.lists(NAMES, max_size=4, unique=True),
    created=st.lists(NAMES, max_size=2),
)
def test_whatever_an_engine_says_no_input_is_answered_twice_or_forgotten(
    *,
    give_up: bool,
    proposed: list[tuple[str, ...]],
    batch: list[str],
    finished: list[str],
    created: list[str],
) -> None:
    """Each of the batch is answered once, or waits for a task that is still to come."""
    done = [name for name in finished if name not in batch]
    inputs = {name: waiting() for name in batch} | {name: waiting(f"task-of-{name}") for name in done}
    wakes: list[Wake] = [an_input(name) for name in batch]
    wakes += [a_result(f"task-of-{name}", name) for name in done]
    actions = [] if give_up else [creating(f"new-{index}", name) for index, name in enumerate(created)]
    if give_up:
        replies = fall_back(wakes, inputs, "away")
    else:
        replies = settle([Reply(text="x", in_reply_to=names) for names in proposed], actions, wakes, inputs)
    answered = Counter(name for reply in replies for name in reply.in_reply_to)
    assert set(answered.values()) <= {1}
    assert set(answered) <= set(inputs)
    pending = pending_tasks(actions, wakes, inputs)
    assert {name for name in inputs if name not in answered} == {
        name for name in inputs if name not in answered and pending[name]
    }
