"""How glibc's allocator is to give memory back, for processes that walk through a model a block at a time.

Left alone it raises the size from which an allocation is a mapping of its own to 32 MiB as tensors are
freed, and keeps what is smaller in heaps that fragment: the resident memory of a walk through a model's
blocks grew by a matrix's size a block. With mappings from 1 MiB it stays flat, and huge pages make up for
their page faults (a Llama of 12 blocks of hidden size 1536 through `quantize.gptq`: peak 1,973 -> 1,485 MiB,
and 80 -> 76 CPU seconds). What trains, and needs tensors of the same sizes at each step, is slower with it: a
step of `heal.distill` 2.5 -> 3.9 s, `prune.ffn` on 8 x 256 tokens 13 -> 22 s (SmolLM2-135M). Other C
libraries ignore the variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "GLIBC_TUNABLES"
_TUNABLES = {"glibc.malloc.mmap_threshold": str(1 << 20), "glibc.malloc.hugetlb": "1"}


def with_tuned_allocator(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process to start; what the user set of the allocator's tunables stays."""
    own = environment.get(VARIABLE, "")
    known = {item.partition("=")[0] for item in own.split(":")}
    added = [f"{name}={value}" for name, value in _TUNABLES.items() if name not in known]
    return {**environment, VARIABLE: ":".join([own, *added] if own else added)}
