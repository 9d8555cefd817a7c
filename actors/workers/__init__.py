"""The worker pool and its executors."""

from understudy.actors.workers.callables import CallableExecutor, succeed
from understudy.actors.workers.config import PoolConfig
from understudy.actors.workers.context import TaskContext
from understudy.actors.workers.executor import Attempt, Executor
from understudy.actors.workers.output_files import read_output
from understudy.actors.workers.pool import WorkerPoolActor
from understudy.actors.workers.registration import Callables
from understudy.actors.workers.shell import ShellExecutor
from understudy.actors.workers.state import PoolState
from understudy.actors.workers.threads import threads_left

__all__ = [
    "Attempt",
    "CallableExecutor",
    "Callables",
    "Executor",
    "PoolConfig",
    "PoolState",
    "ShellExecutor",
    "TaskContext",
    "WorkerPoolActor",
    "read_output",
    "succeed",
    "threads_left",
]
