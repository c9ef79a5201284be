"""A checkpoint as the PyTorch module that its users run, in fp32, with every weight accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError
from compress.model.account import needed_weights, take_account
from compress.model.complete import refuse_incomplete, refuse_mismatched, refuse_unknown
from compress.model.empty import unbuildable
from compress.model.parts import running_part
from compress.model.quiet import quiet_transformers
from compress.model.safety import read_headers, read_json, weight_files
from compress.model.structure.widths import apply_widths, read_widths
from compress.model.tasks import model_class

if TYPE_CHECKING:
    from pathlib import Path


def load_module(folder: Path, task: str, *, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """The module of a checkpoint for `task`, in evaluation mode; of an encoder-decoder model under
    `feature-extraction` the encoder alone.

    Raises:
        CompressError: weights are missing, not finite or of another shape than the configuration's.
    """
    return running_part(load_whole(folder, task, dtype=dtype), task)


def load_whole(folder: Path, task: str, *, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """The same with all parts that the checkpoint has, as it is saved again.

    Raises:
        CompressError: as `load_module` does.
    """
    config = read_json(folder / "config.json", code="config-missing")
    refuse_not_finite(folder)
    with quiet_transformers():
        return _loaded(_cut(model_class(task, config), folder), folder, task, {"dtype": dtype}).eval()


def empty_module(folder: Path, task: str, *, buffers: bool = False) -> torch.nn.Module:
    """The module of `load_module` without weights (on the meta device): its structure, for planning.

    With `buffers`, what a module computes when it is made and no checkpoint holds (frequencies of rotary
    positions, masks) is there, so that parts whose weights are loaded later can run.

    Raises:
        CompressError: the configuration does not make a model.
    """
    return running_part(empty_whole(folder, task, buffers=buffers), task)


def empty_whole(folder: Path, task: str, *, buffers: bool = False) -> torch.nn.Module:
    """Build the module of `load_whole` without weights, as `empty_module` does.

    Raises:
        CompressError: the configuration does not make a model.
    """
    config = read_json(folder / "config.json", code="config-missing")
    module: torch.nn.Module = _skeleton(folder, task, config, buffers=buffers)
    return module


def experts_apart(config: Any) -> None:
    """Have a mixture's experts computed one after the other, each on its own tokens: products that can be
    told apart. Grouped ones want all weights of a layer in memory, side by side.
    """
    config._experts_implementation = "eager"


def load_state(folder: Path, task: str, tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The module of the configuration in `folder` with the weights of a state dict, by the names of a
    checkpoint, fp32, in evaluation mode.

    Raises:
        CompressError: weights are missing or of another shape than the configuration's.
    """
    config = read_json(folder / "config.json", code="config-missing")
    skeleton = _skeleton(folder, task, config)
    with quiet_transformers():
        given = {"config": skeleton.config, "state_dict": tensors}
        return running_part(_loaded(_cut(type(skeleton), folder), None, task, given), task).eval()


def _skeleton(folder: Path, task: str, config: dict[str, Any], *, buffers: bool = False) -> Any:
    import transformers
    from accelerate import init_empty_weights

    try:
        with quiet_transformers(), init_empty_weights(include_buffers=not buffers):
            written = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
            kind = model_class(task, config)
            make = kind.from_config if hasattr(kind, "from_config") else kind._from_config
            module = make(written)
            apply_widths(module, read_widths(folder))
            return module
    except CompressError:
        raise
    except Exception as error:  # transformers raises whatever its model classes raise
        raise unbuildable(error) from error


def _loaded(kind: Any, folder: Path | None, task: str, given: dict[str, Any]) -> torch.nn.Module:
    try:
        module, info = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # reported in `info`, and refused by name below
            output_loading_info=True,
            **{"dtype": torch.float32, **given},
        )
    except CompressError:
        raise
    except Exception as error:  # transformers raises whatever its model classes raise
        raise unbuildable(error) from error
    names = given["state_dict"] if folder is None else read_headers(folder)
    misshapen = {name for name, *_ in info.get("mismatched_keys") or ()}
    refuse_incomplete(module, task, needed_weights(module, set(info["missing_keys"]) - misshapen))
    unused = take_account(module, names).unused
    refuse_unknown(module, unused, body_alone=task == "feature-extraction")
    refuse_mismatched(info.get("mismatched_keys") or ())
    module.__class__ = getattr(module, _UNCUT, type(module))
    return module


_UNCUT = "uncut_class"


def _cut(kind: Any, folder: Path) -> Any:
    """The class of a model, built to the widths of a checkpoint before it takes its weights."""
    import transformers

    widths = read_widths(folder)
    if not len(widths):
        return kind
    if hasattr(kind, "_model_mapping"):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        found = kind._model_mapping[type(config)]
        kind = found[0] if isinstance(found, tuple) else found

    def build(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        kind.__init__(self, config, *args, **kwargs)
        apply_widths(self, widths)

    body = {"__init__": build, _UNCUT: kind, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), body)


def refuse_not_finite(folder: Path) -> None:
    """Look at every weight once, one tensor in memory at a time.

    Raises:
        CompressError: a tensor holds NaN or infinity.
    """
    from safetensors import safe_open

    for path in weight_files(folder):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (not a mapping)
                tensor = tensors.get_tensor(name)
                if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
                    message = f"{path.name}: '{name}' holds NaN or infinity"
                    hint = "the checkpoint is damaged, or diverged in training"
                    raise CompressError("weights-not-finite", message, hint=hint)
