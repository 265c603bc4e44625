"""Losses against numbers worked out by hand, and gradients against finite differences."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentgym import loss


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_clipped_surrogate_by_hand():
    # Ratios 1.5, 1.5, 0.5, 0.5, 1.1 with bounds 0.8 and 1.28.
    new, old = t(1.5, 1.5, 0.5, 0.5, 1.1).log(), t(1, 1, 1, 1, 1).log()
    advantage = t(2, -2, 2, -2, 3)
    got = loss.clipped_surrogate(new, old, advantage, 0.2, 0.28)
    assert torch.allclose(got, t(-1.28 * 2, 1.5 * 2, -0.5 * 2, 0.8 * 2, -1.1 * 3))
    assert loss.clipped(new, old, advantage, 0.2, 0.28).tolist() == [True, False, False, True, False]


def test_gradient_is_that_of_the_policy_gradient_inside_the_clip_and_zero_where_clipped():
    new = t(1.5, 0.9, 0.5).log().requires_grad_()
    loss.clipped_surrogate(new, t(0, 0, 0), t(2, 2, -2), 0.2, 0.28).sum().backward()
    assert torch.allclose(new.grad, t(0, -0.9 * 2, 0))


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_gradients_by_finite_differences(advantage):
    new = t(-1.0, -2.0, -0.3).requires_grad_()
    old, reference = t(-1.05, -1.0, -0.4), t(-1.3, -1.9, -0.2)
    assert torch.autograd.gradcheck(
        lambda x: loss.clipped_surrogate(x, old, torch.full_like(old, advantage), 0.2, 0.28), (new,)
    )
    assert torch.autograd.gradcheck(lambda x: loss.kl_k3(x, reference), (new,))


def test_kl_by_hand_and_in_expectation():
    q = 0.5 / 0.25
    assert loss.kl_k3(t(0.25).log(), t(0.5).log()).item() == pytest.approx(q - math.log(q) - 1)
    pi, ref = t(0.2, 0.3, 0.5), t(0.4, 0.4, 0.2)
    exact = (pi * (pi.log() - ref.log())).sum()
    assert (pi * loss.kl_k3(pi.log(), ref.log())).sum().item() == pytest.approx(exact.item())


def test_ratios_never_overflow():
    got = loss.clipped_surrogate(t(0.0), t(-1e6), t(-1.0), 0.2, 0.28)
    assert torch.isfinite(got).all()


def test_mismatch_by_hand():
    got = loss.mismatch(t(-1.0, -2.0), t(-1.5, -1.0))
    assert got["logprob_diff"].tolist() == [0.5, 1.0]
    assert got["ratio"].tolist() == pytest.approx([math.exp(0.5), math.exp(-1)])
    assert got["kl"].tolist() == pytest.approx([math.exp(0.5) - 1.5, math.exp(-1)])


def test_token_weights_by_hand():
    # Sequence 0 has turns of 2 and 1 tokens, sequence 1 one turn of 1 token.
    sequence, unit = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 2])
    totals = loss.Totals(tokens=4, sequences=2, turns=3)

    def weights(how, constant=None):
        return loss.token_weights(how, sequence, unit, totals, constant).tolist()

    assert weights("token") == [0.25] * 4
    assert weights("sequence") == pytest.approx([1 / 6] * 3 + [1 / 2])
    assert weights("turn") == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3])
    assert weights("constant") == [0.5] * 4
    assert weights("constant", 10) == pytest.approx([0.05] * 4)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40))
def test_weights_of_a_mean_add_up_to_one(tokens):
    sequence = torch.tensor([s for s, _ in tokens])
    unit = torch.tensor([4 * s + u for s, u in tokens])
    totals = loss.Totals(len(tokens), len(set(sequence.tolist())), len(set(unit.tolist())))
    for how in ("token", "sequence", "turn"):
        assert float(loss.token_weights(how, sequence, unit, totals).sum()) == pytest.approx(1, abs=1e-5)
