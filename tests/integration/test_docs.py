"""What README.md and docs/ show is so: files, commands with their output, links, generated tables.

A page marks its code blocks by the word behind the language:

- `python docs/examples/x.py`: the block is that file, to the letter.
- `console`: commands (`$ …`) with what they print. The page's blocks run in order, in one new folder;
  `…` in the output stands for anything, and a command ending in ` &` goes on beside the next ones.
- Everything else (`sh`, `text`, plain `python`) is not run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import understudy
from tests.integration.serving import clean_environment

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("**/*.md")))
EXAMPLES = tuple(sorted((DOCS / "examples").glob("*.py")))
TIMEOUT_S = 60.0
PORT = "7433"

BLOCK = re.compile(
    r"^```(?P<language>\w*)[ ]?(?P<title>[^\n]*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"\]\((?!https?:)(?P<target>[^)\s]*)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def name_of(path: Path) -> str:
    """How a page or an example is called in a test's id."""
    return str(path.relative_to(ROOT))


def blocks(page: Path) -> Iterator[re.Match[str]]:
    """The page's fenced blocks."""
    return BLOCK.finditer(page.read_text())


def commands(page: Path) -> list[tuple[str, str]]:
    """Each command of the page's consoles with the output that is shown for it."""
    found: list[tuple[str, str]] = []
    for block in blocks(page):
        if block["language"] == "console":
            shown = re.split(r"^\$ ", block["body"], flags=re.MULTILINE)
            assert not shown[0], f"{page}: expected a console to begin with a command, got {shown[0]!r}"
            found += [
                (command, output) for command, _, output in (each.partition("\n") for each in shown[1:])
            ]
    return found


PAGES_WITH_COMMANDS = tuple(page for page in PAGES if commands(page))


class Shell:
    """Runs a page's commands in one folder; what goes on beside them ends with the block.

    The checkout's docs/ is there, `understudy` and `python` are ours, and the port that pages name is a
    free one.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._port = free_port()
        (folder / "docs").symlink_to(DOCS, target_is_directory=True)
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        # Measuring what a page runs would double its time, and prove nothing.
        environment = clean_environment(HOME=str(folder), PATH=path, UNDERSTUDY_PORT=str(self._port))
        self._environment = {k: v for k, v in environment.items() if not k.startswith("COVERAGE_")}

    def run(self, command: str) -> str:
        """What `command` prints on its standard output; a failure is part of it."""
        command = command.replace(PORT, str(self._port))
        out = self._begin(command) if command.endswith(" &") else self._finish(command)
        return out.replace(str(self._port), PORT)

    def _finish(self, command: str) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return done.stdout + (f"exit code {done.returncode}: {done.stderr}" if done.returncode else "")

    def _begin(self, command: str) -> str:
        """Start it; the first line that it prints says that it is there."""
        process = self._stack.enter_context(
            subprocess.Popen(
                ["/bin/sh", "-c", "exec " + command.removesuffix(" &")],
                cwd=self._folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._stack.callback(process.send_signal, signal.SIGTERM)
        assert process.stdout is not None
        return process.stdout.readline()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def open_shell(folder: Path) -> Generator[Shell]:
    """A shell for one page."""
    with ExitStack() as stack:
        yield Shell(folder, stack)


def matches(shown: str, printed: str) -> bool:
    """Whether what a page shows is what was printed; how many blanks there are does not count."""
    pattern = ".*?".join(re.escape(part) for part in tidy(shown).split("…"))
    return re.fullmatch(pattern, tidy(printed), re.DOTALL) is not None


def tidy(text: str) -> str:
    """The text with one blank where there are several, and none at the ends of its lines."""
    return "\n".join(re.sub(" +", " ", line).rstrip() for line in text.strip("\n").splitlines())


def anchor(heading: str) -> str:
    """How a heading is linked to."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS, ids=name_of)
def test_commands_of_a_page_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    """A page is a session: its commands run in order, in a new folder."""
    if any(command.startswith("jq ") for command, _ in commands(page)) and shutil.which("jq") is None:
        pytest.skip("the page uses jq, which is not installed")
    with open_shell(tmp_path) as shell:
        for command, shown in commands(page):
            printed = shell.run(command)
            assert matches(shown, printed), f"$ {command}\nshown:\n{shown}\nprinted:\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_example_files_are_shown_as_they_are(page: Path) -> None:
    """A page that names a file of docs/examples shows that file."""
    for block in blocks(page):
        if block["title"].startswith("docs/"):
            assert (ROOT / block["title"]).read_text() == block["body"], block["title"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    """Each names a file of the checkout, and a heading of it if it names one."""
    text = BLOCK.sub("", page.read_text())
    for link in LINK.finditer(text):
        path, _, heading = link["target"].partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link['target']}: no such file"
        if heading:
            assert heading in map(anchor, HEADING.findall(target.read_text())), link["target"]


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_every_example_is_shown_and_run_by_a_page(example: Path) -> None:
    """An example that no page runs, nor one that a page runs imports, is one that nobody knows to work."""
    name = name_of(example)
    shown = [page for page in PAGES if any(block["title"] == name for block in blocks(page))]
    run = {other for other in EXAMPLES for page in PAGES if page_runs(page, other)}
    imported = any(f"from {example.stem} import" in other.read_text() for other in run)
    assert shown, f"expected a page with a block `python {name}`"
    assert example in run or imported, f"expected a page with `$ python {name}` in a console"


def page_runs(page: Path, example: Path) -> bool:
    """Whether a command of the page runs the example."""
    return any(name_of(example) in command for command, _ in commands(page))


def test_a_wrong_output_is_noticed() -> None:
    """The dots match anything, and nothing else does."""
    assert matches("a … c\n", "a b c\n")
    assert not matches("a … c", "a b d")
    assert not matches("balance 5", "balance 50")


def test_every_page_is_reached_from_the_index() -> None:
    """docs/index.md links to each page of docs/."""
    linked = {
        (DOCS / link["target"].partition("#")[0]).resolve()
        for link in LINK.finditer((DOCS / "index.md").read_text())
    }
    assert {page.resolve() for page in DOCS.glob("**/*.md")} - {(DOCS / "index.md").resolve()} <= linked


def test_generated_pages_are_what_the_code_says() -> None:
    """Settings, errors, commands and events: `python tools/reference.py` writes them."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference.py", "--check"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", understudy.__all__)
def test_every_public_name_is_explained(name: str) -> None:
    """By the page of the public API, or by that of the errors."""
    pages = (DOCS / "reference" / "public-api.md", DOCS / "reference" / "errors.md")
    assert any(re.search(rf"`{name}\b", page.read_text()) for page in pages)
