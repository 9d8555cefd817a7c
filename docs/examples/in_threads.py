"""The same from ordinary code: the loop has a thread of its own, the calls block."""

from concurrent.futures import ThreadPoolExecutor

from account import Account, Deposit, GetBalance

from understudy import ActorSystem, Refused


def main() -> None:
    with ActorSystem.in_thread("bank") as system:
        account = system.spawn(Account, name="alice")

        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(account.ask, [Deposit(cents=1)] * 100))
        print("balance:", account.ask(GetBalance(), timeout=5))

        # Without waiting for each: futures, to be collected later.
        futures = [account.ask(Deposit(cents=1), block=False) for _ in range(3)]
        print("answers:", [future.get(timeout=5) for future in futures])

        print("once:", account.ask_with_key(Deposit(cents=50), key="gift-1"))
        print("once:", account.ask_with_key(Deposit(cents=50), key="gift-1"))

        try:
            account.ask(Deposit(cents=0))
        except Refused as refusal:
            print("refused:", refusal)


if __name__ == "__main__":
    main()
