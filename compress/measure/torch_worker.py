"""The PyTorch baseline in a process of its own: `compress.measure.worker` over a checkpoint.

python -m compress.measure.torch_worker FOLDER --task T [--threads N] [--dtype bfloat16]
"""

from __future__ import annotations

import argparse
import copy
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    words = parser.parse_args()
    if words.threads:
        torch.set_num_threads(words.threads)
    dtype = getattr(torch, words.dtype)
    serve(lambda: _prepare(load_module(words.folder, words.task, dtype=dtype)))


def _prepare(module: torch.nn.Module) -> Prepare:
    def bound(feeds: Feeds) -> Call:
        if "steps" in feeds:
            return _generating(module, torch.from_numpy(feeds["input_ids"]), int(feeds["steps"]))
        tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}

        def call() -> object:
            with torch.inference_mode():
                return module(**tensors)

        return call

    return bound


def _generating(module: torch.nn.Module, ids: torch.Tensor, steps: int) -> Call:
    """A call that reads the prompt `ids` (1, T) and chooses the first token after it, or, where `steps`
    may follow, one that chooses the next token from the cache; the cache is then cut back to the prompt.
    """
    last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(module.forward).parameters else {}

    def step(tokens: torch.Tensor, cache: Any) -> Any:
        with torch.inference_mode():
            return module(input_ids=tokens, past_key_values=cache, use_cache=True, **last)

    def chosen(outputs: Any) -> torch.Tensor:
        token: torch.Tensor = outputs.logits[:, -1:].argmax(dim=-1)  # (1, 1)
        return token

    if not steps:
        return lambda: chosen(step(ids, None))
    prompt = step(ids[:, :-1], None).past_key_values if ids.shape[1] > 1 else None
    state: dict[str, Any] = {"left": 0}

    def call() -> object:
        if not state["left"]:
            state.update(left=steps, token=ids[:, -1:], cache=copy.deepcopy(prompt))
        outputs = step(state["token"], state["cache"])
        state.update(left=state["left"] - 1, token=chosen(outputs), cache=outputs.past_key_values)
        return state["token"]

    return call


if __name__ == "__main__":
    main()
