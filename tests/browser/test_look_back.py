"""Looking back at an actor's turns on the page, in a real browser (JR-9)."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page, Route

    from tests.browser.conftest import Server

pytestmark = [pytest.mark.req("JR-9"), pytest.mark.req("UI-1")]
MARKUP = "<img src=x onerror=document.title='owned'>"
TASK = {"title": MARKUP, "command": ["true"], "start_at": 1e10}


def add_tasks(server: Server, count: int) -> None:
    """Tasks that wait: each is a turn of the pool."""
    for _ in range(count):
        assert httpx.post(f"{server.url}/api/tasks", json=TASK, timeout=10).status_code == 202


def look_back(page: Page, actor: str, turn: int | None = None) -> None:
    """Open the panel on the actor, and on the turn."""
    page.get_by_role("button", name="Look back", exact=True).locator("visible=true").click()
    expect(page.locator("#past-journal")).to_have_value("manager")
    page.select_option("#past-journal", actor)
    if turn is not None:
        go_to(page, turn)


def go_to(page: Page, turn: int) -> None:
    """Type the turn's number."""
    page.fill("#past-seq", str(turn))
    page.press("#past-seq", "Enter")
    expect(page.locator("#past-said")).to_contain_text(f"Turn {turn}")


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_an_actor_is_looked_at_turn_by_turn(
    open_page: Callable[..., Page], server: Server, width: int, scheme: str
) -> None:
    """The turn's events, what changed, and the state; steps, the slider, and any two turns."""
    add_tasks(server, 3)
    page = open_page(server.url, width, 700, color_scheme=scheme)
    look_back(page, "workers", 2)
    state, changes = page.locator("#past-state"), page.locator("#past-changes li")
    expect(page.locator("#past-said")).to_contain_text("TaskCreated")
    expect(page.locator("#past-after")).to_have_text("State after turn 2")
    expect(changes.filter(has_text="/active/task-2")).to_have_attribute("data-op", "add")
    expect(changes.filter(has_text="/active/task-2")).to_contain_text("+added: ")
    expect(changes.filter(has_text="/next_task")).to_contain_text("~changed: /next_task 2 → 3")
    expect(state).to_contain_text('"next_task": 3')
    page.get_by_role("button", name="one turn on").click()
    expect(state).to_contain_text('"next_task": 4')
    page.fill("#past-since", "1")
    page.press("#past-since", "Enter")
    expect(page.locator("#past-changed")).to_have_text("Changed since turn 1: 3")
    page.get_by_role("button", name="first turn").click()
    expect(page.locator("#past-line")).to_have_text("Before the first turn.")
    expect(changes.filter(has_text="/active/task-1")).to_contain_text("−removed: ")  # noqa: RUF001 - a minus
    page.fill("#past-since", "")
    page.press("#past-since", "Enter")
    expect(page.locator("#past-changed")).to_have_text("There is no turn before it.")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("main img").count() == 0
    assert page.title() == "understudy"


def test_the_keyboard_is_enough_to_look_back(open_page: Callable[..., Page], server: Server) -> None:
    """From the actor's number to the slider, its arrows, and `j` and `k`; more turns come by themselves."""
    add_tasks(server, 3)
    page = open_page(server.url)
    page.get_by_role("button", name="look back at workers").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#past-slider")).to_be_focused()
    expect(page.locator("#past-after")).to_have_text("State after turn 3")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#past-after")).to_have_text("State after turn 2")
    page.keyboard.press("Home")
    expect(page.locator("#past-after")).to_have_text("State after turn 0")
    page.keyboard.press("j")
    expect(page.locator("#past-after")).to_have_text("State after turn 1")
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(page.locator("#past-after")).to_have_text("State after turn 0")
    add_tasks(server, 1)
    expect(page.locator("#past-kept")).to_have_text("of 0–4")  # noqa: RUF001 - a range
    expect(page.locator("#past-after")).to_have_text("State after turn 0")
    page.keyboard.press("End")
    expect(page.locator("#past-after")).to_have_text("State after turn 4")
    page.keyboard.press("/")
    expect(page.locator("#input")).to_be_focused()
    expect(page.locator("#past")).to_be_hidden()


def test_what_can_not_be_shown_is_said_in_words(
    open_page: Callable[..., Page], server: Server, tmp_path: Path
) -> None:
    """A turn that is not there, what is no number, an actor that does not run, damage, a newer version."""
    add_tasks(server, 3)
    server.stop()
    journals = tmp_path / "home" / "state" / "journals"
    shutil.copytree(journals / "workers", journals / "ghost")
    path = next((journals / "workers").glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"TaskCreated", b"TaskCreates")
    path.write_bytes(b"".join(lines))
    server.start()
    page = open_page(server.url)
    problem = page.locator("#past-problem")
    look_back(page, "manager", 99999)
    expect(problem).to_contain_text("which are kept, got 99999")
    expect(page.locator("#past-state")).to_be_hidden()
    page.fill("#past-seq", "last")
    page.press("#past-seq", "Enter")
    expect(problem).to_have_text("Expected the number of a turn, got last.")
    go_to(page, 0)
    expect(problem).to_be_hidden()
    page.select_option("#past-journal", "ghost")
    expect(problem).to_contain_text("expected the name of an actor, got 'ghost'")
    page.select_option("#past-journal", "workers")
    expect(problem).to_contain_text("line 2")
    go_to(page, 1)
    expect(problem).to_be_hidden()
    expect(page.locator("#past-state")).to_contain_text("task-1")
    newer = {"detail": "written by <b>version 9</b>", "code": "newer_version"}
    page.route("**/state?at=0", lambda route: route.fulfill(status=500, body=json.dumps(newer)))
    go_to(page, 0)
    expect(problem).to_have_text("written by <b>version 9</b>")
    page.route("**/state?at=1", lambda route: route.abort())
    go_to(page, 1)
    expect(problem).to_contain_text("No answer")


