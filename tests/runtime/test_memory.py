"""A process that trains keeps its memory and computes by oneDNN: seen in processes of their own."""

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
    """What a process prints in which nothing is told to TensorFlow or glibc but `environment`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "MALLOC_"))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=kept | environment).stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_what_was_freed_is_taken_again():
    faults = {keep: int(printed(COUNT.format(keep=keep))) for keep in (True, False)}
    assert 10 * faults[True] < faults[False]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="TensorFlow's oneDNN is for these")
def test_tensorflow_computes_by_onednn_on_older_processors_too():
    assert ",convolution," in printed(CONVOLVE, ONEDNN_VERBOSE="1")
    assert ",convolution," not in printed(CONVOLVE, ONEDNN_VERBOSE="1", TF_ENABLE_ONEDNN_OPTS="0")


def test_tensorflow_is_asked_for_onednn_wherever_it_runs():
    assert printed("import os, faces; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])") == "1\n"
