"""Work by several processes comes back in order, and a killed worker is reported."""

import os
import signal
import time

import pytest

from faces.runtime import executor
from stages import pack


def test_work_comes_back_in_order_from_several_processes():
    photos = [(str(i), bytes(pack.LOT // 2)) for i in range(40)]
    assert [len(lot) for lot in pack.lots(photos[:5])] == [2, 2, 1]
    for processes in (True, False):
        result = executor.map_ordered(slow_at_first, pack.lots(photos), processes, more="x")
        assert [name for names in result for name in names] == [f"{i}x" for i in range(40)]


def slow_at_first(lot, more):
    time.sleep(0.3 if lot[0][0] == "0" else 0)
    return [name + more for name, _ in lot]


def test_a_worker_that_is_killed_is_told():
    with pytest.raises(SystemExit, match="a worker was killed"):
        list(executor.map_ordered(killed, ["a"], processes=True))


def killed(item):
    os.kill(os.getpid(), signal.SIGKILL)
