"""Every loss by name through the learner, and the distance between learner and sampler that each step reports."""

import math

import numpy as np
import pytest
import torch
from learning_cases import make_batch, tiny_model

from agentgym.batch import Packed, pack
from agentgym.config import parse
from agentgym.errors import ConfigError
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig
from agentgym.recipe import TrainerConfig

LOSSES = ("clip", "cispo", "gspo", "gspo-turn", "reinforce")


def replaced(p: Packed, **columns: torch.Tensor) -> Packed:
    return Packed(**{**p.__dict__, **columns})


def sampled_by(model, packs: list[Packed], away) -> list[Packed]:
    """The packs as if a sampler had written them whose log-probabilities are the learner's less `away`."""
    learner = Learner(model, LearnerConfig())
    own = [learner.logprobs(p)[0].detach() for p in packs]
    return [replaced(p, logprob=o - away(o)) for p, o in zip(packs, own, strict=True)]


@pytest.mark.parametrize("more", [{}, {"kl": 0.1, "kl_form": "k1", "kl_in": "reward"}, {"kl": 0.1, "kl_form": "k2"}])
@pytest.mark.parametrize("name", LOSSES)
def test_packs_of_any_size_give_the_step_of_one_big_batch(name, more):
    batch = make_batch(0, 10, 60, shared=20)
    capped = {"tis_cap": 2.0} if name == "reinforce" else {}
    config = LearnerConfig(loss=name, lr=1e-3, clip_norm=1e9, entropy=0.01, **more, **capped)
    found = []
    for budget in (10**6, 64):
        learner = Learner(tiny_model(), config)
        learner.step(pack(batch, 10**6), mode="sft")
        learner.step(pack(batch, 10**6))  # So that the reference, if any, differs from what is learnt.
        found.append(learner.step(pack(batch, budget)))
    one, many = found
    assert many["packs"] > one["packs"]
    for key in one.keys() - {"packs", "tokens_computed", "seconds", "tokens_per_second"}:
        assert many[key] == pytest.approx(one[key], rel=1e-4, abs=1e-6), key


