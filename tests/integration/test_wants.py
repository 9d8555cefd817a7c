"""`serve` on a machine that has not enough of something; on real processes."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import httpx
import pytest

from tests.integration.serving import serving

DESCRIPTORS = 32
TASKS = 125


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limits of another process: Linux only")
def test_tasks_wait_for_descriptors_and_all_end_done(tmp_path: Path) -> None:
    """Accepted while few descriptors are left: none fails, though none has a retry."""
    with (
        serving(tmp_path / "home") as server,
        httpx.Client(base_url=server.address, trust_env=False) as client,
    ):
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        for _ in range(TASKS):
            answer = client.post(
                "/api/tasks", json={"title": "t", "executor": "shell", "command": ["/bin/sh", "-c", ":"]}
            )
            assert answer.status_code == 202
        end = time.monotonic() + 60
        while (counts := client.get("/api/status").json()["tasks"])["succeeded"] < TASKS:
            assert counts["failed"] == 0
            assert time.monotonic() < end, counts
        assert client.get("/healthz").status_code == 200
        assert server.stop() == 0
