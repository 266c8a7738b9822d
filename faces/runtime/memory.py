"""Memory of a process that trains: a step reuses what the step before it freed."""

import ctypes
import os
import platform

# of mallopt(3)
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
NEVER, PAD, LARGEST = 2**31 - 1, 64 << 20, 32 << 20  # bytes; LARGEST is the most that glibc accepts


def keep() -> bool:
    """Keep freed memory in this process; call it before TensorFlow computes anything. Returns whether glibc could.

    Otherwise blocks of megabytes return to the system after each step and come back page by page, which took a third of
    a training's time on a virtual machine. TensorFlow's own allocator keeps tensors, glibc everything else.
    """
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((TRIM_THRESHOLD, NEVER), (TOP_PAD, PAD), (MMAP_THRESHOLD, LARGEST))
    return all(mallopt(name, value) == 1 for name, value in settings)
