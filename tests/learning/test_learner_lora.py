"""Adapters: exact gradients, a frozen rest, small checkpoints, and a module that is merged at every moment."""

import pytest
import torch
from learning_cases import make_batch, tiny_model

from agentgym.batch import pack
from agentgym.config import parse
from agentgym.errors import ConfigError, StoreError, UsageError
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig, LoraConfig

CLOCK = {"seconds", "tokens_per_second"}
LORA = LoraConfig(rank=4, alpha=8.0, targets=("q_proj", "down_proj"))


def exact(metrics):
    return {k: v for k, v in metrics.items() if k not in CLOCK}


def weights(model) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def parted(learner: Learner) -> dict[str, torch.Tensor]:
    return {k.removeprefix("master."): v for k, v in learner.state()[0].items() if k.startswith("master.")}


def test_nothing_changes_at_first_and_then_only_the_targets():
    model = tiny_model()
    before = weights(model)
    learner = Learner(model, LearnerConfig(lr=1e-2, lora=LORA))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    learner.step(pack(make_batch(0, 6, 50), 128))
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if "q_proj" in k or "down_proj" in k}
    assert {k for k, v in model.named_parameters() if v.requires_grad} == changed
    held = parted(learner)
    for name in changed:
        change = 2.0 * held[f"{name}.lora_b"] @ held[f"{name}.lora_a"]
        assert torch.allclose(model.state_dict()[name] - before[name], change, atol=1e-6)
        assert torch.linalg.matrix_rank(change, rtol=1e-4) <= 4


def test_gradients_are_those_of_an_adapter_in_the_forward_pass():
    (p,) = pack(make_batch(0, 6, 50, shared=20), 4096)
    learner = Learner(tiny_model(), LearnerConfig(lr=1e-2, lora=LORA))
    learner.step([p])  # So that B is not zero.
    held = {k: v.clone().requires_grad_() for k, v in parted(learner).items()}
    learner.logprobs(p)[0].sum().backward()
    learner._weights.collect()

    # The same by autograd, through W0 + s B A as a part of the graph.
    other = Learner(tiny_model(), LearnerConfig())
    merged = dict(other.model.named_parameters())
    for name in {k.rsplit(".", 1)[0] for k in held}:
        merged[name] = merged[name] + 2.0 * held[f"{name}.lora_b"] @ held[f"{name}.lora_a"]

    class Whole(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self):
            return other.logprobs(p)[0].sum()

    total = torch.func.functional_call(Whole(other.model), {f"inner.{k}": v for k, v in merged.items()}, ())
    total.backward()
    for name, tensor in held.items():
        assert torch.allclose(learner._weights._masters[name].grad, tensor.grad, rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_restored_learner_continues_with_the_same_bits(dtype):
    config = LearnerConfig(lr=1e-3, kl=0.1, lora=LORA)
    packs = [pack(make_batch(i, 6, 50), 128) for i in range(4)]
    models = [tiny_model().to(dtype), tiny_model().to(dtype)]
    learner, other = (Learner(m, config) for m in models)
    for p in packs[:2]:
        learner.step(p)
    tensors, meta = learner.state()
    full = Learner(tiny_model().to(dtype), LearnerConfig()).state()[0]
    assert sum(v.numel() for k, v in tensors.items() if "master" in k) < sum(v.numel() for v in full.values()) / 4
    other.load_state({k: v.clone() for k, v in tensors.items()}, meta)
    for p in packs[2:]:
        assert exact(learner.step(p)) == exact(other.step(p))
    assert all(torch.equal(v, models[1].state_dict()[k]) for k, v in models[0].state_dict().items())


def test_it_learns_and_a_refused_step_leaves_it_alone():
    packs = pack(make_batch(4, 4, 40), 4096)
    model = tiny_model()
    learner = Learner(model, LearnerConfig(lr=1e-2, lora=LoraConfig()))
    losses = [learner.step(packs, mode="sft")["loss"] for _ in range(40)]
    # The frozen random head bounds all logits by about 1, and so the loss from below by about ln(61) - 1 = 3.1.
    assert losses[-1] < 3.4 < 4.0 < losses[0]
    before = weights(model)
    hook = model.model.layers[0].self_attn.q_proj.weight.register_hook(lambda g: g * float("nan"))
    assert learner.step(packs)["skipped"] == 1
    hook.remove()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_upper_layers_only():
    learner = Learner(tiny_model(), LearnerConfig(trainable="upper:1", lora=LORA))
    assert {name.split(".")[2] for name in parted(learner)} == {"2"}


def test_wrong_targets_and_states_are_refused():
    with pytest.raises(UsageError, match=r"no matrix 'q_prj', did you mean 'q_proj'\?"):
        Learner(tiny_model(), LearnerConfig(lora=LoraConfig(targets=("q_prj",))))
    with pytest.raises(ConfigError, match=r"lora\.rnk: unknown key, did you mean 'rank'"):
        parse(LearnerConfig, {"lora": {"rnk": 3}}, "here")
    tensors, meta = Learner(tiny_model(), LearnerConfig(lora=LORA)).state()
    with pytest.raises(StoreError, match=r"with lora = \{'rank': 4.*now None"):
        Learner(tiny_model(), LearnerConfig()).load_state(tensors, meta)
    with pytest.raises(StoreError, match=r"has shape \(4, 48\), not \(2, 48\)"):
        Learner(tiny_model(), LearnerConfig(lora=LORA.model_copy(update={"rank": 2}))).load_state(tensors, meta)
