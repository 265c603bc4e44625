"""Loading models: references, seeds, precision, and what is said when something is not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from agentgym import models
from agentgym.errors import UnknownNameError, UsageError
from agentgym.models import embedded


def test_scratch_is_a_function_of_the_seed_and_leaves_torch_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b = (models.load("scratch:tiny?hidden=32&layers=1", seed=3) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert a.fingerprint == b.fingerprint
    assert a.fingerprint != models.load("scratch:tiny?hidden=32&layers=1", seed=4).fingerprint
    assert a.model.dtype == torch.float32
    assert a.model.config.num_hidden_layers == 1


def test_a_saved_model_is_a_reference(tmp_path: Path) -> None:
    made = models.load("scratch:tiny?hidden=32&layers=1")
    made.model.save_pretrained(tmp_path / "m")
    made.chat.tokenizer.save_pretrained(tmp_path / "m")
    again = models.load(str(tmp_path / "m"), dtype="float32")
    assert again.fingerprint == made.fingerprint
    assert again.chat.end_ids == made.chat.end_ids
    assert models.load(str(tmp_path / "m"), dtype="bfloat16").model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("ref", "error", "words"),
    [
        ("scratch:tny", UnknownNameError, "did you mean 'scratch:tiny'"),
        ("scratch:tiny?layer=2", UnknownNameError, "did you mean 'layers'"),
        ("scratch:tiny?layers=x", UsageError, "positive whole number"),
        ("scratch:tiny?hidden=30", UsageError, "multiple of"),
        ("./no/such/folder", UsageError, "no such folder"),
        ("smollm", UsageError, "smollm2-135m"),
    ],
)
def test_what_is_not_there_is_said(ref: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        models.load(ref)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not be loaded"):
        models.load(str(tmp_path))


def test_a_hub_id_offline_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE"):
        models.load("owner/name")


def test_cuda_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA device"):
        models.load("scratch:tiny", device="cuda")


def test_a_damaged_download_is_refused(tmp_path: Path) -> None:
    file = tmp_path / embedded.FILE
    file.write_bytes(b"GGUF and then nothing")
    with pytest.raises(UsageError, match="checksum"):
        embedded._verify(file)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.model
def test_the_embedded_model_is_converted_once_untied_with_its_licence() -> None:
    folder = embedded.folder()
    written = (folder / "model.safetensors").stat().st_mtime_ns
    loaded = models.load(embedded.NAME)
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert not loaded.model.config.tie_word_embeddings
    output, inputs = loaded.model.get_output_embeddings().weight, loaded.model.get_input_embeddings().weight
    assert output.data_ptr() != inputs.data_ptr()
    assert torch.equal(output, inputs)
    ids = loaded.chat.tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True, return_tensors="pt"
    )
    ids = ids if isinstance(ids, torch.Tensor) else ids["input_ids"]
    said = loaded.model.generate(ids, max_new_tokens=12, do_sample=False)
    assert "Paris" in loaded.chat.decode(said[0, ids.shape[1] :].tolist())


@pytest.mark.model
def test_loading_does_not_touch_the_embedded_file() -> None:
    weights = embedded.folder() / "model.safetensors"
    before = hashlib.sha256(weights.read_bytes()).hexdigest()
    models.load(embedded.NAME)
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == before
