"""Memory that a training gives back is kept by its process."""

import platform
import subprocess
import sys

import pytest

ROUNDS = """
import resource
import numpy as np
from stages.lib import memory
if {keep}:
    assert memory.keep()
for round in range(25):
    if round == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    taken = [np.ones(24 << 20, np.uint8) for _ in range(4)]
    del taken
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    """Page faults of a process that takes and gives back a hundred megabytes, again and again."""
    code = ROUNDS.format(keep=keep)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_what_was_freed_is_taken_again():
    assert 10 * faults(keep=True) < faults(keep=False)


def test_tensorflow_computes_by_onednn_wherever_it_can():
    code = "import os; os.environ.pop({0!r}, None); import stages; print(os.environ[{0!r}])"
    code = code.format("TF_ENABLE_ONEDNN_OPTS")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
