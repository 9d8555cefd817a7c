"""The worker pool and its executors."""

from understudy.actors.workers.callables import CallableExecutor, succeed
from understudy.actors.workers.config import PoolConfig
from understudy.actors.workers.executor import Attempt, Executor
from understudy.actors.workers.pool import WorkerPoolActor
from understudy.actors.workers.shell import ShellExecutor
from understudy.actors.workers.state import PoolState

__all__ = [
    "Attempt",
    "CallableExecutor",
    "Executor",
    "PoolConfig",
    "PoolState",
    "ShellExecutor",
    "WorkerPoolActor",
    "succeed",
]
