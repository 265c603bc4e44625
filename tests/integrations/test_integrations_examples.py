"""The examples under docs: the one that needs no GPU runs, the others are at least Python."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed: pip install 'agentgym-suite[trl]'"
)
def test_trl_trains_on_an_environment_with_turn_credit(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("trl_cabinet", EXAMPLES / "trl_cabinet.py")
    assert spec is not None
    assert spec.loader is not None
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    trainer = example.train(2, str(tmp_path))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert len(trainer._told["state"]) == 16
    assert all(1 <= len(states) <= 5 for states in trainer._told["state"])


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_compile_and_say_what_they_are(path: Path) -> None:
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    assert code.co_consts[0].startswith(("Train", "verl", "SkyRL", "prime-rl"))
