"""`agentgym lab` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentgym.cli.lab import lab
from agentgym.errors import UnknownNameError, UsageError


def test_quick_numbers_of_one_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(module=["dr-grpo"], quick=True, json=True) == 0
    said = json.loads(capsys.readouterr().out)
    rows = said["measured"]["dr-grpo"]
    assert [row["size"] for row in rows if row["world"] == "stop-or-continue"] == [2, 8]
    assert next(row["ratio"] for row in rows if row["size"] == 8) == pytest.approx(0.875, abs=1e-5)
    assert set(said["seconds_per_million_turns"]) == {"dr-grpo"}


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(module=["rloo", "grpo"], quick=True) == 0
    assert "scale only" in capsys.readouterr().out


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'rloo'"):
        lab(module=["rlo"], quick=True)
    with pytest.raises(UsageError, match="too little for cards"):
        lab(module=["rloo"], quick=True, out=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        lab(module=["outcome"], out=tmp_path / "file" / "cards")
