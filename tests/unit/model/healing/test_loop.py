"""The training on a small regression, where everything can be known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from compress.model.healing import loop
from compress.model.healing.batches import Batch
from compress.model.healing.loop import Healer, Schedule, take_fastest
from compress.model.healing.losses import Losses
from compress.model.healing.state import Run
from compress.model.healing.teacher import Teacher


class Body(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.weight = torch.nn.Parameter(torch.randn(6, 6))
        self.calls = 0
        self.config = SimpleNamespace(_attn_implementation="sdpa")

    def set_attn_implementation(self, kind):
        self.config._attn_implementation = kind

    def forward(self, values, return_dict):
        self.calls += 1
        return {"last_hidden_state": values @ self.weight}


def healer(work=None, *, steps=40, student=1, broken=False):
    generator = torch.Generator().manual_seed(0)
    feeds = [{"values": torch.randn(4, 3, 6, generator=generator)} for _ in range(6)]
    batches = [Batch(student=one, teacher=one) for one in feeds]
    if broken:
        wrong = torch.full((4, 3, 6), 50.0)
        batches = [Batch(student=one, teacher={"values": wrong}) for one in feeds[:5]] + batches[5:]
    return Healer(
        student=Body(student),
        teacher=Teacher(Body(0), batches=6, states=False), losses=Losses(), batches=batches[:5],
        held_out=batches[5:], schedule=Schedule(steps=steps, learning_rate=0.05), states=False, work=work,
    )  # fmt: skip


def test_the_student_learns():
    one = healer()
    told = []
    run = one.heal(told.append)
    assert run.step == sum(told) == 40
    assert run.least < 0.6 * run.curve[0][1]
    assert 10 <= len(run.curve) <= 14


@pytest.mark.parametrize("kept", [False, True])
def test_it_ends_in_its_best_state(kept, tmp_path):
    """Which stands on disk where there is a folder for it."""
    one = healer(tmp_path / "work" if kept else None, steps=15, broken=True, student=0)
    assert one.heal(lambda steps: None).least == pytest.approx(one._held_out_loss(), rel=1e-6)
    one = healer(tmp_path / "other" if kept else None)
    run = one.heal(lambda steps: None)
    assert one._held_out_loss() == pytest.approx(run.least, rel=1e-6)


def test_what_makes_it_worse_is_not_kept():
    one = healer(student=0, broken=True)
    before = one.student.weight.detach().clone()
    run = one.heal(lambda steps: None)
    assert run.stalled
    assert run.step < 40
    assert torch.equal(one.student.weight, before)


def test_the_same_steps_give_the_same_weights():
    first, second = healer(), healer()
    for one in (first, second):
        one.heal(lambda steps: None)
    assert torch.equal(first.student.weight, second.student.weight)


def test_a_killed_training_goes_on_to_the_same_end(tmp_path):
    whole = healer()
    whole.heal(lambda steps: None)

    class Killed(Exception):
        pass

    done = []

    def kill(steps):
        done.extend([1] * steps)
        if len(done) > 20:
            raise Killed

    with pytest.raises(Killed):
        healer(tmp_path / "work").heal(kill)
    again = healer(tmp_path / "work")
    run = again.heal(lambda steps: None)
    assert again.student.calls < whole.student.calls
    assert run.step == 40
    assert torch.equal(again.student.weight, whole.student.weight)


def test_the_teacher_is_asked_once_a_batch_where_its_answers_fit():
    one = healer()
    one.heal(lambda steps: None)
    assert one.teacher.asked == 6
    small = healer()
    small.teacher = Teacher(Body(0), batches=6, states=False, cache_bytes=100)
    small.heal(lambda steps: None)
    assert small.teacher.asked > 40


def test_answers_too_large_for_half_precision_are_kept_in_range():
    one = healer()
    batch = Batch(
        student={"values": torch.full((1, 1, 6), 1e6)}, teacher={"values": torch.full((1, 1, 6), 1e6)}
    )
    assert torch.isfinite(one.teacher(batch, number=99).hidden).all()


def test_the_learning_rate_rises_and_falls_to_zero():
    schedule = Schedule(seconds=100, learning_rate=1.0)
    rates = [schedule.rate(share / 100) for share in range(101)]
    assert max(rates) == pytest.approx(1, abs=0.03)
    assert rates.index(max(rates)) in (4, 5)
    assert rates[0] < 0.05
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert schedule.share(Run(seconds=50)) == 0.5


WAYS = (("sdpa", False), ("eager", False), ("sdpa", True), ("eager", True))


@pytest.mark.parametrize(
    ("seconds", "expected"), [((1.0, 0.7, 0.8, 0.5), WAYS[3]), ((1.0, 0.95, 0.92, 1.2), WAYS[0])]
)
def test_the_fastest_kind_of_step_is_taken_where_it_pays(monkeypatch, seconds, expected):
    one, known = healer(), dict(zip(WAYS, seconds, strict=True))
    monkeypatch.setattr(loop, "_step_seconds", lambda healer, kind, mixed: known[kind, mixed])
    take_fastest(one)
    assert (one.student.config._attn_implementation, one.schedule.bfloat16) == expected


@pytest.mark.parametrize("quiet", range(16))
def test_a_program_that_comes_meanwhile_decides_nothing(monkeypatch, quiet):
    one, known = healer(), dict(zip(WAYS, (1.0, 1.1, 0.8, 0.6), strict=True))
    slower = iter([1.0] * quiet + [5.0] * 16)
    monkeypatch.setattr(loop, "_step_seconds", lambda healer, kind, mixed: known[kind, mixed] * next(slower))
    take_fastest(one)
    assert (one.student.config._attn_implementation, one.schedule.bfloat16) == WAYS[3]


def test_to_look_for_it_teaches_nothing():
    one = healer()
    before = one.student.weight.detach().clone()
    take_fastest(one)
    assert torch.equal(one.student.weight, before)
    assert one.student.weight.grad is None
