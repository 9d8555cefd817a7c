"""The page in a real browser, in front of a real server."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

from understudy.protocols.read_model import Change, MessageRow, ScheduleRow, TaskRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import FaultyServer, Server
    from understudy.protocols.tasks import TaskStatus

PATIENCE_MS = 10_000
expect.set_options(timeout=PATIENCE_MS)


def post(server: Server, path: str, body: dict[str, object]) -> str:
    """The id that somebody else's request got."""
    response = httpx.post(server.url + path, json=body, timeout=10)
    assert response.status_code == 202
    found: dict[str, str] = response.json()
    return found["id"]


def say(page: Page, text: str) -> None:
    """Write it and press Enter."""
    page.fill("#input", text)
    page.press("#input", "Enter")


@pytest.mark.req("UI-1")
def test_an_input_gets_its_reply_on_the_page(open_page: Callable[..., Page], server: Server) -> None:
    """Sent from the box, shown with its reply, and the box is empty again."""
    page = open_page(server.url)
    say(page, "hello there")
    expect(page.locator(".message[data-role=user]")).to_contain_text("hello there")
    expect(page.locator(".message[data-role=assistant]")).to_contain_text("hello there")
    expect(page.locator(".message[data-role=user]")).not_to_contain_text("waits for its reply")
    expect(page.locator("#input")).to_have_value("")


@pytest.mark.req("UI-1")
def test_what_others_do_appears_by_itself(open_page: Callable[..., Page], server: Server) -> None:
    """A task made elsewhere appears, runs and ends; a schedule too; nobody reloads."""
    page = open_page(server.url)
    expect(page.locator("#task-list")).to_contain_text("No tasks yet")
    task = post(server, "/api/tasks", {"title": "count to three", "command": ["seq", "3"]})
    row = page.locator(f".task[data-id={task}]")
    expect(row).to_have_attribute("data-status", "succeeded")
    row.locator("button").click()
    expect(row.locator("pre")).to_have_text("1\n2\n3\n")
    post(server, "/api/schedules", {"title": "at midnight", "cron": "0 0 * * *", "command": ["date"]})
    expect(page.locator("#schedules")).to_contain_text("at midnight")


@pytest.mark.req("WK-6")
def test_what_a_running_task_writes_is_shown_while_it_runs(
    open_page: Callable[..., Page], server: Server
) -> None:
    """Before any line of a journal has it."""
    page = open_page(server.url)
    task = post(server, "/api/tasks", {"title": "talk", "command": ["sh", "-c", "echo begun; sleep 1000"]})
    row = page.locator(f".task[data-id={task}]")
    row.locator("button").first.click()
    expect(row.locator("pre")).to_have_text("begun\n")
    expect(row).to_have_attribute("data-status", "running")
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_have_attribute("data-status", "canceled")


@pytest.mark.req("UI-1")
def test_a_running_task_is_canceled_from_the_page(open_page: Callable[..., Page], server: Server) -> None:
    """With the button of its detail."""
    page = open_page(server.url)
    task = post(server, "/api/tasks", {"title": "wait", "command": ["sleep", "1000"]})
    row = page.locator(f".task[data-id={task}]")
    expect(row).to_have_attribute("data-status", "running")
    row.locator("button").first.click()
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_have_attribute("data-status", "canceled")


@pytest.mark.req("UI-1")
@pytest.mark.req("RT-8")
def test_the_cast_is_shown_as_a_tree_with_its_state(open_page: Callable[..., Page], server: Server) -> None:
    """Each actor under its supervisor, and its phase for those who do not see colours."""
    page = open_page(server.url)
    for name in ("cast", "manager", "workers", "cron", "notifier", "projection"):
        actor = page.locator("#actors li", has=page.get_by_text(name, exact=True))
        expect(actor.get_by_role("img")).to_have_attribute("aria-label", "running")
    expect(page.locator("#incidents")).to_contain_text("Nothing went wrong")


