"""The three KL estimates: value and gradient in expectation, by summing over a whole small distribution."""

import math

import pytest
import torch

from agentgym import loss

LOGITS = torch.tensor([0.4, -0.3, 1.1, 0.0], dtype=torch.float64)
REFERENCE = torch.log_softmax(torch.tensor([0.0, 0.5, 0.2, -1.0], dtype=torch.float64), 0)


def gradient(function) -> torch.Tensor:
    logits = LOGITS.clone().requires_grad_()
    (found,) = torch.autograd.grad(function(torch.log_softmax(logits, 0)), logits)
    return found


def forward(logp: torch.Tensor) -> torch.Tensor:
    """KL(pi, ref)."""
    return (logp.exp() * (logp - REFERENCE)).sum()


def backward(logp: torch.Tensor) -> torch.Tensor:
    """KL(ref, pi)."""
    return (REFERENCE.exp() * (REFERENCE - logp)).sum()


def as_loss(form):
    return gradient(lambda logp: (logp.exp().detach() * loss.kl_estimate(form, logp, REFERENCE)).sum())


def as_penalty(form):
    def expected(logp):
        penalty = loss.kl_estimate(form, logp, REFERENCE).detach()
        return (logp.exp().detach() * loss.reinforce(logp, -penalty)).sum()

    return gradient(expected)


def test_values_by_hand():
    new, reference = torch.tensor(0.5).log(), torch.tensor(0.25).log()
    assert loss.kl_k1(new, reference).item() == pytest.approx(math.log(2))
    assert loss.kl_k2(new, reference).item() == pytest.approx(math.log(2) ** 2 / 2)
    assert loss.kl_k3(new, reference).item() == pytest.approx(0.5 + math.log(2) - 1)
    assert loss.kl_estimate("k1", reference, new).item() == pytest.approx(-math.log(2))


@pytest.mark.parametrize("form", ["k1", "k3"])
def test_two_of_them_are_unbiased(form):
    logp = torch.log_softmax(LOGITS, 0)
    mean = (logp.exp() * loss.kl_estimate(form, logp, REFERENCE)).sum()
    assert mean.item() == pytest.approx(forward(logp).item())


def test_as_a_loss():
    assert torch.allclose(as_loss("k1"), torch.zeros(4, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(as_loss("k2"), gradient(forward))
    assert torch.allclose(as_loss("k3"), gradient(backward))


def test_as_a_penalty():
    assert torch.allclose(as_penalty("k1"), gradient(forward))
    assert torch.allclose(as_penalty("k3"), gradient(forward) - gradient(backward))


def test_k2_as_a_loss_is_k1_as_a_penalty_token_by_token():
    logp = torch.log_softmax(LOGITS, 0).requires_grad_()
    (by_loss,) = torch.autograd.grad(loss.kl_k2(logp, REFERENCE).sum(), logp)
    (by_penalty,) = torch.autograd.grad(loss.reinforce(logp, -loss.kl_k1(logp, REFERENCE).detach()).sum(), logp)
    assert torch.allclose(by_loss, by_penalty)


@pytest.mark.parametrize("form", ["k1", "k2", "k3"])
def test_gradients_by_finite_differences(form):
    logp = torch.log_softmax(LOGITS, 0).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss.kl_estimate(form, x, REFERENCE), (logp,))
