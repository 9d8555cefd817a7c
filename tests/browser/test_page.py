"""The page in a real browser, in front of a real server."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import FaultyServer, Server

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
    for view in ("Tasks", "Stage", "Conversation"):
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
