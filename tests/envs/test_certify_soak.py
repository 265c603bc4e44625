"""The soak benchmark in small: four environments in one rollout, and its verdict."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak():
    spec = importlib.util.spec_from_file_location("soak_benchmark", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_few_hundred_episodes_leave_nothing_behind(soak):
    before = soak.counts()
    seen, endings = asyncio.run(soak.soak(400, slots=8, samples=20))
    assert sum(endings.values()) == 400
    assert endings["success"] > 200
    assert "infra_error" not in endings
    assert len(seen) == 20
    assert seen[-1]["children"] > before["children"]  # worker processes are looked at
    for name, (growth, _) in soak.verdict(seen).items():
        assert growth <= (60_000 if name == "rss" else 0.005), name
    after = soak.counts()
    assert after["children"] <= before["children"]
    assert after["descriptors"] <= before["descriptors"]


def test_what_grows_is_told(soak):
    flat = {"rss": 1e8, "threads": 5.0, "descriptors": 20.0, "children": 4.0}
    seen = [{"episodes": 10.0 * i, **flat, "descriptors": 20.0 + i} for i in range(40)]
    found = soak.verdict(seen)
    assert {name for name, (growth, most) in found.items() if growth > most} == {"descriptors"}
    assert found["descriptors"][0] == pytest.approx(0.1)
