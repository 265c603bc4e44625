"""CISPO, GSPO, REINFORCE and truncated weights against numbers worked out by hand and against finite differences."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentgym import loss

LOW, HIGH = 0.2, 0.28


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def slope(function, at: torch.Tensor) -> torch.Tensor:
    """Gradient by central differences, of a function that may stop gradients on its way."""
    steps = 1e-6 * torch.eye(len(at), dtype=at.dtype)
    return torch.stack([(function(at + h) - function(at - h)) / 2e-6 for h in steps])


def gradient(function, at: torch.Tensor) -> torch.Tensor:
    at = at.clone().requires_grad_()
    (found,) = torch.autograd.grad(function(at), at)
    return found


def test_cispo_by_hand():
    # Ratios 1.5, 0.5 and 1.1 with bounds 0.8 and 1.28 weigh 1.28, 0.8 and 1.1, whatever the sign of the advantage.
    new, old = t(0.6, 0.2, 0.55).log(), t(0.4, 0.4, 0.5).log()
    for advantage in (t(2, -2, 3), t(-2, 2, -3)):
        got = loss.cispo(new, old, advantage, LOW, HIGH)
        assert torch.allclose(got, -t(1.28, 0.8, 1.1) * advantage * t(0.6, 0.2, 0.55).log())
        assert torch.allclose(
            gradient(lambda x, a=advantage: loss.cispo(x, old, a, LOW, HIGH).sum(), new), -t(1.28, 0.8, 1.1) * advantage
        )


def test_cispo_has_the_gradient_of_the_ratio_inside_and_of_a_bounded_weight_outside():
    old, advantage = t(-1.0, -1.0, -1.0), t(2, -1, 3)
    inside, beyond = t(-0.9, -1.1, -1.0), t(0.0, -2.0, -0.5)
    found = gradient(lambda x: loss.cispo(x, old, advantage, LOW, HIGH).sum(), inside)
    assert torch.allclose(found, slope(lambda x: -((x - old).exp() * advantage).sum(), inside))
    # There the weight is constant: the loss itself may be differenced.
    found = gradient(lambda x: loss.cispo(x, old, advantage, LOW, HIGH).sum(), beyond)
    assert torch.allclose(found, slope(lambda x: loss.cispo(x, old, advantage, LOW, HIGH).sum(), beyond))
    assert (found != 0).all(), "no token loses its gradient"


def test_without_a_lower_bound_cispo_weighs_unlikely_tokens_as_they_are():
    found = gradient(lambda x: loss.cispo(x, t(0), t(1), 1.0, HIGH).sum(), t(0.01).log())
    assert found.item() == pytest.approx(-0.01)


# Two units: tokens 0 to 2, tokens 3 and 4. Mean log ratios ln(1.21) / 3 and ln(0.5).
NEW, OLD, UNIT = t(0.55, 0.44, 0.3, 0.2, 0.1).log(), t(0.5, 0.4, 0.3, 0.4, 0.2).log(), torch.tensor([0, 0, 0, 7, 7])


def test_sequence_ratio_by_hand():
    s = 1.21 ** (1 / 3)
    assert torch.allclose(loss.unit_log_ratio(NEW, OLD, UNIT).exp(), t(s, s, s, 0.5, 0.5))
    advantage = t(2, 2, 2, -1, -1)
    got = loss.sequence_surrogate(NEW, OLD, advantage, UNIT, LOW, HIGH)
    assert torch.allclose(got, t(-2 * s, -2 * s, -2 * s, 0.8, 0.8))  # The second is clipped: 0.5 < 0.8 and A < 0.
    got = loss.sequence_surrogate(NEW, OLD, advantage, UNIT, LOW, 0.05)
    assert torch.allclose(got[:3], t(-2.1, -2.1, -2.1))


@pytest.mark.parametrize("advantages", [(2.0, -1.0), (-2.0, 1.0), (2.0, 1.0), (-2.0, -1.0)])
@pytest.mark.parametrize("high", [0.28, 0.05])
def test_sequence_surrogate_has_the_gradient_of_the_sequences_own_ratio(advantages, high):
    first, second = advantages

    def ours(x):
        values = loss.sequence_surrogate(x, OLD, t(first, first, first, second, second), UNIT, LOW, high)
        return values[:3].mean() + values[3:].mean()

    def papers(x):
        # GSPO as its paper writes it: one ratio a sequence, nothing stopped.
        s = torch.stack([(x - OLD)[:3].mean().exp(), (x - OLD)[3:].mean().exp()])
        return -torch.minimum(s * t(*advantages), s.clamp(1 - LOW, 1 + high) * t(*advantages)).sum()

    assert ours(NEW).item() == pytest.approx(papers(NEW).item())
    assert torch.allclose(gradient(ours, NEW), slope(papers, NEW), atol=1e-8)


def test_tokens_of_a_sequence_may_differ_in_advantage():
    advantage = t(1, -1, 0, 2, 3)
    found = gradient(lambda x: loss.sequence_surrogate(x, OLD, advantage, UNIT, LOW, HIGH).sum(), NEW)
    s = 1.21 ** (1 / 3)
    assert torch.allclose(found, -t(s, s, s, 0.5, 0.5) * advantage)


def test_units_need_not_lie_together_and_one_token_is_its_own_ratio():
    order = torch.tensor([3, 0, 4, 2, 1])
    expected = loss.unit_log_ratio(NEW, OLD, UNIT)[order]
    assert torch.allclose(loss.unit_log_ratio(NEW[order], OLD[order], UNIT[order]), expected)
    assert torch.allclose(loss.unit_log_ratio(NEW, OLD, torch.arange(5)), NEW - OLD)


def test_reinforce_by_hand_and_by_finite_differences():
    new, advantage = t(-0.5, -2.0), t(3, -1)
    assert loss.reinforce(new, advantage).tolist() == [1.5, -2.0]
    assert torch.autograd.gradcheck(lambda x: loss.reinforce(x, advantage), (new.requires_grad_(),))


def test_truncated_weights_by_hand():
    new, old = t(0.6, 0.2, 0.9).log().requires_grad_(), t(0.4, 0.4, 0.1).log()
    weight = loss.truncated_weight(new, old, 2.0)
    assert torch.allclose(weight, t(1.5, 0.5, 2.0))
    assert not weight.requires_grad


def test_weighted_reinforce_is_the_exact_policy_gradient_and_a_cap_makes_it_smaller():
    logits, score = t(0.3, -0.2, 1.0, 0.0), t(1.0, -2.0, 0.5, 3.0)
    sampler = t(0.1, 0.2, 0.3, 0.4)
    exact = gradient(lambda x: -(torch.softmax(x, 0) * score).sum(), logits)

    def weighted(cap):
        def expected(x):  # Over tokens drawn by the sampler, of which each is seen as often as it is likely.
            logp = torch.log_softmax(x, 0)
            weight = loss.truncated_weight(logp.detach(), sampler.log(), cap)
            return (sampler * weight * loss.reinforce(logp, score)).sum()

        return gradient(expected, logits)

    assert torch.allclose(weighted(100.0), exact)
    assert not torch.allclose(weighted(1.0), exact, rtol=0.05)


def test_effective_sample_share_by_hand():
    assert loss.effective_sample_share(1.0, 1.0) == 1.0
    # Weights 3, 1, 0, 0: (4)^2 / (4 * 10).
    assert loss.effective_sample_share(1.0, 2.5) == pytest.approx(0.4)
    assert math.isnan(loss.effective_sample_share(math.nan, math.nan))
    assert loss.effective_sample_share(1.0, 1.0 - 1e-9) == 1.0, "rounding lifts it above 1 nowhere"


TOKENS = st.lists(st.tuples(st.floats(-8, -0.01), st.floats(-5, 5), st.integers(0, 3)), min_size=1, max_size=20)


@given(TOKENS)
def test_all_policy_losses_have_one_gradient_where_nothing_has_moved(tokens):
    new, advantage = t(*(a for a, _, _ in tokens)), t(*(b for _, b, _ in tokens))
    unit = torch.tensor([c for _, _, c in tokens])
    for each in (
        lambda x: loss.clipped_surrogate(x, new, advantage, LOW, HIGH),
        lambda x: loss.cispo(x, new, advantage, LOW, HIGH),
        lambda x: loss.sequence_surrogate(x, new, advantage, unit, LOW, HIGH),
        lambda x: loss.reinforce(x, advantage),
    ):
        assert torch.allclose(gradient(lambda x, f=each: f(x).sum(), new), -advantage)


@given(TOKENS, st.floats(-1e6, 1e6))
def test_no_ratio_overflows(tokens, away):
    new, advantage = t(*(a for a, _, _ in tokens)), t(*(b for _, b, _ in tokens))
    unit, old = torch.tensor([c for _, _, c in tokens]), t(*(a for a, _, _ in tokens)) + away
    for value in (
        loss.cispo(new, old, advantage, LOW, HIGH),
        loss.sequence_surrogate(new, old, advantage, unit, LOW, HIGH),
        loss.truncated_weight(new, old, 2.0),
        *(loss.kl_estimate(form, new, old) for form in ("k1", "k2", "k3")),
    ):
        assert torch.isfinite(value).all()
