"""An account whose state is a journal; the next steps import it."""

from pydantic import BaseModel

from understudy import Event, Message, PersistentActor, Refused


class Deposit(Message[int]):
    """Put something in; answers with the balance."""

    cents: int


class Pay(Message[int]):
    """Give something to another account; answers with the balance."""

    cents: int
    to: str


class GetBalance(Message[int]):
    """Reads only."""


class Deposited(Event):
    cents: int


class Paid(Event):
    cents: int
    to: str


class AccountState(BaseModel):
    cents: int = 0


class Account(PersistentActor[AccountState]):
    def deposit(self, message: Deposit) -> int:
        if message.cents <= 0:
            raise Refused(f"expected something to deposit, got {message.cents} cents")
        self.emit(Deposited(cents=message.cents))
        return self.state.cents

    def pay(self, message: Pay) -> int:
        if message.cents > self.state.cents:
            raise Refused(f"expected at most {self.state.cents} cents, got {message.cents}")
        self.emit(Paid(cents=message.cents, to=message.to))
        self.send(message.to, Deposit(cents=message.cents))
        return self.state.cents

    def get_balance(self, _message: GetBalance) -> int:
        return self.state.cents

    def deposited(self, event: Deposited) -> None:
        self.state.cents += event.cents

    def paid(self, event: Paid) -> None:
        self.state.cents -= event.cents
