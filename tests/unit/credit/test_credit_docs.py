"""The examples of docs/credit.md run, and print what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from agentgym import registry
from agentgym.credit import CreditModule, TurnTable

PAGE = (Path(__file__).parents[3] / "docs" / "credit.md").read_text()


def test_examples(capsys):
    table_example, module_example = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    exec(compile(table_example, "credit.md", "exec"), {})
    assert capsys.readouterr().out == "[ 0.75  0.5  -0.75]\n"
    names: dict[str, Any] = {}
    exec(compile(module_example, "credit.md", "exec"), names)
    module = names["Quick"](decay=0.5)
    assert isinstance(module, CreditModule)
    assert module(TurnTable.from_rewards([[[1.0, 1.0]]]))["reward"].tolist() == [1.0, 0.5]


def test_every_module_is_in_the_table():
    for name in registry.names("credit"):
        assert f"| `{name}` |" in PAGE
