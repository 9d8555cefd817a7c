"""Every JSON file of ours ends in a newline and is put in place at once, and there is one log (OP-1)."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.unit.actors.stage import until
from understudy import ActorSystem, Settings
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.notifier import FileConfig
from understudy.protocols.conversation import SubmitInput
from understudy.supervision.files import Files

pytestmark = pytest.mark.req("OP-1")

ROOT = Path(__file__).parents[2]
ROOMS = ("protocols", "supervision", "actors", "webui", "understudy/cli")

ELSEWISE = {
    "supervision/files.py": "is what all others write through",
    "supervision/home.py": "the lock file: one write over the old one, since its descriptor is the lock",
    "supervision/journal/output.py": "segments are appended to; a torn end is cut off by recovery",
    "supervision/journal/replay.py": "cuts the torn end off, and keeps it aside",
    "supervision/journal/segments.py": "cuts void lines off, and keeps them aside",
    "supervision/wakeup.py": "wakes the loop; no file",
    "actors/projection/model_file.py": "published as `publish` does it, but in parts",
    "actors/projection/history_file.py": "published as `publish` does it, but in parts",
    "actors/workers/output.py": "what a task writes, as it comes; no JSON",
    "actors/notifier/sinks/file.py": "appends to a file of the user's, and syncs",
    "understudy/cli/entry.py": "opens /dev/null where a standard stream is closed",
    "understudy/cli/logs.py": "the log, line by line, and the screen",
    "understudy/cli/output.py": "opens /dev/null for output that nobody reads any more",
    "understudy/cli/signals.py": "opens /dev/null for what the last guard would print",
    "understudy/cli/journal_export.py": "streams lines into a file that the user names, however long it gets",
    "understudy/cli/demo/scenes.py": "a script for the demo's tasks",
    "understudy/cli/demo/stage.py": "the demo's server's standard error",
}
"""Who writes in another way than `Files.publish`, and why."""

WRITES = frozenset(
    {"write_text", "write_bytes", "write_at", "write_all", "write_new", "truncate", "ftruncate"}
)
OPENERS = frozenset({"open", "fdopen", "NamedTemporaryFile", "TemporaryFile", "mkstemp", "FileIO"})
FLAGS = frozenset({"APPEND", "MAKE", "REPLACE", "EDIT", "LOCKFILE", "O_WRONLY", "O_RDWR", "O_CREAT"})


def writers(tree: ast.AST) -> Iterator[int]:
    """The lines of a module that write to a file by other means than `publish`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = getattr(function, "attr", getattr(function, "id", ""))
        of = getattr(getattr(function, "value", None), "id", "")
        opens = name in OPENERS and any(map(opens_for_writing, (*node.args, *node.keywords)))
        if opens or name in WRITES or (name in ("dump", "write") and of in ("json", "os")):
            yield node.lineno


def opens_for_writing(argument: ast.AST) -> bool:
    """Whether an argument of `open` is a mode that writes, or a flag that does."""
    for node in ast.walk(argument):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            mode = node.value
            if mode and set(mode) <= set("rwaxbt+") and set(mode) & set("wax+"):
                return True
        if getattr(node, "id", getattr(node, "attr", "")) in FLAGS:
            return True
    return False


def sources() -> Iterator[tuple[str, ast.Module]]:
    """The modules of the product, without its testing kit."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if not name.startswith("supervision/testing/"):
                yield name, ast.parse(path.read_text())


def test_whoever_writes_to_a_file_publishes_it_or_has_a_reason() -> None:
    """A crash must not leave half a document where a whole one was."""
    found = {name for name, tree in sources() if any(writers(tree))}
    assert sorted(found - set(ELSEWISE)) == []
    assert sorted(set(ELSEWISE) - found) == [], "a reason that nobody needs any more"


@pytest.mark.parametrize(
    "text",
    [
        "path.write_text('{}')",
        "json.dump({}, file)",
        "open(path, 'w')",
        "path.open(mode='ab')",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "files.write_new(path, data)",
        "files.open(path, REPLACE)",
    ],
)
def test_the_check_sees_each_way_of_writing(text: str) -> None:
    """Else it would prove nothing."""
    assert list(writers(ast.parse(text))) == [1]


def test_only_one_module_makes_a_log_file() -> None:
    """No execution, security or audit log beside it."""
    handlers = {name for name in dir(logging) if name.endswith("FileHandler")} | {"RotatingFileHandler"}
    found = {
        module
        for module, tree in sources()
        for node in ast.walk(tree)
        if getattr(node, "attr", getattr(node, "id", "")) in handlers
    }
    assert found == {"understudy/cli/logs.py"}


class Watching(Files):
    """Notes what is published."""

    def __init__(self) -> None:
        self.published: list[tuple[Path, bytes]] = []

    def replace(self, source: Path, target: Path) -> None:
        self.published.append((target, source.read_bytes()))
        super().replace(source, target)

    def kinds(self) -> set[str]:
        """What was published: the first word of each name, and the folder's name."""
        return {word for path, _ in self.published for word in (path.stem.split("-")[0], path.parent.name)}


def json_files(home: Path) -> list[Path]:
    """Those below a home, by their names."""
    found = (path for path in home.rglob("*") if path.is_file())
    return [path for path in found if path.suffix in (".json", ".jsonl") or path.name == "lock"]


async def test_what_a_working_home_writes_ends_in_a_newline(tmp_path: Path) -> None:
    """Journals, snapshots, read model, history, lock, format, the file sink: whole lines of JSON."""
    files = Watching()
    settings = Settings(snapshot_bytes=2000)
    config = CastConfig(timezone="UTC", sinks=(FileConfig(name="ends", path=Path("ends.jsonl")),))
    async with ActorSystem(tmp_path, files=files, settings=settings) as system:
        await start_cast(system, config)
        manager = system.get("manager")
        for number in range(8):
            await manager.ask_async(SubmitInput(text=f"/run echo {number}"), timeout_s=5)
        await until(system, lambda: system.cell("notifier").actor.state.count == 8, timeout_s=20)
        with trio.fail_after(10):
            while not {"format", "snapshot", "model", "history"} <= files.kinds():
                await trio.sleep(0.01)
    written = json_files(tmp_path)
    assert len(written) > 10
    documents = [path.read_bytes() for path in written] + [data for _, data in files.published]
    for data in documents:
        assert data.endswith(b"\n") or not data
        for line in data.splitlines():
            json.loads(line)
