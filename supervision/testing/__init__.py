"""What tests of actors need: a virtual clock, a disk in memory that fails on demand, crashes everywhere.

files        MemoryFiles, FaultyFiles: disks with faults, crashes at named points, power failures
clock        VirtualClock; run_simulated: hours take no time, and the order follows from a seed
crashes      crash_everywhere: a story crashed at each of its operations
checks       CheckedSystem, check_replays: state is changed by events only
conformance  assert_conforms: what must hold of any persistent actor
simulation   Simulation: a world that lives for hours on a disk and a clock that fail it
probe        Probe, Recorder: what was told, and waits that are bounded
"""

from understudy.supervision.testing.checks import CheckedSystem, StateChangedWithoutEvent, check_replays
from understudy.supervision.testing.clock import VirtualClock
from understudy.supervision.testing.conformance import assert_conforms
from understudy.supervision.testing.crashes import Crashed, Story, crash_everywhere
from understudy.supervision.testing.faults import Operation, PowerLost
from understudy.supervision.testing.files import FaultyFiles, MemoryFiles
from understudy.supervision.testing.probe import Probe, Recorder
from understudy.supervision.testing.simulated import run_simulated
from understudy.supervision.testing.simulation import Simulation, World

__all__ = [
    "CheckedSystem",
    "Crashed",
    "FaultyFiles",
    "MemoryFiles",
    "Operation",
    "PowerLost",
    "Probe",
    "Recorder",
    "Simulation",
    "StateChangedWithoutEvent",
    "Story",
    "VirtualClock",
    "World",
    "assert_conforms",
    "check_replays",
    "crash_everywhere",
    "run_simulated",
]
