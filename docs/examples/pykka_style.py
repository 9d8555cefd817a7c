"""A pykka actor, on our loop: proxies, attributes, dictionaries as messages."""

from typing import Any

from understudy import Actor, ActorSystem


class Greeter(Actor):
    def __init__(self, greeting: str) -> None:
        super().__init__()
        self.greeting = greeting

    def greet(self, name: str) -> str:
        return f"{self.greeting}, {name}!"

    def on_receive(self, message: Any) -> str:
        return f"{self.greeting}, {message['name']}!"


def main() -> None:
    with ActorSystem.in_thread():
        greeter = Greeter.start("Hello")
        print(greeter.proxy().greet("Ada").get(timeout=5))
        print(greeter.ask({"name": "Grace"}, timeout=5))
        greeter.stop()


if __name__ == "__main__":
    main()
