"""A step that is not finite changes nothing, is counted, and leaves its batch behind."""

import json
import math

import pytest
import torch
from learning_cases import make_batch, tiny_model

from agentgym import checkpoint
from agentgym.batch import Packed, pack
from agentgym.errors import StoreError, UsageError
from agentgym.learner import Learner, keep_refused, load_refused
from agentgym.optim import LearnerConfig


def with_advantage(p: Packed, value: float, at: int | None = None) -> Packed:
    advantage = p.advantage.clone()
    advantage[slice(None) if at is None else at] = value
    return Packed(**{**p.__dict__, "advantage": advantage})


def snapshot(model, learner) -> dict[str, torch.Tensor]:
    tensors = {**learner.state()[0], **{f"model.{k}": v for k, v in model.state_dict().items()}}
    return {name: value.clone() for name, value in tensors.items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def same_packs(a, b) -> bool:
    return len(a) == len(b) and all(
        x.segments == y.segments
        and x.lengths == y.lengths
        and all(
            torch.equal(getattr(x, n).nan_to_num(7), getattr(y, n).nan_to_num(7))
            for n in x.__dict__
            if n not in ("segments", "lengths")
        )
        for x, y in zip(a, b, strict=True)
    )


def good_and_bad(value: float) -> tuple[list[Packed], list[Packed]]:
    packs = pack(make_batch(0, 8, 60, shared=20), 64)
    assert len(packs) > 2
    return packs, [packs[0], with_advantage(packs[1], value, at=0), *packs[2:]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("loss", ["clip", "cispo", "gspo", "reinforce"])
def test_weights_and_optimizer_stay_and_the_batch_is_kept(loss, dtype):
    good, bad = good_and_bad(math.nan)
    model = tiny_model().to(dtype)
    learner = Learner(model, LearnerConfig(lr=1e-3, loss=loss))
    learner.step(good)
    before = snapshot(model, learner)
    metrics = learner.step(bad)
    assert (metrics["skipped"], metrics["refused"], learner.version) == (1, 1, 1)
    assert math.isnan(metrics["loss"])
    assert same(snapshot(model, learner), before)
    assert learner.refusal is not None
    assert learner.refusal.packs == tuple(bad)
    assert learner.refusal.reason == f"the loss of pack 1 of {len(bad)} is nan"
    metrics = learner.step(good)
    assert (metrics["skipped"], metrics["refused"], learner.version) == (0, 1, 2)


def test_a_gradient_that_overflows_under_a_finite_loss():
    packs = [with_advantage(p, 3e37) for p in pack(make_batch(0, 8, 60), 64)]
    model = tiny_model()
    learner = Learner(model, LearnerConfig(ratio="self"))
    before = snapshot(model, learner)
    metrics = learner.step(packs)
    assert math.isfinite(metrics["loss"])
    assert metrics["grad_norm"] == math.inf
    assert metrics["skipped"] == 1
    assert same(snapshot(model, learner), before)
    assert "norm of the gradients is inf" in learner.refusal.reason


def test_a_gradient_that_is_not_finite_is_traced_to_a_parameter():
    learner = Learner(tiny_model(), LearnerConfig())
    learner.model.model.layers[1].mlp.up_proj.weight.register_hook(lambda gradient: gradient / 0)
    assert learner.step(pack(make_batch(0, 4, 40), 4096))["skipped"] == 1
    assert learner.refusal.reason.endswith("the first that is not finite: model.layers.1.mlp.up_proj.weight")


def test_broken_weights_refuse_every_step_and_are_not_made_worse():
    model = tiny_model()
    learner = Learner(model, LearnerConfig())
    with torch.no_grad():
        model.lm_head.weight[3] = math.nan
    packs = pack(make_batch(0, 4, 40), 4096)
    assert [learner.step(packs)["refused"] for _ in range(3)] == [1, 2, 3]
    assert learner.version == 0
    assert torch.isfinite(model.model.embed_tokens.weight).all()


@pytest.mark.parametrize("mode", ["policy", "sft"])
def test_written_batches_are_read_back_and_can_be_tried_again(tmp_path, mode):
    _, bad = good_and_bad(math.inf)
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.weight[:] = math.nan  # Maximum likelihood does not look at advantages.
    learner = Learner(model, LearnerConfig(), on_refused=keep_refused(tmp_path / "refused", keep=2))
    for _ in range(3):
        learner.step(bad, mode=mode)
    assert sorted(path.name for path in (tmp_path / "refused").iterdir()) == ["step-000002", "step-000003"]
    found = load_refused(tmp_path / "refused")
    assert (found.number, found.mode, found.version) == (3, mode, 0)
    assert found.reason == learner.refusal.reason
    assert math.isnan(found.metrics["loss"])
    assert same_packs(found.packs, bad)
    again = Learner(tiny_model(), LearnerConfig()).step(found.packs, mode=mode)
    assert again["skipped"] == (mode == "policy"), "the batch was to blame in one case, the weights in the other"


def test_no_refusal_and_something_else_are_told_apart(tmp_path):
    assert load_refused(tmp_path) is None
    checkpoint.save(tmp_path, 1, {"a": torch.zeros(1)}, {"stage": 1})
    with pytest.raises(StoreError, match="not a refused batch"):
        load_refused(tmp_path)


def test_a_run_that_is_to_stop_stops_and_says_where_the_batch_is(tmp_path):
    good, bad = good_and_bad(math.nan)
    model = tiny_model()
    learner = Learner(model, LearnerConfig(on_nan="stop"), on_refused=keep_refused(tmp_path))
    before = snapshot(model, learner)
    with pytest.raises(
        UsageError, match=r"the loss of pack 1 of \d+ is nan; its batch is in .*step-000001.*trainer.lr"
    ):
        learner.step(bad)
    assert same(snapshot(model, learner), before)
    meta = json.loads((tmp_path / "step-000001" / "meta.json").read_text())
    assert meta["metrics"]["loss"] == "nan"
    assert learner.step(good)["skipped"] == 0, "whoever catches the error may go on"


def test_the_count_survives_a_checkpoint_and_older_checkpoints_have_none():
    good, bad = good_and_bad(math.nan)
    learner = Learner(tiny_model(), LearnerConfig())
    learner.step(bad)
    tensors, meta = learner.state()
    for known, expected in ((meta, 1), ({k: v for k, v in meta.items() if k != "refused"}, 0)):
        other = Learner(tiny_model(), LearnerConfig())
        other.load_state(tensors, known)
        assert other.step(good)["refused"] == expected


def test_an_error_on_the_way_leaves_no_gradients_behind():
    good, _ = good_and_bad(0.0)
    wrong = Packed(**{**good[1].__dict__, "target": good[1].target + 10**6})
    models = [tiny_model(), tiny_model()]
    clean, learner = (Learner(m, LearnerConfig(lr=1e-3)) for m in models)
    with pytest.raises((IndexError, RuntimeError)):
        learner.step([good[0], wrong])
    assert all(p.grad is None for p in models[1].parameters())
    clean.step(good)
    learner.step(good)
    assert same(snapshot(models[1], learner), snapshot(models[0], clean))
