"""`demo`: the main job with a real kill in the middle, and the evidence read from the journals."""

from understudy.cli.demo.command import demo

__all__ = ["demo"]
