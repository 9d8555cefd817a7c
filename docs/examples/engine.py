"""The cast with an engine of your own. A wrong action is sent back, and corrected."""

import trio

from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.engines import Desk
from understudy.protocols.conversation import GetRecentMessages, SubmitInput
from understudy.protocols.engine import Reply, RunAnswer, RunRequest, UserInput


class Clerk:
    """Cancels what it is told to, at first under a wrong name."""

    name = "clerk"

    async def run(self, request: RunRequest, desk: Desk) -> RunAnswer:
        for problem in request.problems:
            print(f"round {request.round}: {problem.error}")
        inputs = tuple(wake.id for wake in request.batch if isinstance(wake, UserInput))
        if request.round == 0:
            wrong = {"action": "cancel_task", "task": "the report"}
            return RunAnswer(replies=(Reply(text="Done.", in_reply_to=inputs),), actions=(wrong,))
        text = f"None of the {len(await desk.tasks())} tasks is called that."
        return RunAnswer(replies=(Reply(text=text, in_reply_to=inputs),))


async def main() -> None:
    async with ActorSystem("office") as system:
        await start_cast(system, CastConfig(timezone="UTC"), engines=(Clerk(),))
        manager = system.get("manager")
        accepted = await manager.ask_async(SubmitInput(text="cancel the report"))
        messages = ()
        while len(messages) < 2:
            await trio.sleep(0.01)
            messages = (await manager.ask_async(GetRecentMessages())).messages
        print(accepted.id, "is answered:", messages[-1].text)


trio.run(main)
