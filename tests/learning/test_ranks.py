"""Several ranks learn what one does, refuse together, save what one can load, and are never waited for in vain."""

import os
import signal

import pytest
import torch
from learning_cases import make_batch, tiny_model
from ranks_cases import CLOCK, apart, batches, copied, poisoned

from agentgym.batch import pack
from agentgym.errors import InfraError, StoreError, UsageError
from agentgym.learner import Learner, RankedLearner, open_learner
from agentgym.optim import LearnerConfig, LoraConfig

FULL = LearnerConfig(lr=1e-3, kl=0.1, entropy=0.01, aggregation="sequence", clip_norm=0.1, warmup_steps=3, ranks=2)
LORA = FULL.model_copy(update={"lora": LoraConfig(rank=4, alpha=8.0), "aggregation": "turn", "checkpointing": True})


def alone(config: LearnerConfig) -> Learner:
    return Learner(tiny_model(), config.model_copy(update={"ranks": 1}))


@pytest.fixture(scope="module")
def ranked():
    """Two ranks that several tests use; each begins with `load_state`."""
    learner = open_learner(tiny_model(), FULL)
    assert isinstance(learner, RankedLearner)
    yield learner
    learner.close()


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_the_loss_curve_and_the_checkpoint_are_those_of_one_rank(config):
    one, two = alone(config), open_learner(tiny_model(), config)
    try:
        for i, packs in enumerate(batches(12)):
            mode = "sft" if i == 5 else "policy"
            single, several = one.step(packs, mode), two.step(packs, mode)
            for name in single.keys() - CLOCK:
                assert several[name] == pytest.approx(single[name], rel=1e-4, abs=1e-6), (i, name)
        assert single["grad_norm"] > config.clip_norm, "clipping must have been at work"
        assert one.version == two.version == 12
        assert apart(dict(one.model.named_parameters()), dict(two.model.named_parameters())) < 2e-5

        # Each goes on from what the other saved.
        of_one, of_two = copied(one.state()), copied(two.state())
        assert of_one[1] == of_two[1]
        assert apart(of_one[0], of_two[0]) < 2e-5
        one.load_state(*of_two)
        two.load_state(*of_one)
        for packs in batches(2):
            assert two.step(packs)["loss"] == pytest.approx(one.step(packs)["loss"], abs=1e-4)
    finally:
        two.close()


def test_a_refused_step_is_refused_by_all_and_leaves_nothing_behind(ranked):
    one = alone(FULL)
    ranked.load_state(*one.state())
    good, bad = batches(1)[0], batches(1)[0]
    bad[-1] = poisoned(bad[-1])  # One pack of one rank.
    before = {k: v.clone() for k, v in ranked.model.state_dict().items()}
    metrics = ranked.step(bad)
    assert metrics["skipped"] == 1
    assert ranked.refused == 1
    assert "rank" in ranked.refusal.reason
    assert len(ranked.refusal.packs) == len(bad)
    assert apart(before, ranked.model.state_dict()) == 0
    assert ranked.step(good)["loss"] == pytest.approx(one.step(good)["loss"], abs=1e-6)


def test_what_does_not_fit_is_refused_and_the_ranks_live_on(ranked):
    tensors, meta = Learner(tiny_model(), LearnerConfig(trainable="upper:1")).state()
    with pytest.raises(StoreError, match="trainable='upper:1', now it is 'all'"):
        ranked.load_state(tensors, meta)
    with pytest.raises(UsageError, match="nothing to learn from"):
        ranked.step([])
    ranked.load_state(*alone(FULL).state())
    assert ranked.step(batches(1)[0])["skipped"] == 0
    with pytest.raises(UsageError, match="no adapter to export"):
        ranked.export_adapter("anywhere")


def test_a_dead_rank_is_named_and_fresh_ones_go_on_from_the_last_state():
    config = LORA.model_copy(update={"kl": 0.0})
    one, two = alone(config), open_learner(tiny_model(), config)
    try:
        first, second, third = batches(3)
        one.step(first)
        two.step(first)
        kept = copied(two.state())
        os.kill(two._ranks.members[1].process.pid, signal.SIGKILL)
        with pytest.raises(InfraError, match=r"learner rank 1 of 2 died \(signal 9\) in step"):
            two.step(second)
        with pytest.raises(InfraError, match="have been ended: load_state starts them again"):
            two.step(second)
        two.load_state(*kept)
        for packs in (second, third):
            assert two.step(packs)["loss"] == pytest.approx(one.step(packs)["loss"], abs=1e-4)
        assert two.version == one.version
    finally:
        two.close()
    assert not two._folder.exists()


def test_a_rank_that_hangs_is_named_and_ended():
    config = LearnerConfig(ranks=2, lr=1e-3, rank_timeout=60)
    learner = open_learner(tiny_model(), config)
    try:
        learner.step(batches(1)[0])
        learner.config = config.model_copy(update={"rank_timeout": 8.0})
        processes = [rank.process for rank in learner._ranks.members]
        os.kill(processes[0].pid, signal.SIGSTOP)
        with pytest.raises(InfraError, match=r"learner rank 0 of 2 hangs in step: nothing moved for 8 seconds"):
            learner.step(batches(1)[0])
        assert all(process.returncode is not None for process in processes), "no process is left behind"
    finally:
        learner.close()


def test_bfloat16_follows_one_rank_within_its_rounding():
    config = LearnerConfig(lr=1e-3, trainable="upper:2", ranks=2)
    one, two = Learner(tiny_model().bfloat16(), config), open_learner(tiny_model().bfloat16(), config)
    try:
        for packs in batches(6):
            assert two.step(packs)["loss"] == pytest.approx(one.step(packs)["loss"], abs=5e-3)
        masters = {k: v for k, v in two.state()[0].items() if k.startswith("master.")}
        held = {f"master.{k}": v for k, v in two.model.named_parameters() if v.requires_grad}
        assert all(torch.equal(held[k], v.to(torch.bfloat16)) for k, v in masters.items()), "the module has the masters"
        assert apart(masters, {k: v for k, v in one.state()[0].items() if k in masters}) < 6e-3
    finally:
        two.close()


def test_wrong_layers_and_too_few_gpus_are_said_before_anything_starts():
    with pytest.raises(UsageError, match="trainable"):
        open_learner(tiny_model(), LearnerConfig(ranks=2, trainable="upper:9"))
    assert isinstance(open_learner(tiny_model(), LearnerConfig()), Learner)
    assert pack(make_batch(0, 3, 30), 64)
