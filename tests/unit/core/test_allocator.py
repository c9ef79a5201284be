"""Memory of freed tensors goes back to the system in the processes that steps run in."""

import os
import subprocess
import sys

import pytest

from compress.core.allocator import VARIABLE, with_tuned_allocator

_FRAGMENTED = """
import gc, numpy as np, psutil, torch
rss = lambda: psutil.Process().memory_info().rss / 2**20
torch.ones(20 << 20, dtype=torch.uint8)  # freed: glibc would keep all up to this size in its heap from now on
before = rss()
kept = []
for _ in range(20):
    large = [torch.ones(8 << 20, dtype=torch.uint8) for _ in range(4)]
    kept.append(torch.ones(4096, dtype=torch.uint8))
    del large[::2], large
print(rss() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the tunables are glibc's")
def test_what_is_freed_between_small_tensors_is_given_back() -> None:
    def grown(environment: dict[str, str]) -> float:
        command = [sys.executable, "-c", _FRAGMENTED]
        return float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

    plain = {name: value for name, value in os.environ.items() if name != VARIABLE}
    assert grown(with_tuned_allocator(plain)) < 8 < grown(plain)


def test_what_the_user_set_stays() -> None:
    own = {VARIABLE: "glibc.malloc.hugetlb=0:glibc.malloc.arena_max=2", "HOME": "/"}
    found = with_tuned_allocator(own)
    assert found["HOME"] == "/"
    assert found[VARIABLE].startswith(own[VARIABLE] + ":")
    assert found[VARIABLE].count("hugetlb") == 1
    assert "mmap_threshold" in found[VARIABLE]