@pytest.mark.req("UI-1")
@pytest.mark.req("PJ-2")
def test_after_a_kill_the_page_finds_the_server_again_and_lacks_nothing(
    open_page: Callable[..., Page], server: Server
) -> None:
    """It says that it is not connected, sends nothing, and catches up when the server is back."""
    page = open_page(server.url)
    say(page, "before")
    expect(page.locator(".message")).to_have_count(2)
    server.kill()
    expect(page.locator("#connection")).not_to_have_attribute("data-state", "connected")
    expect(page.locator("#send")).to_be_disabled()
    expect(page.locator("#notice")).to_contain_text("Not connected")
    server.start_again()
    post(server, "/api/input", {"text": "in between"})
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")
    expect(page.locator(".message")).to_have_count(4)
    say(page, "after")
    expect(page.locator(".message")).to_have_count(6)
    expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.req("UI-1")
@pytest.mark.req("JR-8")
def test_a_halt_is_said_and_ended_with_a_button(open_page: Callable[..., Page], faulty: FaultyServer) -> None:
    """A full disk: what is halted, why, what to do; and, when there is room again, the button."""
    page = open_page(faulty.url)
    for operation in ("write", "make"):
        faulty.files.fail(operation, error=errno.ENOSPC, times=None)
    say(page, "to a full disk")
    notice = page.locator("#notice")
    expect(notice).to_contain_text("manager is halted")
    expect(notice).to_contain_text("No space left")
    expect(page.locator("#problem")).to_contain_text("Not sent")
    expect(page.locator("#input")).to_have_value("to a full disk")
    faulty.files.heal()
    notice.get_by_role("button", name="Resume").click()
    expect(notice).to_be_hidden()
    page.press("#input", "Enter")
    expect(page.locator(".message[data-role=assistant]")).to_contain_text("to a full disk")
    expect(page.locator(".message[data-role=user]")).to_have_count(1)


@pytest.mark.req("UI-1")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_works_at_360_pixels(open_page: Callable[..., Page], server: Server, scheme: str) -> None:
    """One view at a time, nothing wider than the screen."""
    page = open_page(server.url, 360, 640, color_scheme=scheme)
    say(page, "/run echo " + "x" * 300)
    expect(page.locator(".message[data-role=assistant]")).to_contain_text("xxx")
    for view in ("Tasks", "Stage", "Look back", "Conversation"):
        page.get_by_role("navigation").get_by_role("button", name=view).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator("#log")).to_be_visible()
    expect(page.locator("#task-list")).to_be_hidden()


@pytest.mark.req("UI-1")
def test_the_keyboard_is_enough(open_page: Callable[..., Page], server: Server) -> None:
    """`/` to write, Escape to leave, `j` and Enter to open a task."""
    task = post(server, "/api/tasks", {"title": "greet", "command": ["echo", "hello"]})
    page = open_page(server.url)
    expect(page.locator(f".task[data-id={task}]")).to_have_attribute("data-status", "succeeded")
    page.keyboard.press("/")
    expect(page.locator("#input")).to_be_focused()
    page.keyboard.type("hi")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(f".task[data-id={task}] pre")).to_have_text("hello\n")
    expect(page.locator("#input")).to_have_value("hi")


@pytest.mark.req("UI-1")
@pytest.mark.req("API-1")
def test_what_tasks_print_is_text_and_never_markup(open_page: Callable[..., Page], server: Server) -> None:
    """Output, titles and messages come from anywhere; none of it may run."""
    page = open_page(server.url)
    markup = "<img src=x onerror=document.title='owned'>"
    task = post(server, "/api/tasks", {"title": markup, "command": ["echo", markup]})
    row = page.locator(f".task[data-id={task}]")
    expect(row).to_have_attribute("data-status", "succeeded")
    row.locator("button").first.click()
    expect(row.locator("pre")).to_have_text(markup + "\n")
    expect(row.locator(".title")).to_have_text(markup)
    assert page.locator("main img").count() == 0
    assert page.title() == "understudy"


