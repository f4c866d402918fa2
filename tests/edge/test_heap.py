"""The C heap of a serving process."""

import gc
import platform
import subprocess
import sys
import weakref

from twospeed.edge.heap import settle, tidy

PROGRAM = """
import resource
from twospeed.edge.heap import keep_freed_memory
kept = keep_freed_memory()
bodies = lambda: [bytes(200_000) for _ in range(2)]
bodies()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    bodies()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_bodies_reuse_the_memory_of_those_before():
    """After the first one, a large body costs no page faults (glibc; elsewhere nothing is changed)."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    assert kept == str(platform.libc_ver()[0] == "glibc")
    if kept == "True":
        assert int(faults) < 200


class Ring:
    """Something that refers to itself, as the parts of a snapshot do to each other."""

    def __init__(self) -> None:
        self.round = self


def test_what_a_configuration_leaves_behind_is_freed():
    """Also what was hidden from collections when the server started."""
    ring = Ring()
    seen, thresholds = weakref.ref(ring), gc.get_threshold()
    try:
        settle()
        del ring
        gc.collect()
        assert seen() is not None
        tidy()
        assert seen() is None
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
