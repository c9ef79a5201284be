"""What a run would do, decided and checked before any weight is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from compress.core.artifact import ArtifactKind
from compress.core.errors import CompressError
from compress.core.paths import refuse_existing, refuse_unwritable
from compress.core.preset import load_preset
from compress.core.profile import ModelKind, Profile, load_profile, load_recipe, priced
from compress.core.recipe import Recipe, Step
from compress.core.units import parse_duration_ms, parse_max_drop, parse_ratio, parse_size
from compress.measure.confinement import NO_LIMITS, Confinement, confinement_of
from compress.measure.host import Host, detect_host, differences, on_host
from compress.model.resolve import Model, locate
from compress.pipeline.cache import cache_folder
from compress.pipeline.extras import refuse_all_missing_extras
from compress.pipeline.gate import Budgets
from compress.pipeline.predict import predicted_bytes, unused_tensors
from compress.pipeline.remotely import on_device
from compress.pipeline.size_budget import within_size
from compress.pipeline.space import refuse_output
from compress.pipeline.steps import DECODER_EXPORT, EXPORT, check_chain, result_kind, with_export
from compress.pipeline.verdict import examined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compress.core.preset import Preset
    from compress.core.settings import Layered, Settings
    from compress.core.units import MaxDrop
    from compress.measure.remote import Device

_BUDGETS = ("max_drop", "min_speedup", "max_size", "max_latency", "max_memory")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a run needs to know; nothing in it has been measured."""

    model: Model
    profile: Profile
    recipes: tuple[Recipe, ...]
    """The candidates, each with its export written out."""
    chosen_by_user: bool
    """Whether the user named the recipe: then its errors are his, not a reason to try another."""
    budgets: Budgets
    prefer: Literal["speed", "size"]
    """What decides between candidates that are within the budgets."""
    settings: Layered
    out: Path
    host: Host
    differences: tuple[str, ...]
    """Why figures taken here are not the target's: then its speeds are estimated."""
    confinement: Confinement = NO_LIMITS
    """Limits under which they are taken here, where the target has less than this host."""
    device: Device | None = None
    """Where speed is measured, if not here."""

    @property
    def max_drop(self) -> MaxDrop:
        """The accuracy budget; there is always one."""
        assert self.budgets.max_drop is not None
        return self.budgets.max_drop

    @property
    def base(self) -> Recipe:
        """The second baseline: torch's own export, which ONNX Runtime optimizes as it always does."""
        export = DECODER_EXPORT if self.kind is ArtifactKind.GENAI else EXPORT
        return Recipe(name="plain export", steps=(Step(name=export),))

    @property
    def kind(self) -> ArtifactKind:
        """The kind of artifact that all candidates are."""
        return result_kind(self.recipes[0])


def make_plan(
    ref: str, settings: Layered, *, note: Callable[[str], None], device: Device | None = None
) -> Plan:
    """Resolve the model, the target and the recipes, and refuse what cannot work.

    Raises:
        CompressError: the model, a setting, a recipe or the output folder is not usable.
    """
    values = settings.values
    host = detect_host()
    named = _profile(values)
    profile = on_device(named, device) if device else on_host(named, host)
    preset = load_preset(values.preset) if values.preset else None
    budgets = _budgets(settings, profile, preset)
    out = Path(values.out or default_output(ref, profile.name))
    refuse_existing(out, replace=values.overwrite)
    refuse_unwritable(out)
    recipe = load_recipe(values.recipe) if values.recipe else None
    source = locate(ref, offline=values.offline, cache=cache_folder(), note=note)
    model = examined(source, task=values.task, cache=cache_folder(), note=note)
    recipes = (recipe,) if recipe else _candidates(profile, model, preset)
    decoder = model.kind is ModelKind.DECODER
    checked = tuple(
        within_size(with_export(one, decoder=decoder), budgets.max_size, model.config, model.sizes)
        for one in recipes
    )
    for one in checked:
        check_chain(one)
    refuse_all_missing_extras(checked)
    _refuse_mixed(checked)
    refuse_output(out, min(predicted_bytes(one, model.tensors) for one in checked))
    if device:
        checked = _for_devices(checked, model.kind)
    reasons = () if device else tuple(differences(profile, host))
    return Plan(
        model=model,
        profile=profile,
        recipes=checked,
        chosen_by_user=recipe is not None,
        budgets=_with_perplexity(budgets, settings, profile, preset, model),
        prefer=preset.prefer if preset else "speed",
        settings=settings,
        out=out,
        host=host,
        differences=reasons,
        confinement=NO_LIMITS if reasons or device else confinement_of(profile, host),
        device=device,
    )


