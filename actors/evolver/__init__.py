"""The evolver."""

from understudy.actors.evolver.evolver import EvolverActor, EvolverPolicy, EvolverState

__all__ = ["EvolverActor", "EvolverPolicy", "EvolverState"]
