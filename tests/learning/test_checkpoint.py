"""Damaged, half-written or missing: a checkpoint is whole, or the one before is used, and that is said."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_cases import tiny_model

from agentgym import checkpoint
from agentgym.errors import StoreError


def tensors(step: int) -> dict[str, torch.Tensor]:
    return {"a": torch.full((3, 4), float(step)), "b": torch.arange(5).to(torch.bfloat16)}


def fill(folder, steps=(1, 2)):
    for step in steps:
        checkpoint.save(folder, step, tensors(step), {"stage": step})


def test_what_was_saved_is_loaded_and_old_ones_go(tmp_path):
    fill(tmp_path, range(1, 5))
    found = checkpoint.load_latest(tmp_path)
    assert found is not None
    assert (found.step, found.meta, found.warnings) == (4, {"stage": 4}, [])
    assert all(torch.equal(found.tensors[k], v) for k, v in tensors(4).items())
    assert sorted(os.listdir(tmp_path)) == ["step-000003", "step-000004"]


def test_none_where_nothing_was_saved(tmp_path):
    assert checkpoint.load_latest(tmp_path) is None
    assert checkpoint.load_latest(tmp_path / "absent") is None


def test_saving_the_same_step_again_replaces_it(tmp_path):
    fill(tmp_path, (1, 2))
    checkpoint.save(tmp_path, 2, tensors(9), {"stage": "again"})
    found = checkpoint.load_latest(tmp_path)
    assert found is not None
    assert found.meta == {"stage": "again"}
    assert sorted(os.listdir(tmp_path)) == ["step-000001", "step-000002"]


FILES = ("tensors.safetensors", "meta.json", "manifest.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["delete", "truncate", "empty", "append"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, name, damage):
    fill(tmp_path)
    victim = tmp_path / "step-000002" / name
    whole = victim.read_bytes()
    if damage == "delete":
        victim.unlink()
    else:
        victim.write_bytes({"truncate": whole[: len(whole) // 2], "empty": b"", "append": whole + b"x"}[damage])
    found = checkpoint.load_latest(tmp_path)
    assert found is not None
    assert found.step == 1
    assert torch.equal(found.tensors["a"], tensors(1)["a"])
    (warning,) = found.warnings
    assert "step-000002 is damaged" in warning
    assert "using step-000001" in warning


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(FILES), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_is_ever_loaded(tmp_path_factory, name, where, bit):
    folder = tmp_path_factory.mktemp("flip")
    fill(folder)
    victim = folder / "step-000002" / name
    data = bytearray(victim.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    victim.write_bytes(data)
    found = checkpoint.load_latest(folder)
    assert found is not None
    # A bit of the manifest's own white space or step may flip without harm; then all else is still verified.
    assert found.step == 1 or name == "manifest.json"
    assert torch.equal(found.tensors["a"], tensors(found.step)["a"])
    shutil.rmtree(folder)


def test_all_damaged_is_an_error_that_says_what_to_do(tmp_path):
    fill(tmp_path)
    for step in ("step-000001", "step-000002"):
        (tmp_path / step / "meta.json").unlink()
    with pytest.raises(StoreError, match="remove the folder to start over"):
        checkpoint.load_latest(tmp_path)


def test_remains_of_a_killed_save_are_ignored_and_cleared(tmp_path):
    fill(tmp_path)
    shutil.copytree(tmp_path / "step-000002", tmp_path / ".tmp-step-000003-1")
    (tmp_path / ".tmp-step-000003-1" / "manifest.json").unlink()
    found = checkpoint.load_latest(tmp_path)
    assert found is not None
    assert (found.step, found.warnings) == (2, [])
    checkpoint.save(tmp_path, 3, tensors(3), {})
    assert sorted(os.listdir(tmp_path)) == ["step-000002", "step-000003"]


def test_meta_that_is_not_json_leaves_nothing_behind(tmp_path):
    with pytest.raises(StoreError, match="not JSON"):
        checkpoint.save(tmp_path, 1, tensors(1), {"x": object()})
    assert list(tmp_path.iterdir()) == []


def test_killed_at_any_moment_there_is_always_a_whole_checkpoint(tmp_path):
    program = textwrap.dedent(
        """
        import sys, torch
        from pathlib import Path
        from agentgym import checkpoint
        for step in range(1, 100000):
            checkpoint.save(Path(sys.argv[1]), step, {"a": torch.full((20000,), float(step))}, {"stage": step})
            print(step, flush=True)
        """
    )
    for delay in (0.0, 0.003, 0.011):
        folder = tmp_path / str(delay)
        child = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        with child, child.stdout:
            assert child.stdout.readline().strip() == "1"
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().split()
        found = checkpoint.load_latest(folder)
        assert found is not None
        assert found.warnings == []
        assert found.step >= max([int(s) for s in rest], default=1), "what was reported as saved is there"
        assert found.step == found.meta["stage"] == int(found.tensors["a"][0])


def test_export_is_an_ordinary_model_folder(tmp_path):
    from tokenizers import Tokenizer, models
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

    model = tiny_model().to(torch.bfloat16)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?")))
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    for _ in range(2):  # The second replaces the first.
        folder = checkpoint.export(model, tokenizer, tmp_path / "model")
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    assert AutoTokenizer.from_pretrained(folder).chat_template == tokenizer.chat_template
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is False
    assert os.listdir(tmp_path) == ["model"]
