"""The learner learns, forgets nothing across a checkpoint, and gives the same bits twice."""

import copy

import numpy as np
import pytest
import torch
from learning_cases import make_batch, tiny_model

from agentgym.batch import Packed, TrainSequence, pack
from agentgym.errors import StoreError, UsageError
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig

CLOCK = {"seconds", "tokens_per_second"}


def exact(metrics: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in metrics.items() if k not in CLOCK}


def weights(model) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("aggregation", ["token", "sequence", "turn", "constant"])
@pytest.mark.parametrize("mode", ["policy", "sft"])
def test_packs_of_any_size_give_the_step_of_one_big_batch(mode, aggregation):
    batch = make_batch(0, 10, 60, shared=20)
    config = LearnerConfig(aggregation=aggregation, constant=7.0, lr=1e-3, kl=0.1, entropy=0.01, clip_norm=1e9)
    results = []
    for budget in (10**6, 64):
        model = tiny_model()
        learner = Learner(model, config)
        learner.step(pack(batch, 10**6), mode="sft")  # So that the reference differs from what is learnt.
        metrics = learner.step(pack(batch, budget), mode=mode)
        results.append((exact(metrics), weights(model)))
    (one, one_weights), (many, many_weights) = results
    assert many["packs"] > one["packs"]
    for name in one.keys() - {"packs", "tokens_computed"}:
        assert many[name] == pytest.approx(one[name], rel=1e-4, abs=1e-6), name
    for name, value in one_weights.items():
        assert torch.allclose(value, many_weights[name], atol=2e-5), name


def test_supervised_learning_learns_the_demonstrations_and_policy_steps_follow_the_advantage():
    batch = make_batch(4, 4, 40)
    learner = Learner(tiny_model(), LearnerConfig(lr=3e-3))
    packs = pack(batch, 4096)
    losses = [learner.step(packs, mode="sft")["loss"] for _ in range(40)]
    assert losses[-1] < 0.3 * losses[0]

    learner = Learner(tiny_model(), LearnerConfig(lr=1e-3, ratio="self"))
    before = learner.logprobs(packs[0])[0].detach()
    for _ in range(5):
        learner.step(packs)
    gained = learner.logprobs(packs[0])[0].detach() - before
    assert float((gained * packs[0].advantage).mean()) > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_two_runs_give_the_same_bits_whatever_the_global_generator(dtype):
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        model = tiny_model().to(dtype)
        learner = Learner(model, LearnerConfig(lr=1e-3, kl=0.1))
        history = [exact(learner.step(pack(make_batch(i, 6, 50, shared=20), 128))) for i in range(3)]
        runs.append((history, weights(model)))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("trainable", ["all", "upper:2"])
def test_a_restored_learner_continues_with_the_same_bits(dtype, trainable):
    config = LearnerConfig(lr=1e-3, kl=0.1, warmup_steps=4, trainable=trainable)
    packs = [pack(make_batch(i, 6, 50), 128) for i in range(4)]
    model = tiny_model().to(dtype)
    learner = Learner(model, config)
    for p in packs[:2]:
        learner.step(p)
    tensors, meta = learner.state()
    saved = {k: v.clone() for k, v in tensors.items()}

    other_model = tiny_model().to(dtype)
    other = Learner(other_model, config)
    other.load_state(saved, copy.deepcopy(meta))
    for p in packs[2:]:
        assert exact(learner.step(p)) == exact(other.step(p))
    assert same(weights(model), weights(other_model))
    assert learner.version == other.version == 4


def test_small_updates_are_not_lost_in_bfloat16():
    packs = pack(make_batch(0, 4, 40), 4096)
    model = tiny_model().to(torch.bfloat16)
    learner = Learner(model, LearnerConfig(lr=2e-6))
    before = weights(model)["lm_head.weight"]
    for _ in range(60):
        learner.step(packs, mode="sft")
    master = learner.state()[0]["master.lm_head.weight"]
    assert float((master - before).abs().max()) > 60 * 1e-6
    assert torch.equal(weights(model)["lm_head.weight"], master.to(torch.bfloat16))


def test_upper_layers_only():
    model = tiny_model()
    before = weights(model)
    learner = Learner(model, LearnerConfig(trainable="upper:1", lr=1e-2))
    (p,) = pack(make_batch(0, 4, 40), 4096)
    kept: list[torch.Size] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.append(x.shape), x)[1], lambda x: x):
        learner.logprobs(p)
    above = len(kept)
    learner.step([p])
    changed = {k for k, v in weights(model).items() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if k.startswith("model.layers.2.")} | {"model.norm.weight"}

    kept.clear()
    full = Learner(tiny_model(), LearnerConfig(trainable="all"))
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.append(x.shape), x)[1], lambda x: x):
        full.logprobs(p)
    assert above < len(kept) / 2, "frozen lower layers must not keep activations"


@pytest.mark.parametrize("which", ["most", "upper:0", "upper:4", "layers:2-1", "layers:0-9"])
def test_layers_that_are_not_there_are_refused(which):
    with pytest.raises(UsageError, match="trainable"):
        Learner(tiny_model(), LearnerConfig(trainable=which))


def poisoned(p: Packed) -> Packed:
    return Packed(**{**p.__dict__, "advantage": torch.full_like(p.advantage, float("nan"))})


def test_a_step_that_is_not_finite_is_refused_and_the_next_one_is_as_if_it_never_was():
    good, bad = pack(make_batch(0, 4, 40), 4096), [poisoned(p) for p in pack(make_batch(1, 4, 40), 4096)]
    clean_model, model = tiny_model(), tiny_model()
    clean, learner = (Learner(m, LearnerConfig(lr=1e-3)) for m in (clean_model, model))
    clean.step(good)
    learner.step(good)
    before = weights(model)
    assert learner.step(bad)["skipped"] == 1
    assert same(weights(model), before)
    after, clean_after = exact(learner.step(good)), exact(clean.step(good))
    assert (after.pop("refused"), clean_after.pop("refused")) == (1, 0)
    assert after == clean_after
    assert same(weights(model), weights(clean_model))


def test_nothing_to_learn_from_is_said():
    column = np.zeros(3, dtype=np.float32)
    silent = TrainSequence(np.arange(3), np.zeros(3, dtype=bool), column, column, np.full(3, -1))
    with pytest.raises(UsageError, match="nothing to learn from"):
        Learner(tiny_model(), LearnerConfig()).step(pack([silent], 100))


def test_state_of_other_layers_is_refused():
    tensors, meta = Learner(tiny_model(), LearnerConfig(trainable="upper:1")).state()
    with pytest.raises(StoreError, match=r"trainable='upper:1', now it is 'all'"):
        Learner(tiny_model(), LearnerConfig()).load_state(tensors, meta)


def test_learning_rate_warms_up_and_can_be_overridden():
    learner = Learner(tiny_model(), LearnerConfig(lr=1e-3, warmup_steps=4))
    packs = pack(make_batch(0, 2, 30), 4096)
    assert [learner.step(packs)["lr"] for _ in range(5)] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3])
    assert learner.step(packs, lr=5e-5)["lr"] == 5e-5


def test_self_ratio_makes_the_first_step_the_plain_policy_gradient():
    packs = pack(make_batch(0, 4, 40), 4096)
    metrics = Learner(tiny_model(), LearnerConfig(ratio="self")).step(packs)
    assert metrics["clip_fraction"] == 0
    assert metrics["logprob_diff"] > 0, "the sampler's mismatch is logged all the same"
    assert metrics["loss"] == pytest.approx(-float(packs[0].advantage.mean()), rel=1e-5)
