"""Checks of lesson 06."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from mpkit.data.one_shot import SELF_SHARE, TRAINING_FRAMES, training_pairs


def check_1(gan_turn) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        judge = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        real, start = torch.rand(4, 3), torch.rand(2, 3)
        wanted_fake, wanted_judge = start.clone().requires_grad_(), copy.deepcopy(judge)
        _turn(wanted_fake, wanted_judge, real, *_optimizers(wanted_fake, wanted_judge))
        fake, learned = start.clone().requires_grad_(), copy.deepcopy(judge)
        gan_turn(fake, learned, real, *_optimizers(fake, learned))
        assert not torch.equal(fake, start), "the fake did not move: its gradient comes from the scores, through D"
        step = wanted_fake.detach() - start
        assert not torch.allclose(fake - start, -step, atol=1e-6), "the fake moved the wrong way: it wants high scores"
        late_fake, late_judge = start.clone().requires_grad_(), copy.deepcopy(judge)
        _turn(late_fake, late_judge, real, *_optimizers(late_fake, late_judge), judge_first=True)
        assert not torch.allclose(fake, late_fake, atol=1e-6), "D took its step first: the generator's step comes first"
        assert torch.allclose(fake, wanted_fake, atol=1e-6), "the fake moved by another step than for_fake's one"
        moved = [not torch.equal(a, b) for a, b in zip(learned.parameters(), judge.parameters())]
        assert any(moved), "D did not learn"
        pairs = zip(learned.parameters(), wanted_judge.parameters())
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs), (
            "D's step is another one: zero its gradient AFTER the generator's backward pass, and let it judge the "
            "fake that has moved"
        )
        assert torch.allclose(fake.grad, wanted_fake.grad, atol=1e-6), "D's loss reached the fake: detach it there"


def check_2(still_pairs) -> None:
    for renders, share in ((list(TRAINING_FRAMES), SELF_SHARE), ([3, 7, 9], 0.25), ([1], 0.5)):
        answer = still_pairs(renders, share)
        assert answer is not None, "there is no answer yet"
        pairs = [tuple(pair) for pair in answer]
        assert not any(a and b for a, b in pairs), "one side of each pair is the real picture, frame 0"
        for frame in renders:
            assert (frame, 0) in pairs, "the render as source and the real picture as driver is missing"
            assert (0, frame) in pairs, "the real picture as source and the render as driver is missing"
        own, wanted = pairs.count((0, 0)), round(2 * len(renders) * share / (1 - share))
        assert own != round(2 * len(renders) * share) or own == wanted, (
            "`share` is of ALL pairs, those of the picture with itself included"
        )
        assert own == wanted, f"for {len(renders)} renders and share {share}, (0, 0) is there {own} times"
        assert len(pairs) == 2 * len(renders) + wanted, "each render belongs there once in each direction"
    assert sorted(still_pairs(list(TRAINING_FRAMES), SELF_SHARE)) == sorted(training_pairs())


def _optimizers(fake, judge) -> tuple:
    return torch.optim.SGD([fake], 0.1), torch.optim.SGD(judge.parameters(), 0.1)


def _turn(fake, judge, real, for_fake, for_judge, judge_first: bool = False) -> None:
    def fake_step():
        for_fake.zero_grad()
        (-judge(fake).mean()).backward()
        for_fake.step()

    def judge_step():
        for_judge.zero_grad()
        (F.relu(1 - judge(real)).mean() + F.relu(1 + judge(fake.detach())).mean()).backward()
        for_judge.step()

    for step in (judge_step, fake_step) if judge_first else (fake_step, judge_step):
        step()
