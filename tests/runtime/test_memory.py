"""A process that trains keeps its memory and uses oneDNN; each test runs a process of its own."""

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
import numpy
from faces.runtime import memory
if {keep}:
    assert memory.keep()
for round in range(25):
    if round == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    taken = [numpy.ones(24 << 20, numpy.uint8) for _ in range(4)]
    del taken
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
CONVOLVE = """
import faces
import tensorflow as tf
tf.nn.conv2d(tf.ones((32, 96, 96, 8)), tf.ones((3, 3, 8, 32)), 1, "SAME")
"""


def printed(code: str, **environment: str) -> str:
    """Output of a process whose only settings of TensorFlow and glibc are those of `environment`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "MALLOC_"))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=kept | environment).stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_freed_memory_is_reused():
    faults = {keep: int(printed(COUNT.format(keep=keep))) for keep in (True, False)}
    assert 10 * faults[True] < faults[False]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="TensorFlow has oneDNN on these only")
def test_tensorflow_uses_onednn_on_older_processors():
    assert ",convolution," in printed(CONVOLVE, ONEDNN_VERBOSE="1")
    assert ",convolution," not in printed(CONVOLVE, ONEDNN_VERBOSE="1", TF_ENABLE_ONEDNN_OPTS="0")


def test_onednn_is_requested_on_every_platform():
    assert printed("import os, faces; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])") == "1\n"
