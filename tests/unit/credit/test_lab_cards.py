"""Cards say what was measured, and what is in the repository is what the lab measures today."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agentgym import registry
from agentgym.errors import StoreError
from agentgym.lab import VARIANTS, WORLDS, Measured, cards
from agentgym.lab.findings import against, sentences, verdict
from agentgym.lab.measure import SIZES, measure_all
from agentgym.lab.plot import Panel, Point, svg
from agentgym.lab.results import Results, as_json
from agentgym.lab.variants import card_name

DOCS = Path(__file__).parents[3] / "docs"
STORED = DOCS / "cards" / "cards.json"
RIGHT = Measured("corridor", 8, True, 10, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.5, 0.5)


def test_stored_numbers_are_those_of_today() -> None:
    stored = Results.read(STORED).quick
    found = measure_all([v for v in VARIANTS if v.label in stored], WORLDS.values(), quick=True)
    wrong = [label for label, rows in found.items() if not _same(rows, stored[label])]
    assert not wrong, f"measure again: agentgym lab --out docs/cards {' '.join(f'-m {name}' for name in wrong)}"
    missing = {v.label for v in VARIANTS} - set(stored)
    assert not missing, f"no card has {sorted(missing)}: agentgym lab --out docs/cards"


def _same(rows: list[Measured], stored: list[Measured]) -> bool:
    pairs = zip(as_json({"": rows})[""], as_json({"": stored})[""], strict=True)
    return all(_close(one[key], other[key]) for one, other in pairs for key in one)


def _close(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6)
    return a == b


def test_every_module_has_a_card_and_a_plot_of_the_stored_numbers() -> None:
    results = Results.read(STORED)
    overview = (DOCS / "lab.md").read_text(encoding="utf-8")
    for module in registry.names("credit"):
        variants = [v for v in VARIANTS if v.module == module]
        page = (DOCS / "cards" / f"{card_name(module)}.md").read_text(encoding="utf-8")
        assert page == f"{cards.MADE}\n\n{cards.card(module, variants, results)}", f"make again: -m {module}"
        assert f"({card_name(module)}.svg)" in page
        assert "arXiv" in page or "no arXiv id" in page or "arxiv" in page.lower()
        ElementTree.fromstring((DOCS / "cards" / f"{card_name(module)}.svg").read_text(encoding="utf-8"))
        for variant in variants:
            assert f"[{variant.label}](cards/{card_name(module)}.md)" in overview
            assert [(m.world, m.size) for m in results.full[variant.label]] == [(w, n) for w in WORLDS for n in SIZES]


def test_cards_are_written_and_read_back(tmp_path: Path) -> None:
    chosen = [v for v in VARIANTS if v.module in ("rloo", "grpo")]
    quick = measure_all(chosen, WORLDS.values(), quick=True)
    results = Results(quick, quick, {"rloo": 0.01234, "grpo": 0.2})
    files = cards.write(tmp_path / "cards", results, ["rloo"])
    assert {path.name for path in files} == {"lab.md", "rloo.svg", "rloo.md", "cards.json"}
    again = Results.read(tmp_path / "cards" / "cards.json")
    assert all(_same(again.full[label], rows) for label, rows in quick.items())
    assert again.cost == {"rloo": 0.012, "grpo": 0.2}
    again.update(Results(cost={"rloo": 1.0}))
    assert again.cost["rloo"] == 1.0
    page = (tmp_path / "cards" / "rloo.md").read_text(encoding="utf-8")
    assert "No bias was found in any of the worlds" in page
    assert "nan" not in page.lower().replace("finance", "")


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    assert Results.read(tmp_path / "none.json") == Results()
    for text in ("[]", "{}", "not json", '{"columns": ["x"], "full": {"a": [[1]]}, "quick": {}, "cost": {}}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(StoreError, match="holds no measurements"):
            Results.read(tmp_path / "x.json")


def test_verdicts() -> None:
    scaled = replace(RIGHT, ratio=0.5, bias=0.5, noise=2.0)
    bent = replace(RIGHT, ratio=1.0, bias=0.4, turned=0.4, cosine=0.93)
    backwards = replace(RIGHT, ratio=-0.5, bias=1.5, cosine=-1.0)
    unsure = replace(RIGHT, exact=False, ratio=1.05, ratio_error=0.04, bias=0.06, bias_error=0.05)
    assert verdict([RIGHT, unsure]) == "none"
    assert "0.15" in sentences([RIGHT, unsure])[0]
    assert verdict([RIGHT, scaled]) == "scale only"
    assert verdict([scaled, bent]) == "direction"
    assert verdict([scaled, replace(bent, cosine=0.995)]) == "direction, slightly"
    assert verdict([bent, backwards]) == "no gradient, or a wrong one"
    assert any("0.930 in corridor at N = 8" in s for s in sentences([scaled, bent]))
    assert sentences([backwards])[0].startswith("**Expected estimates have no part along the true gradient")
    assert against([scaled], [RIGHT]) == pytest.approx(4.0)
    assert against([backwards], [RIGHT]) is None
    assert against([replace(RIGHT, noise=None)], [RIGHT]) is None


def test_plots_are_well_formed_and_stay_inside() -> None:
    points = [Point(2, 0.1, 0.05, 0.2), Point(16, 0.0, 0.0, 0.0), Point(8, 30.0, 20.0, 40.0)]
    text = svg([Panel("a < b", "n", {"x & y": points}, level=1.0, log_x=True, log_y=True), Panel("", "", {"none": []})])
    ElementTree.fromstring(text)
    assert "x &amp; y" in text
    assert text.count("<circle") == 2  # A logarithm takes no 0.
    assert "nan" not in text
    assert all(-1 <= float(x) <= 662 for x in re.findall(r'cx="([\d.-]+)"', text))
