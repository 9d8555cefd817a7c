"""What we use of pykka's private parts: when a later pykka changes one of them, the test here says which.

The range in pyproject.toml (`pykka>=4.5,<5`) allows later versions; these tests are why it may.
"""

# pyright: reportPrivateUsage=false
# This file is about what is private.

from __future__ import annotations

import inspect
import queue
from typing import Any

import pykka
import pytest
from pykka import messages
from pykka.messages import _ActorStop as ActorStop

import understudy

pytestmark = pytest.mark.req("RT-2")


def parameters(function: Any) -> list[str]:
    """Names of the parameters, `self` among them."""
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("hook", ["_create_actor_inbox", "_create_future"])
def test_what_an_actor_is_made_of_comes_from_static_hooks(hook: str) -> None:
    """pykka calls them on the class and on the instance."""
    assert isinstance(vars(pykka.Actor)[hook], staticmethod)
    assert isinstance(vars(understudy.Actor)[hook], staticmethod)
    assert parameters(getattr(pykka.Actor, hook)) == []


def test_start_makes_registers_and_then_starts_the_loop() -> None:
    """`_start_actor_loop` is the one hook by which a made actor begins to run."""
    source = inspect.getsource(pykka.Actor.start)

    order = [source.index(step) for step in ("cls(*args", "ActorRegistry.register", "_start_actor_loop()")]
    assert order == sorted(order)
    assert pykka.ActorRegistry.register.__name__ == "register"
    assert not inspect.iscoroutinefunction(pykka.Actor._start_actor_loop)


def test_a_message_is_dispatched_by_one_method() -> None:
    """`_handle_receive` serves proxies and stop messages for us; a failure is handed over in three parts."""
    assert parameters(pykka.Actor._handle_receive) == ["self", "message"]
    assert len(parameters(pykka.Actor._handle_failure)) == len(
        ["self", "exception_type", "exception_value", "traceback"]
    )


def test_a_failure_takes_the_actor_out_of_the_registry_and_marks_it_stopped() -> None:
    """Our cell relies on both, and undoes the second for its own clean-up."""
    source = inspect.getsource(pykka.Actor._handle_failure)

    assert "ActorRegistry.unregister(self.actor_ref)" in source
    assert "self.actor_stopped.set()" in source


def test_references_are_stopped_by_a_private_message() -> None:
    """`stop` is a message like any other, so that it keeps its place in the queue (rule S5)."""
    assert ActorStop() == ActorStop()
    assert "_ActorStop()" in inspect.getsource(pykka.ActorRef)


def test_the_messages_of_proxies_hold_a_path_and_a_call() -> None:
    """Our dispatch tells them from user messages by their types."""
    call = messages.ProxyCall(attr_path=("method",), args=(1,), kwargs={"two": 2})

    assert (call.attr_path, call.args, call.kwargs) == (("method",), (1,), {"two": 2})
    assert messages.ProxyGetAttr(attr_path=("field",)).attr_path == ("field",)
    assert messages.ProxySetAttr(attr_path=("field",), value=3).value == 3


def test_a_proxy_reads_the_actor_through_the_references_weak_reference() -> None:
    """`_actor_weakref` is a call that gives the actor; ours is a property that gives such a call."""
    assert "_actor_weakref()" in inspect.getsource(pykka.ActorProxy)
    assert isinstance(vars(understudy.ActorRef)["_actor_weakref"], property)


@pytest.mark.parametrize("future_class", [pykka.ThreadingFuture, understudy.Future])
def test_futures_are_made_without_arguments_and_take_one_outcome(
    future_class: type[pykka.ThreadingFuture[int] | understudy.Future[int]],
) -> None:
    """`map`, `filter`, `join` and `reduce` call `self.__class__()`; a second outcome is `queue.Full`."""
    future = future_class()
    future.set(1)

    assert future.map(lambda value: value + 1).get(timeout=0) == 2
    with pytest.raises(queue.Full):
        future.set(2)


def test_a_hook_of_a_future_stands_in_its_private_field() -> None:
    """Our future reads `_get_hook` to know that its value has to be computed."""
    future: understudy.Future[int] = understudy.Future()
    future.set_get_hook(lambda _: 5)

    assert future._get_hook is not None
    assert future.get(timeout=0) == 5
