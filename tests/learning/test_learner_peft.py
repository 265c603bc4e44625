"""Adapters out and in, judged by the real peft library."""

import json

import pytest
import torch
from learning_cases import VOCAB, make_batch, tiny_model

from agentgym.batch import pack
from agentgym.errors import UsageError
from agentgym.learner import Learner
from agentgym.learner.peft import CONFIG, TENSORS
from agentgym.optim import LearnerConfig, LoraConfig

LORA = LoraConfig(rank=4, alpha=8.0, targets=("q_proj", "down_proj"))
IDS = torch.arange(40)[None] % VOCAB


def trained(lora: LoraConfig = LORA, steps: int = 4, **changes) -> Learner:
    learner = Learner(tiny_model(), LearnerConfig(lr=1e-2, lora=lora, **changes))
    for i in range(steps):
        learner.step(pack(make_batch(i, 6, 50), 128))
    return learner


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=IDS).logits


@pytest.mark.parametrize("trainable", ["all", "upper:2"])
@pytest.mark.parametrize(
    "lora", [LORA, LoraConfig(rank=3, alpha=5.0), LoraConfig(rank=2, targets=("o_proj", "lm_head"))]
)
def test_peft_gives_the_logits_of_the_merged_module(tmp_path, lora, trainable):
    peft = pytest.importorskip("peft", reason="needs peft, the reference for its own format")
    if trainable != "all" and "lm_head" in lora.targets:
        lora = lora.model_copy(update={"targets": ("o_proj",)})  # The output layer is not in the upper layers.
    learner = trained(lora, trainable=trainable)
    folder = learner.export_adapter(tmp_path / "adapter", base="tiny")
    assert sorted(p.name for p in folder.iterdir()) == [CONFIG, TENSORS]
    before = logits(tiny_model())
    theirs = peft.PeftModel.from_pretrained(tiny_model(), folder).eval()
    assert torch.allclose(logits(theirs), logits(learner.model), atol=1e-5)
    assert float((logits(learner.model) - before).abs().max()) > 1e-3, "or the test would see nothing"
    there = {name for name, _ in theirs.named_parameters() if "lora_" in name}
    assert len(there) == len([k for k in learner.state()[0] if k.startswith("master.")])


def test_an_adapter_of_pefts_comes_in_and_goes_out_unchanged(tmp_path):
    peft = pytest.importorskip("peft", reason="needs peft, the reference for its own format")
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    theirs = peft.get_peft_model(tiny_model(), config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            if "lora_" in name:
                p.copy_(torch.randn(p.shape, generator=generator) / 10)
    theirs.save_pretrained(tmp_path / "theirs")

    learner = trained()
    learner.load_adapter(tmp_path / "theirs")
    assert torch.allclose(logits(learner.model), logits(theirs), atol=1e-5)
    assert learner.version == 4
    assert not [k for k in learner.state()[0] if k.startswith("exp_avg")], "moments were those of another adapter"
    learner.export_adapter(tmp_path / "ours")
    learner.export_adapter(tmp_path / "ours")  # Over itself.
    other = trained(steps=0)
    other.load_adapter(tmp_path / "ours")
    assert torch.equal(logits(other.model), logits(learner.model))
    assert learner.step(pack(make_batch(0, 6, 50), 128))["skipped"] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use_dora": True}, "use_dora = True is not supported"),
        ({"use_rslora": True}, "use_rslora = True is not supported"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"peft_type": "IA3"}, "peft_type = 'IA3' is not supported; it must be 'LORA'"),
        ({"r": 5}, r"r is 5, and that of \[trainer.lora\] is 4"),
        ({"lora_alpha": 9}, "lora_alpha is 9"),
    ],
)
def test_adapters_of_another_kind_are_refused(tmp_path, change, said):
    learner = trained(steps=1)
    folder = learner.export_adapter(tmp_path / "adapter")
    told = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(told | change))
    before = logits(learner.model)
    with pytest.raises(UsageError, match=said):
        learner.load_adapter(folder)
    assert torch.equal(logits(learner.model), before)


def test_broken_folders_are_refused(tmp_path):
    learner = trained(steps=1)
    with pytest.raises(UsageError, match=r"is not an adapter of peft's"):
        learner.load_adapter(tmp_path / "nowhere")
    (tmp_path / "adapter_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(UsageError, match="can run code when it is read"):
        learner.load_adapter(tmp_path)
    folder = learner.export_adapter(tmp_path / "adapter")
    with pytest.raises(UsageError, match=r"lacks base_model.*compare trainer\.lora\.targets"):
        trained(LORA.model_copy(update={"targets": ("q_proj", "down_proj", "o_proj")}), steps=0).load_adapter(folder)
    with pytest.raises(UsageError, match="which is not trained here"):
        trained(steps=0, trainable="upper:1").load_adapter(folder)
    (folder / TENSORS).write_bytes(b"\x08" + bytes(7) + b"nonsense")
    with pytest.raises(UsageError, match=r"is not an adapter of peft's"):
        learner.load_adapter(folder)


def test_values_that_are_not_finite_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    learner = trained(steps=1)
    folder = learner.export_adapter(tmp_path / "adapter")
    tensors = load_file(folder / TENSORS)
    name = sorted(tensors)[0]
    save_file(tensors | {name: tensors[name] * float("nan")}, folder / TENSORS)
    with pytest.raises(UsageError, match=f"{name} has values that are not finite"):
        learner.load_adapter(folder)


def test_without_adapters_there_is_nothing_to_export(tmp_path):
    with pytest.raises(UsageError, match=r"there is no adapter to export.*\[trainer\.lora\]"):
        Learner(tiny_model(), LearnerConfig()).export_adapter(tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()
    embeddings = trained(LoraConfig(targets=("embed_tokens",)), steps=0)
    with pytest.raises(UsageError, match=r"leave model\.embed_tokens out of trainer\.lora\.targets"):
        embeddings.export_adapter(tmp_path / "adapter")
