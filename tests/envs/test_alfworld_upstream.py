"""ALFWorld's upstream engine and ours side by side, where the upstream engine is installed.

It is no extra of this package: its planner is GPL. `scripts/alfworld_upstream.py` plays whole data sets.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("fast_downward", reason="needs the upstream engine: pip install textworld fast-downward-textworld")
pytest.importorskip("alfworld", reason="needs the upstream engine: pip install --no-deps alfworld==0.4.2")

from agentgym_envs.alfworld import writer
from agentgym_envs.alfworld.generate import make, plan

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("alfworld_upstream", ROOT / "scripts" / "alfworld_upstream.py")
assert _spec is not None
assert _spec.loader is not None
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)


@pytest.mark.parametrize("index", range(12))
def test_generated_games_are_the_same_on_both_engines(index, tmp_path):
    made = make(plan("train", index, level=1 + index % 3, dialect="old" if index % 2 else "new"))
    path = writer.write(made, tmp_path)
    for steps in (60, 0):
        count, difference = script.walk(script.upstream(path), path, steps, index)
        assert difference is None
        assert count > 0


@pytest.mark.parametrize("name", ["extra_005", "gen_pick_two_obj_and_place_trial_T20300000_315676_000000_plan"])
def test_real_games_are_the_same_on_both_engines(name, tmp_path):
    walk = json.loads(gzip.decompress((ROOT / "tests" / "golden" / "alfworld" / f"{name}.json.gz").read_bytes()))
    path = tmp_path / "game.tw-pddl"
    path.write_text(walk["file"])
    for steps in (60, 0):
        assert script.walk(script.upstream(path), path, steps, 1)[1] is None
