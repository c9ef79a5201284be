from __future__ import annotations

import subprocess
import sys

import numpy as np

from compress.measure.memory import peak_rss_bytes

CHILD = "from compress.measure.memory import peak_rss_bytes; print(peak_rss_bytes())"


def test_peak_grows_with_what_is_touched_and_stays():
    before = peak_rss_bytes()
    array = np.ones(before // 8 + 20_000_000)
    del array
    assert peak_rss_bytes() >= before + 100_000_000


def test_a_small_child_does_not_report_its_large_parent():
    array = np.ones(50_000_000)
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert int(done.stdout) < array.nbytes < peak_rss_bytes()
