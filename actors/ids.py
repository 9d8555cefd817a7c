"""Ids such as `task-7`: a kind, and a number that counts from 1."""

from __future__ import annotations


def number_of(name: str) -> int:
    """N of `task-N`."""
    return int(name.rpartition("-")[2])


def is_given(name: str, kind: str, next_number: int) -> bool:
    """Whether `name` is `<kind>-N`, written as it is given out, with N below `next_number`."""
    number = name.removeprefix(f"{kind}-")
    short = number.isdecimal() and len(number) <= len(str(next_number))
    return short and name == f"{kind}-{int(number)}" and 0 < int(number) < next_number
