"""Target profiles: what a machine has, what it runs fast, and what is tried on it by default."""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from compress.core.config import Frozen, parse
from compress.core.errors import CompressError, did_you_mean
from compress.core.recipe import Recipe, read_recipe
from compress.core.yaml_files import read_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence


class ModelKind(StrEnum):
    """The families of models that ask for different steps and different inputs."""

    ENCODER = "encoder"
    DECODER = "decoder"
    VISION = "vision"
    CONVNET = "convnet"
    AUDIO = "audio"


class Workload(Frozen):
    """One input shape that is timed. `length` counts tokens, and is ignored where inputs are images
    or sound, whose size the processor's configuration sets.
    """

    batch: int = Field(gt=0)
    length: int = Field(default=128, gt=0)


class DefaultBudgets(Frozen):
    """Budgets that hold where the user sets none (written as the flags are: `1%`, `0.5pt`)."""

    max_drop: str
    max_perplexity: str = "1.05x"
    """Where accuracy is the perplexity of a decoder, whose percents weigh less than points of a task."""
    min_speedup: float | None = None


class Profile(Frozen):
    """A target, as `profiles/NAME.yaml` describes it. Figures without a unit in their name: GB/s
    are 1e9 bytes a second, GOP/s are 1e9 multiply-or-add operations a second, memory is in GiB.
    """

    name: str
    description: str
    device: str = "cpu"
    execution_provider: str = "CPUExecutionProvider"
    isa: tuple[str, ...] = ()
    """Instruction sets a host must have for figures taken on it to be measured, not estimated."""
    isa_absent: tuple[str, ...] = ()
    """Instruction sets the target lacks and a runtime would use: a host that has one runs other kernels,
    so that figures taken on it are not the target's."""
    architecture: str | None = None
    """`x86_64` or `aarch64`; None: whatever this host is."""
    cores: int | None = None
    threads: int | None = None
    """Threads that compute, where they are fewer than the cores."""
    memory_gib: float | None = None
    bandwidth_gb_s: float | None = None
    peak_gop_s: dict[str, float] = Field(default_factory=dict)
    """Peak throughput by dtype (`fp32`, `int8`), for the roofline."""
    formats: tuple[str, ...] = ("fp32", "int8")
    """Numeric formats with kernels of their own there: `fp32`, `fp16`, `bf16`, `int8`, `int4`."""
    int8_saturates: bool | None = None
    """True where U8S8 products are summed in 16 bits (AVX2 and AVX512 without VNNI), so that
    weights must stay within 7 bits (`reduce_range`). None: read from the host."""
    watts: float | None = None
    price_per_hour: float | None = None
    workloads: dict[str, Workload] = Field(
        default_factory=lambda: {
            "latency": Workload(batch=1),
            "throughput": Workload(batch=32),
        }
    )
    budgets: DefaultBudgets = DefaultBudgets(max_drop="1%")
    candidates: dict[ModelKind, tuple[str, ...]] = Field(default_factory=dict)
    """The names of the recipes that are tried by default, by kind of model."""


def priced(profile: Profile, *, watts: float | None, price_per_hour: float | None) -> Profile:
    """The profile with what its user knows better of the machine."""
    known = {"watts": watts, "price_per_hour": price_per_hour}
    return profile.model_copy(update={key: value for key, value in known.items() if value is not None})


def profile_names() -> list[str]:
    """The profiles that ship with the tool."""
    return sorted(path.stem for path in profiles_folder().glob("*.yaml"))


def recipe_names() -> list[str]:
    """The recipes that ship with the tool."""
    return sorted(path.stem for path in (profiles_folder() / "recipes").glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """Read a profile by name, or from a path that ends in `.yaml`.

    Raises:
        CompressError: there is none of that name, or the file is not a profile.
    """
    path = found_file(name, known=profile_names(), folder=profiles_folder(), what="profile")
    values = read_yaml(path, code="profile-invalid")
    return parse(Profile, values, code="profile-invalid", where=str(path))


def load_recipe(name: str) -> Recipe:
    """Read a recipe by name, or from a path that ends in `.yaml`.

    Raises:
        CompressError: there is none of that name, or the file is not a recipe.
    """
    folder = profiles_folder() / "recipes"
    return read_recipe(found_file(name, known=recipe_names(), folder=folder, what="recipe"))


def found_file(name: str, *, known: Sequence[str], folder: Path, what: str) -> Path:
    """The file of a shipped `what` by its name, or a path that ends in `.yaml` as it is.

    Raises:
        CompressError: none of that name ships with the tool.
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name not in known:
        raise CompressError(f"{what}-unknown", f"no {what} '{name}'", hint=did_you_mean(name, known))
    return folder / f"{name}.yaml"


def profiles_folder() -> Path:
    """`profiles/` inside the wheel, or beside the package in a checkout."""
    shipped = Path(str(files("compress") / "profiles"))
    return shipped if shipped.is_dir() else Path(__file__).parents[2] / "profiles"
