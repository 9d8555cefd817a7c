"""Tasks that call the program's own functions: in the loop, in a thread, in a process."""

import trio
import trio.lowlevel

from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.workers import Callables, TaskContext
from understudy.protocols.tasks import CreateTask, GetTask, TaskSpec, TaskView

callables = Callables()


@callables.register  # async: in the loop
async def greet(name: str) -> str:
    await trio.lowlevel.checkpoint()
    return f"hello {name}"


@callables.register  # plain: in a thread
def count(context: TaskContext, words: list[str]) -> dict[str, int]:
    for number, word in enumerate(words, 1):
        context.progress(number / len(words), word)
        context.write(f"{word}\n")
    return {"words": len(words)}


@callables.register(where="process")  # computes: in a process, which can be killed
def primes(below: int) -> int:
    return sum(all(number % each for each in range(2, number)) for number in range(2, below))


async def run(system: ActorSystem, spec: TaskSpec) -> TaskView:
    pool = system.get("workers")
    task = await pool.ask_async(CreateTask(spec=spec), key=spec.title)  # the same title: the same task
    while (view := await pool.ask_async(GetTask(id=task.id))).status in ("pending", "running"):
        await trio.sleep(0.02)
    return view


async def main() -> None:
    async with ActorSystem("office") as system:
        await start_cast(system, CastConfig(concurrency=2), callables=callables)
        for function, arguments in (
            ("greet", '{"name": "you"}'),
            ("count", '{"words": ["one", "two"]}'),
            ("primes", '{"below": 1000}'),
        ):
            spec = TaskSpec(title=function, executor="python", function=function, arguments=arguments)
            view = await run(system, spec)
            print(view.id, view.title, view.status, view.value)


if __name__ == "__main__":
    trio.run(main)
