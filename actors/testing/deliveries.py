"""What must be true of deliveries to a sink: taken at least once, or a dead letter."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEXT: dict[str, tuple[set[str], str]] = {
    "DeliveryStarted": ({"queued"}, "running"),
    "DeliveryRetried": ({"running"}, "queued"),
    "DeliveryMade": ({"running"}, "made"),
    "DeliveryGivenUp": ({"running", "queued"}, "dead"),
    "DeliveryRevived": ({"dead", "queued"}, "queued"),
}


def check_deliveries(
    notifier: list[tuple[str, dict[str, Any]]],
    finished: Mapping[str, object],
    taken: Mapping[str, int],
    *,
    attempts: int,
    settled: bool,
) -> None:
    """Check the notifier's events against what the one sink's receiver has taken.

    Args:
        notifier: the events.
        finished: the tasks that have ended.
        taken: how often the receiver has taken each delivery, by id.
        attempts: how often the sink is tried.
        settled: whether everything is over.

    Raises:
        AssertionError.
    """
    statuses: dict[str, str] = {}
    made: Counter[str] = Counter()
    since_revived: Counter[str] = Counter()
    about: Counter[str] = Counter()
    for kind, data in notifier:
        if kind == "DeliveriesQueued":
            about[data["notification"]["id"]] += 1
            for new in data["deliveries"]:
                assert new["id"] not in statuses, f"{new['id']} was queued twice"
                statuses[new["id"]] = "queued"
        elif kind in _NEXT:
            name, (before, after) = data["id"], _NEXT[kind]
            assert statuses.get(name) in before, f"{name}: {kind} when it was {statuses.get(name)}"
            statuses[name] = after
            if kind == "DeliveryStarted":
                made[name] += 1
                since_revived[name] += 1
                assert data["attempt"] == made[name], f"{name}: attempt {data['attempt']}"
                assert since_revived[name] <= attempts, f"{name}: {since_revived[name]} attempts"
            elif kind == "DeliveryRevived":
                since_revived[name] = 0
    for name in taken:
        assert name in statuses, f"{name} was delivered, and was not queued"
    for name, status in statuses.items():
        assert status != "made" or taken.get(name), f"{name} counts as made, and nobody has taken it"
    assert all(count == 1 for count in about.values()), "a notification was queued twice"
    if settled:
        assert about.keys() == finished.keys(), f"not queued: {sorted(finished.keys() - about.keys())}"
        left = [name for name, status in statuses.items() if status not in ("made", "dead")]
        assert not left, f"neither taken nor dead letters: {left}"