def test_on_fresh_samples_all_losses_have_one_gradient():
    model = tiny_model()
    packs = sampled_by(model, pack(make_batch(0, 6, 60), 4096), torch.zeros_like)
    norms = [Learner(tiny_model(), LearnerConfig(loss=name)).step(packs)["grad_norm"] for name in LOSSES]
    assert norms == pytest.approx([norms[0]] * len(norms), rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_follows_the_advantage(name):
    packs = pack(make_batch(4, 4, 40), 4096)
    packs = sampled_by(tiny_model(), packs, torch.zeros_like)
    learner = Learner(tiny_model(), LearnerConfig(lr=1e-3, loss=name))
    before = learner.logprobs(packs[0])[0].detach()
    for _ in range(5):
        learner.step(packs)
    gained = learner.logprobs(packs[0])[0].detach() - before
    assert float((gained * packs[0].advantage).mean()) > 0.01


def test_gspo_takes_its_ratio_over_sequences_or_turns():
    batch = make_batch(0, 6, 60)
    rng = np.random.default_rng(0)
    packs = sampled_by(
        tiny_model(), pack(batch, 10**6), lambda own: torch.from_numpy(rng.normal(size=len(own)) / 2).to(own.dtype)
    )
    (p,) = packs
    away = Learner(tiny_model(), LearnerConfig()).logprobs(p)[0].detach() - p.logprob
    for name, unit in (("gspo", p.sequence), ("gspo-turn", p.unit)):
        metrics = Learner(tiny_model(), LearnerConfig(loss=name)).step(packs)
        mean = {int(u): float(away[unit == u].mean()) for u in unit.unique()}
        ratio = torch.tensor([math.exp(mean[int(u)]) for u in unit])
        expected = -torch.minimum(ratio * p.advantage, ratio.clamp(0.8, 1.28) * p.advantage).mean()
        assert metrics["loss"] == pytest.approx(float(expected), rel=1e-4)
        low = (ratio < 0.8) & (p.advantage < 0)
        assert metrics["clip_low_fraction"] == pytest.approx(float(low.float().mean()))


def test_distance_to_the_sampler_by_hand():
    # Every third token is e times as likely as the sampler thought, the others as likely.
    def away(own):
        return (torch.arange(len(own)) % 3 == 0).to(own.dtype)

    packs = sampled_by(tiny_model(), pack(make_batch(0, 10, 60), 64), away)
    assert len(packs) > 1
    gap = torch.cat([away(p.logprob) for p in packs]).double()
    ratio = gap.exp()
    metrics = Learner(tiny_model(), LearnerConfig()).step(packs)
    assert metrics["logprob_diff"] == pytest.approx(float(gap.mean()), rel=1e-4)
    assert metrics["ratio"] == pytest.approx(float(ratio.mean()), rel=1e-4)
    assert metrics["ratio_max"] == pytest.approx(math.e, rel=1e-4)
    assert metrics["ess"] == pytest.approx(float(ratio.sum() ** 2 / (len(ratio) * ratio.square().sum())), rel=1e-4)
    high = (ratio > 1.28) & (torch.cat([p.advantage for p in packs]) > 0)
    assert metrics["clip_high_fraction"] == pytest.approx(float(high.double().mean()))
    assert metrics["clip_low_fraction"] == 0
    assert metrics["clip_fraction"] == metrics["clip_high_fraction"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"loss": "reinforce"}, 1.0),
        ({"loss": "reinforce", "tis_cap": 2.0}, 2.0),
        ({"ratio": "self", "tis_cap": 5}, 3.0),
    ],
)
def test_truncated_weights_multiply_the_gradient(config, expected):
    packs = pack(make_batch(0, 6, 60), 4096)
    packs = sampled_by(tiny_model(), packs, lambda own: torch.full_like(own, math.log(3)))
    plain = Learner(tiny_model(), LearnerConfig(ratio="self")).step(packs)
    metrics = Learner(tiny_model(), LearnerConfig(**config)).step(packs)
    assert metrics["grad_norm"] == pytest.approx(expected * plain["grad_norm"], rel=1e-4)
    if "tis_cap" in config:
        assert metrics["tis_fraction"] == (expected == 2.0)


def test_kl_as_a_penalty_of_k1_is_kl_as_a_loss_of_k2():
    packs = pack(make_batch(0, 6, 60), 4096)
    norms = []
    for form, where in (("k1", "reward"), ("k2", "loss"), ("k3", "loss")):
        learner = Learner(
            tiny_model(), LearnerConfig(loss="reinforce", kl=0.5, kl_form=form, kl_in=where, lr=1e-2, clip_norm=1e9)
        )
        learner.step(packs, lr=1e-12)  # Sets the reference.
        learner.step(packs, mode="sft", lr=1e-2)
        norms.append(learner.step(packs)["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert norms[2] != pytest.approx(norms[1], rel=1e-3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"tis_cap": 2.0}, "tis_cap would weigh tokens a second time"),
        ({"tis_cap": 2.0, "loss": "gspo"}, "set ratio = 'self', or loss = 'reinforce'"),
        ({"tis_cap": 0.5, "ratio": "self"}, "tis_cap: input should be greater than or equal to 1"),
        ({"kl": 0.1, "kl_form": "k1"}, "zero on average"),
        ({"loss": "gpso"}, "loss: input should be 'clip', 'cispo', 'gspo', 'gspo-turn' or 'reinforce'"),
        ({"los": "gspo"}, "did you mean 'loss'"),
        ({"on_nan": "ignore"}, "on_nan: input should be 'skip' or 'stop'"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_reason(data, said):
    with pytest.raises(ConfigError) as caught:
        parse(TrainerConfig, data, "recipe.toml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("recipe.toml: ")


def test_settings_that_do_are_taken():
    parse(TrainerConfig, {"tis_cap": 2.0, "loss": "cispo", "ratio": "self"}, "recipe.toml")
    parse(TrainerConfig, {"kl": 0.1, "kl_form": "k1", "kl_in": "reward"}, "recipe.toml")
    parse(TrainerConfig, {"kl_form": "k1"}, "recipe.toml")
