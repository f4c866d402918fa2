"""The C heap of a serving process."""

import platform
import subprocess
import sys

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
