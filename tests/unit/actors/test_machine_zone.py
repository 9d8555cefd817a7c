"""Which zone holds on this machine: `$TZ` and `/etc/localtime`, as other programs read them."""

from __future__ import annotations

import zoneinfo
from pathlib import Path

import pytest

from understudy.actors.cron import machine
from understudy.protocols.errors import BadSchedule

DATABASE = next(Path(root) for root in zoneinfo.TZPATH if (Path(root) / "America/New_York").exists())


@pytest.mark.parametrize(
    ("given", "zone"),
    [
        ("America/New_York", "America/New_York"),
        (":America/New_York", "America/New_York"),
        (f"{DATABASE}/America/New_York", "America/New_York"),
        (f":{DATABASE}/Asia/Tokyo", "Asia/Tokyo"),
        ("EST5EDT", "EST5EDT"),
        ("UTC", "UTC"),
        ("", "UTC"),
        (":", "UTC"),
    ],
)
def test_tz_decides_where_it_names_a_zone(monkeypatch: pytest.MonkeyPatch, given: str, zone: str) -> None:
    """A name or a path, either behind a colon."""
    monkeypatch.setenv("TZ", given)
    assert machine.machine_zone() == zone


@pytest.mark.parametrize("given", ["CET-1CEST,M3.5.0,M10.5.0/3", "Mars/Olympus", "/dev/null", "../x", "/no"])
def test_tz_that_names_no_zone_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """UTC in its place would be hours away from what `date` says."""
    monkeypatch.setenv("TZ", given)
    with pytest.raises(BadSchedule, match=r"expected [$]TZ to name an IANA time zone"):
        machine.machine_zone()


def test_a_link_and_a_copy_of_localtime_are_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file beside it says which of the names of the same rules is meant."""
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(machine, "ETC", tmp_path)
    assert machine.machine_zone() == "UTC"
    (tmp_path / "localtime").symlink_to(DATABASE / "Asia/Tokyo")
    assert machine.machine_zone() == "Asia/Tokyo"
    (tmp_path / "localtime").unlink()
    (tmp_path / "localtime").write_bytes((DATABASE / "Europe/Zurich").read_bytes())
    copied = zoneinfo.ZoneInfo(machine.machine_zone())
    assert (DATABASE / copied.key).read_bytes() == (DATABASE / "Europe/Zurich").read_bytes()
    (tmp_path / "timezone").write_text("Europe/Zurich\n")
    assert machine.machine_zone() == "Europe/Zurich"


def test_a_localtime_that_is_no_known_zone_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Schedules without a zone are in UTC then."""
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(machine, "ETC", tmp_path)
    (tmp_path / "localtime").write_bytes(b"nonsense")
    assert machine.machine_zone() == "UTC"
    assert "schedules without a zone are in UTC" in caplog.text