@pytest.mark.req("UI-1")
@pytest.mark.req("WK-6")
def test_columns_are_not_folded_on_a_narrow_screen(open_page: Callable[..., Page], server: Server) -> None:
    """They scroll sideways within their own box, prose folds, and a button changes that."""
    page = open_page(server.url, 360, 640)
    row = "column " * 12
    say(page, f"/run echo '{row}'; echo '{row}'")
    text = page.locator(".message[data-role=assistant] .output")
    expect(text).to_contain_text(row)
    line_px = 20
    two_lines = text.evaluate("element => element.clientHeight")
    assert two_lines < 3 * line_px
    assert text.evaluate("element => element.scrollWidth > element.clientWidth")
    page.get_by_role("button", name="fold lines").click()
    assert text.evaluate("element => element.clientHeight") > two_lines
    assert text.evaluate("element => element.scrollWidth <= element.clientWidth")
    page.get_by_role("button", name="unfold lines").click()
    assert text.evaluate("element => element.clientHeight") == two_lines
    say(page, f"/run echo '{'prose ' * 80}'")
    prose = page.locator(".message[data-role=assistant] .output").nth(1)
    assert prose.evaluate("element => element.scrollWidth <= element.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


MODEL = """
async () => {
  const { grouped, isOpened, toggleGroup } = await import("/static/firings.js");
  const tasks = new Map([["t1", "a"], ["t2", "a"], ["t3", "b"], ["t4", "a"], ["t5", null], ["t6", "a"]]
    .map(([id, schedule]) => [id, { id, schedule }]));
  const said = (id, task, in_reply_to = []) => ({ id, task, in_reply_to, role: "assistant", text: id });
  const told = (id) => ({ id, task: null, in_reply_to: [], role: "assistant", text: "drink" });
  const user = (id) => ({ id, task: null, in_reply_to: [], role: "user", text: id });
  const messages = [said("m1", "t1"), said("m2", "t2"), said("m3", "t3"), said("m4", "t4"), user("u1"),
    said("m5", "t5", ["u1"]), said("m6", "t6"), told("r1"), told("r2")];
  const shown = (rows) => rows.map((row) => row.messages?.map((message) => message.id) ?? row.id);
  const first = grouped(messages, tasks);
  toggleGroup(first[1]);
  const second = grouped([...messages, said("m7", "t1")], tasks);
  const same = second[1] === first[1];
  return { first: shown(first), second: shown(second), same, open: isOpened(second[1]) };
}
"""


@pytest.mark.req("UI-1")
def test_firings_between_two_words_are_one_row_a_schedule(
    open_page: Callable[..., Page], server: Server
) -> None:
    """The one that fired last comes last; what did not change stays the same row, opened or not."""
    found = open_page(server.url).evaluate(MODEL)
    head = ["m3", ["m1", "m2", "m4"], "u1", "m5"]
    assert found["first"] == [*head, "m6", ["r1", "r2"]]
    assert found["second"] == [*head, ["r1", "r2"], ["m6", "m7"]]
    assert found["same"]
    assert found["open"]


def firing(number: int, status: TaskStatus) -> list[Change]:
    """What the event stream says when schedule `sched-1` has fired and its task is over."""
    task = TaskRow(id=f"task-{number}", title="often", status=status, schedule="sched-1", created_at=number)
    text = f"{task.id} {status}: often\noutput"
    said = MessageRow(id=f"msg-{number}", role="assistant", text=text, at=number, task=task.id)
    return [Change(table="tasks", id=task.id, row=task), Change(table="messages", id=said.id, row=said)]


@pytest.mark.req("UI-1")
def test_a_schedule_that_fires_often_is_one_row_that_opens(
    open_page: Callable[..., Page], faulty: FaultyServer
) -> None:
    """The newest firing is shown, with how many there were before it and how many of those failed."""
    page = open_page(faulty.url)
    schedule = ScheduleRow(id="sched-1", title="<i>often</i>", timezone="UTC", created_at=1)
    faulty.publish([Change(table="schedules", id=schedule.id, row=schedule)])
    for number in range(1, 30):
        faulty.publish(firing(number, "failed" if number in (7, 9) else "succeeded"))
    count = page.locator(".firings > button")
    expect(count).to_have_text("28 earlier of <i>often</i> · 2 failed")
    expect(page.locator(".message")).to_have_count(1)
    expect(page.locator(".message")).to_contain_text("task-29 succeeded")
    count.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".message")).to_have_count(29)
    expect(count).to_have_attribute("aria-expanded", "true")
    expect(count).to_be_focused()
    expect(count).to_be_in_viewport()
    faulty.publish(firing(30, "succeeded"))
    expect(page.locator(".message")).to_have_count(30)
    expect(count).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".message")).to_have_count(1)
    expect(page.locator(".message")).to_contain_text("task-30 succeeded")
