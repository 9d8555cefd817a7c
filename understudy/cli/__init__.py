"""The command line: a client of a running home, a reader of one that rests, and what starts it."""

from understudy.cli.entry import main

__all__ = ["main"]
