"""What thinking longer buys: the majority of several samples, at the cost of several samples."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from compress.core.cost import cost
from compress.core.errors import CompressError
from compress.core.profile import load_profile, priced
from compress.core.report import TargetFacts
from compress.core.voting import EqualCost, Voter, Voting
from compress.data.items import load_items
from compress.graph.session import GENAI
from compress.measure.host import detect_host, on_host
from compress.measure.noise import Usage, machine_noise
from compress.measure.voting import sample_in_turn
from compress.pipeline.again import refuse_mixed
from compress.pipeline.data import columns_of
from compress.pipeline.speed import threads_of
from compress.runtime.generate import load_decoder
from compress.stats.vote import NO_ANSWER, coverage, majority_accuracy, mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from compress.core.artifact import Progress
    from compress.core.profile import Profile
    from compress.core.settings import Settings
    from compress.data.items import Items
    from compress.measure.voting import Sampled, Sampling
    from compress.pipeline.subjects import Subject

QUESTIONS = "question-answer"
"""How data of questions with short answers is read."""


def vote(subjects: Sequence[Subject], settings: Settings, how: Sampling, *, progress: Progress) -> Voting:
    """Let decoders answer each question several times, in turn, and count what most samples say.

    Raises:
        CompressError: one is no decoder with a cache, the data has no answers, or a question is too long.
    """
    refuse_mixed(subjects)
    _refuse_others(subjects)
    items = _questions(settings)
    host = detect_host()
    named = load_profile(settings.target)
    paid = priced(named, watts=settings.watts, price_per_hour=settings.price_per_hour)
    profile = on_host(paid, host)
    writers = {one.name: load_decoder(one.folder, threads=threads_of(profile)) for one in subjects}
    before = Usage.now()
    with progress.track("sample answers", len(items)) as advance:
        sampled = sample_in_turn(writers, items.rows, how, advance=advance)
    noise = machine_noise(before, Usage.now(), ours=sum(one.seconds.sum() for one in sampled.values()))
    shares = {name: majority_accuracy(one.answers, one.right, seed=how.seed) for name, one in sampled.items()}
    return Voting(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        target=TargetFacts(profile=profile.name, host=host.describe(), measured=True),
        data={"source": items.source, "items": len(items), "columns": dict(items.columns)},
        settings=vars(how),
        voters=tuple(_voter(one, sampled[one.name], shares[one.name], profile) for one in subjects),
        equal_cost=tuple(_at_equal_cost(subjects, sampled, shares)),
        noise=noise,
    )


def _refuse_others(subjects: Sequence[Subject]) -> None:
    for one in subjects:
        if one.runtime != GENAI:
            message = (
                f"'{one.name}' does not generate: it runs on {one.runtime}, expected an artifact of a decoder"
            )
            hint = "publish the original too: compress run MODEL --recipe fp32 --allow-fp32"
            raise CompressError("task-unsupported", message, hint=hint)


def _questions(settings: Settings) -> Items:
    if settings.data is None:
        message = "no questions were given"
        raise CompressError(
            "data-needed", message, hint="pass --data FILE with a question and an answer a row"
        )
    items = load_items(
        settings.data,
        task=QUESTIONS,
        columns=columns_of(settings.column),
        offline=settings.offline,
        limit=settings.limit,
    )
    if not items.labelled:
        message = f"{items.source} has rows without an answer"
        raise CompressError("data-unlabelled", message, hint="name the column: --column answers=COLUMN")
    return items


def _voter(one: Subject, sampled: Sampled, shares: np.ndarray, profile: Profile) -> Voter:
    intervals = [mean_interval(shares[:, at]) for at in range(shares.shape[1])]
    seconds = float(sampled.seconds.mean())
    return Voter(
        name=one.name,
        size_bytes=one.size_bytes,
        seconds=seconds,
        tokens=float(sampled.tokens.mean()),
        answered=float((sampled.answers != NO_ANSWER).mean()),
        accuracy=tuple(mean for mean, _, _ in intervals),
        low=tuple(max(low, 0.0) for _, low, _ in intervals),
        high=tuple(min(high, 1.0) for _, _, high in intervals),
        any_right=tuple(float(value) for value in coverage(sampled.right).mean(axis=0)),
        cost=cost(
            "1,000 inferences", each_s=seconds, watts=profile.watts, price_per_hour=profile.price_per_hour
        ),
    )


def _at_equal_cost(
    subjects: Sequence[Subject], sampled: Mapping[str, Sampled], shares: Mapping[str, np.ndarray]
) -> list[EqualCost]:
    """For 1, 2, 4 ... samples of the first: what each other reaches in the same time, as far as it was
    sampled that often.
    """
    first, *others = (one.name for one in subjects)
    found = []
    for name in others:
        faster = sampled[first].seconds.sum() / sampled[name].seconds.sum()
        for count in counts(shares[first].shape[1]):
            samples = max(int(count * faster), 1)
            if samples > shares[name].shape[1]:
                break
            own, theirs = shares[name][:, samples - 1], shares[first][:, count - 1]
            gain, low, high = mean_interval(own - theirs)
            found.append(EqualCost(
                model=name, first_samples=count, samples=samples, first=float(theirs.mean()),
                accuracy=float(own.mean()), gain=gain, low=low, high=high,
            ))  # fmt: skip
    return found


def counts(most: int) -> list[int]:
    """1, 2, 4 ... and `most`."""
    powers = [2**power for power in range(most.bit_length()) if 2**power <= most]
    return sorted({*powers, most})