def _for_devices(recipes: tuple[Recipe, ...], kind: ModelKind) -> tuple[Recipe, ...]:
    """The recipes whose results devices are sent: graphs for ONNX Runtime, without a cache."""
    fitting = tuple(one for one in recipes if one.runtime == "onnxruntime")
    if kind is ModelKind.DECODER or not fitting:
        what = "decoders" if kind is ModelKind.DECODER else f"results for {recipes[0].runtime}"
        message = f"{what} cannot be timed on a device"
        raise CompressError("remote-unsupported", message, hint="run without --remote, and bench there")
    return fitting


def default_output(ref: str, profile: str) -> str:
    """The folder that is written when none is named: the model's short name and the target."""
    name = Path(ref).resolve().name if Path(ref).exists() else ref.partition("@")[0].rpartition("/")[2]
    if name.lower().endswith(".gguf"):
        name = name[: -len(".gguf")]
    return f"{name or 'model'}-{Path(profile).stem}"


def _profile(values: Settings) -> Profile:
    return priced(load_profile(values.target), watts=values.watts, price_per_hour=values.price_per_hour)


def _refuse_mixed(recipes: Sequence[Recipe]) -> None:
    kinds = {result_kind(recipe): recipe.name for recipe in recipes}
    if len(kinds) > 1:
        found = ", ".join(f"'{name}' makes {kind}" for kind, name in kinds.items())
        message = f"recipes that are compared must make artifacts of one kind: {found}"
        raise CompressError("recipe-mixed", message, hint="change the profile's candidates")


def _candidates(profile: Profile, model: Model, preset: Preset | None) -> tuple[Recipe, ...]:
    names = (preset or profile).candidates.get(model.kind, ())
    recipes = tuple(load_recipe(name) for name in names)
    fitting = tuple(one for one in recipes if set(one.formats) <= set(profile.formats))
    if not fitting:
        message = f"profile '{profile.name}' has no recipe for a model of kind '{model.kind}'"
        raise CompressError("recipe-missing", message, hint="pass --recipe")
    return fitting


def _budgets(settings: Layered, profile: Profile, preset: Preset | None) -> Budgets:
    values: Settings = settings.values
    speedup = values.min_speedup or profile.budgets.min_speedup
    return Budgets(
        max_drop=parse_max_drop(values.max_drop or (preset or profile.budgets).max_drop),
        min_speedup=parse_ratio(str(speedup)) if speedup else None,
        max_size=parse_size(values.max_size) if values.max_size else None,
        max_latency_ms=parse_duration_ms(values.max_latency) if values.max_latency else None,
        max_memory=parse_size(values.max_memory) if values.max_memory else None,
        set_by_user=frozenset(name for name in _BUDGETS if settings.is_set(name)),
    )


def _with_perplexity(
    budgets: Budgets, settings: Layered, profile: Profile, preset: Preset | None, model: Model
) -> Budgets:
    """The budgets with the profile's own for perplexity, where that is what is judged and none is set."""
    values: Settings = settings.values
    judged = model.kind is ModelKind.DECODER and values.metric in (None, "perplexity")
    if values.max_drop or preset or not judged:
        return budgets
    return replace(budgets, max_drop=parse_max_drop(profile.budgets.max_perplexity))


def describe(plan: Plan, *, kept: Mapping[str, Mapping[str, float]] | None = None) -> dict[str, object]:
    """The plan as `compress plan --json` prints it. Sizes are predicted, marked `estimated`; `kept` are the
    shares of tensors that a recipe's own vocabulary leaves, by the recipe's name.
    """
    shares = kept or {}
    names = {recipe.name for recipe in plan.recipes}
    return {
        "model": {
            "ref": plan.model.ref,
            "task": plan.model.task,
            "kind": plan.model.kind.value,
            "parameters": plan.model.parameters,
            "digest": plan.model.digest,
        },
        "target": plan.profile.name,
        "measured": not plan.differences,
        "differences": list(plan.differences),
        "limits": list(plan.confinement.limits),
        "out": str(plan.out),
        "settings": {
            name: {"value": value, "origin": plan.settings.origins[name]}
            for name, value in plan.settings.values.model_dump().items()
        },
        "candidates": [
            {
                "name": recipe.name,
                "runtime": recipe.runtime,
                "steps": [{step.name: step.config} for step in recipe.steps],
                "estimated_bytes": predicted_bytes(
                    recipe,
                    plan.model.tensors,
                    config=plan.model.config,
                    sizes=plan.model.sizes,
                    kept=shares.get(recipe.name),
                    unused=unused_tensors(plan.model),
                ),
                "unless": [name for name in recipe.unless if name in names],
                "why": recipe.why,
            }
            for recipe in plan.recipes
        ],
        "baselines": ["torch fp32", f"onnxruntime fp32 ({plan.base.steps[0].name})"],
    }
