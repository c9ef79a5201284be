"""The PyTorch baseline in a process of its own: `compress.measure.worker` over a checkpoint.

python -m compress.measure.torch_worker FOLDER --task T [--threads N]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from compress.measure.worker import serve
from compress.model.load import load_module

if TYPE_CHECKING:
    from compress.measure.worker import Call, Feeds, Prepare


def main() -> None:
    """Serve the checkpoint that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--task", required=True)
    parser.add_argument("--threads", type=int, default=0)
    words = parser.parse_args()
    if words.threads:
        torch.set_num_threads(words.threads)
    serve(lambda: _prepare(load_module(words.folder, words.task)))


def _prepare(module: torch.nn.Module) -> Prepare:
    def bound(feeds: Feeds) -> Call:
        tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}

        def call() -> object:
            with torch.inference_mode():
                return module(**tensors)

        return call

    return bound


if __name__ == "__main__":
    main()
