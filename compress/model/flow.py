"""Hidden states on their way from block to block, and what of a walk is finished already.

In the work folder `hidden-00003.bin` is what enters block 3 and `block-00003.safetensors` says that it is
finished. Each is renamed to its place when it is whole, the block after the states that it hands on and
before those it took are removed: whenever a run is killed, the next one finds where to go on, and computes
from the same bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from compress.core.seal import remove_resume_point, resume_point
from compress.model.activations import Activations, written_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np

    from compress.model.walk import BlockWalk


def hand_on(walk: BlockWalk, index: int, entering: Activations, leaving: Activations, *, count: int) -> None:
    """Run what enters a loaded block of `walk` through it, `count` windows one by one."""
    with walk.computing():
        for number in range(count):
            leaving.write(number, walk.run(index, entering.read(number)))


class BlockFlow:
    """The windows of token ids, int64 (count, T), on their way through `walk`, with files in `work`."""

    def __init__(self, walk: BlockWalk, windows: np.ndarray, work: Path) -> None:
        self.walk, self.windows, self.work = walk, windows, work
        work.mkdir(parents=True, exist_ok=True)

    def start(self) -> int:
        """Learn how blocks are called, embed the windows, and return how many blocks are finished."""
        done = next(i for i in range(self.walk.count + 1) if not self.block_file(i).exists())
        if not self._hidden(done).exists():  # somebody removed it
            done = 0
        with self.walk.outer():
            self.walk.learn(self.windows)
            if not done:
                with self._new(self._hidden(0)) as entering:
                    for number in range(len(self.windows)):
                        entering.write(number, self.walk.embed(self.windows[number : number + 1]))
        return done

    def block_file(self, index: int) -> Path:
        """Where the finished block is."""
        return self.work / f"block-{index:05}.safetensors"

    def entering(self, index: int) -> Activations:
        """What enters a block (with `walk.count`: what leaves the last)."""
        count, length = self.windows.shape
        return Activations(self._hidden(index), count=count, length=length)

    def finish(self, index: int, write: Callable[[Path], None]) -> None:
        """Run the windows through a loaded block as it is now, and let `write` store the block."""
        with self.entering(index) as entering, self._new(self._hidden(index + 1)) as leaving:
            hand_on(self.walk, index, entering, leaving, count=len(self.windows))
        with resume_point(self.block_file(index)) as part:
            write(part)
        remove_resume_point(self._hidden(index))

    def note(self, part: str, facts: Mapping[str, Mapping[str, object]]) -> None:
        """Keep what is worth knowing of a part's matrices, by name."""
        with resume_point(self.work / f"{part}.json") as path:
            path.write_text(json.dumps(facts), encoding="utf8")

    def _hidden(self, index: int) -> Path:
        return self.work / f"hidden-{index:05}.bin"

    def _new(self, path: Path) -> AbstractContextManager[Activations]:
        count, length = self.windows.shape
        return written_whole(path, count=count, length=length)