RECORD = """
() => {
  window.shown = [];
  const state = document.getElementById("past-state");
  new MutationObserver(() => shown.push(state.textContent)).observe(state, { childList: true });
}
"""


def test_an_answer_that_comes_late_is_not_shown(open_page: Callable[..., Page], server: Server) -> None:
    """Who has moved on sees the newest turn that was asked for, whatever order the answers come in."""
    add_tasks(server, 3)
    page = open_page(server.url)
    look_back(page, "workers", 3)
    held: list[Route] = []
    page.route("**/state?at=1", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it
    page.fill("#past-seq", "1")
    with page.expect_request("**/state?at=1"):
        page.press("#past-seq", "Enter")
    expect(page.locator("#past")).to_have_attribute("aria-busy", "true")
    go_to(page, 2)
    expect(page.locator("#past-after")).to_have_text("State after turn 2")
    late = {"journal": "workers", "seq": 1, "state": {"late": True}}
    page.evaluate(RECORD)
    held[0].fulfill(status=200, body=json.dumps(late))
    go_to(page, 3)
    expect(page.locator("#past-state")).to_contain_text('"next_task": 4')
    assert [text for text in page.evaluate("shown") if "late" in text] == []


def test_a_large_state_is_shown_in_part(open_page: Callable[..., Page], server: Server) -> None:
    """With a link to the whole; and so are many changes."""
    add_tasks(server, 2)
    page = open_page(server.url)
    large = {"journal": "workers", "seq": 1, "state": {"text": MARKUP, "numbers": list(range(300_000))}}
    change = {"path": "/" + MARKUP, "op": "replace", "before": "x" * 1000, "after": 12345678901234567890}
    diff = {"journal": "workers", "a": 0, "b": 1, "changes": [change] * 1000, "more": 7}
    page.route("**/state?at=1", lambda route: route.fulfill(body=json.dumps(large)))
    page.route("**/diff?a=0&b=1", lambda route: route.fulfill(body=json.dumps(diff)))
    look_back(page, "workers", 1)
    expect(page.locator("#past-whole")).to_contain_text("The first 65,536 characters of")
    assert len(page.locator("#past-state").inner_text()) < 70_000
    link = page.locator("#past-whole").get_by_role("link")
    expect(link).to_have_attribute("href", "/api/journals/workers/state?at=1")
    rows = page.locator("#past-changes li")
    expect(rows).to_have_count(200)
    expect(rows.first).to_contain_text("… (1,002 characters) → 12345678901234567890")
    expect(page.locator("#past-changed")).to_have_text("Changed since turn 0: 1007")
    expect(page.locator("#past-more")).to_contain_text("And 807 more.")
    assert page.locator("main img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


JSON = """
async (texts) => {
  const { indented, fields, items, seen } = await import("/static/json.js");
  return texts.map((text) => [indented(text, 1e6).text, Object.entries(fields(text)), items(text)]);
}
"""


def test_json_is_indented_to_the_letter(open_page: Callable[..., Page], server: Server) -> None:
    """As Python does it, large integers too; quotes and brackets in strings are text."""
    objects: list[dict[str, Any]] = [
        {},
        {"a": [], "b": {}, "c": [1, [2, {"d": None}]], "": "e"},
        {'quote " and \\': "a\\", "b": '\\\\"', "c": "{[,:]}", "d é 🎭": "\n\t"},
        {"large": [2**70, 1.0, -0.5e-7, True, False, None], "deep": {"deeper": [{"deepest": ["x"]}]}},
    ]
    page = open_page(server.url)
    for separators in ((",", ":"), (", ", ": ")):
        texts = [json.dumps(one, ensure_ascii=False, separators=separators) for one in objects]
        for one, (shown, pairs, values) in zip(objects, page.evaluate(JSON, texts), strict=True):
            assert shown == json.dumps(one, ensure_ascii=False, indent=2)
            assert {name: json.loads(part) for name, part in pairs} == one
            assert [json.loads(part) for part in values] == list(one.values())


def test_letters_that_would_turn_the_text_around_are_shown_as_codes(
    open_page: Callable[..., Page], server: Server
) -> None:
    """What is shown reads in the order in which it stands in the file."""
    found = open_page(server.url).evaluate(JSON, ['{"a": "x\u202ey\u200b"}'])
    assert found[0][0] == '{\n  "a": "x\\u202ey\\u200b"\n}'
