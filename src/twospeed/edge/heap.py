"""The memory of a serving process: what one request's body has freed is kept for the next one.

glibc gives a freed block of more than 128 KiB back to the kernel and fetches it again, page fault by page fault, for the
next body: for 200 KB that is 50 faults and three quarters of the CPU time of the request. Other C libraries have no
such switch and are left alone.

Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
"""

import ctypes
import gc

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
KEPT_BYTES = 1 << 24  # free memory kept at the end of the heap, at most
LARGEST_BYTES = 1 << 22  # blocks up to this size come from the heap


def keep_freed_memory() -> bool:
    """Let this process keep up to 16 MiB of freed memory; say whether its C library can."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGEST_BYTES) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))


def settle() -> None:
    """Take what was built once out of sight of later collections: it is never garbage.

    What requests allocate is freed by counting references. Cycles are rare (faults with tracebacks), so they are looked
    for once in 20,000 allocations instead of 700, which cost 3 us of each request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def tidy() -> None:
    """Free what a configuration that is gone has left behind: its parts refer to each other, and `settle` hid some of them."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
