"""The page: whole, inert against hostile text, and small enough."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
from pathlib import Path

import pytest

from agentgym.errors import UsageError
from agentgym.report import MAX_TEXT, choose, fit, read_data, write_report
from agentgym.store import Entry, RunFolder
from agentgym.track import Tracker
from agentgym.types import Completion, Ending, Observation, Trajectory, Turn

HOSTILE = (
    "</script><script>alert(1)</script> <!-- <script> --> <img src=x onerror=alert(2)> & &lt; @DATA@ @SCRIPTS@ "
    "\ud800 \udfff \0 \x1b[2J \u2028 \u202e ]]> {{7*7}} ${7} <|im_start|>system\n</SCRIPT >"
)


def one(name: str, text: str = "a room", success: bool = True) -> Trajectory:
    turn = Turn(
        Observation(text, actions=(text,), state=text), Completion(text, (1, 2)), text, 1.0, info={"fault": text}
    )
    ending = Ending.SUCCESS if success else Ending.OUT_OF_TURNS
    return Trajectory(name, "e-v0", text, "g", 0, 0, (turn, turn), ending, Observation(text), 1.0, success, error=text)


class Scripts(html.parser.HTMLParser):
    """Collects the elements of a page as a browser's tokenizer would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    with RunFolder.create("empty", tmp_path) as run:
        data = read_data(write_report(run).read_text("utf-8"))
    assert (data["metrics"], data["trajectories"], data["total"]) == ([], [], 0)
    assert data["run"]["name"] == "empty"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    with RunFolder.create("plain", tmp_path, "seed = 1\n") as run:
        harmless = Scripts(write_report(run).read_text("utf-8")).tags
        run.trajectories.append(one(HOSTILE, HOSTILE), phase=f"eval:{HOSTILE}", advantages=[0.5, -0.5])
        run.config_path.write_text("# " + HOSTILE.encode("ascii", "replace").decode())
        tracker = Tracker(run.path, tensorboard=False)
        tracker.log(1, {f"eval/{HOSTILE}": 1.0}, stage=f"eval:{HOSTILE}")
        tracker.close()
        page = write_report(run).read_text("utf-8")
    assert Scripts(page).tags == harmless, "data made an element"
    data = read_data(page)
    (shown,) = data["trajectories"]
    assert shown["id"] == HOSTILE
    assert shown["turns"][0]["observation"]["text"] == HOSTILE
    assert data["metrics"][0]["values"] == {f"eval/{HOSTILE}": 1.0}


def test_the_page_loads_nothing_and_runs_only_its_own_script(tmp_path: Path) -> None:
    with RunFolder.create("plain", tmp_path) as run:
        page = write_report(run).read_text("utf-8")
    tags = Scripts(page).tags
    assert not [t for t, a in tags if t in ("link", "img", "iframe", "object") or "src" in a or "href" in a]
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(a["content"] for t, a in tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert f"script-src 'sha256-{digest}'" in (policy or "")
    assert "default-src 'none'" in (policy or "")
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "setTimeout("):
        assert unsafe not in script


def entries(phase: str, count: int) -> list[Entry]:
    return [Entry(one(f"{phase}-{i}"), phase, i if phase == "train" else None, None) for i in range(count)]


def test_choice_keeps_evaluations_and_the_latest(tmp_path: Path) -> None:
    log = [*entries("eval:a", 20), *entries("demo", 5), *entries("train", 300), *entries("eval:b", 20)]
    shown, total = choose(log, 100)
    names = [entry.trajectory.id for entry in shown]
    assert total == 345
    assert len(names) == 100
    assert names[:20] == [f"eval:a-{i}" for i in range(20)]
    assert names[-20:] == [f"eval:b-{i}" for i in range(20)]
    assert [n for n in names if n.startswith("train")] == [f"train-{i}" for i in range(245, 300)]
    many = [*entries("eval:a", 200), *entries("train", 300), *entries("eval:b", 200)]
    names = [entry.trajectory.id for entry in choose(many, 40)[0]]
    assert {n.split("-")[0] for n in names} == {"eval:a", "eval:b", "train"}
    assert len(names) == 40
    assert len(choose(log, 0)[0]) == 0
    for limit in range(1, 30):
        assert len(choose(log, limit)[0]) <= limit


def test_what_is_too_much_is_clipped_and_said(tmp_path: Path) -> None:
    long = one("long", "x" * (MAX_TEXT + 5))
    with RunFolder.create("big", tmp_path) as run:
        run.trajectories.append(long)
        run.trajectories.append(one("short"))
        data = read_data(write_report(run, limit=1).read_text("utf-8"))
        assert [t["id"] for t in data["trajectories"]] == ["short"], "the latest stay"
        assert (data["total"], data["clipped"]) == (2, 0)
        data = read_data(write_report(run).read_text("utf-8"))
        with pytest.raises(UsageError):
            write_report(run, limit=-1)
    assert data["clipped"] > 0
    assert data["trajectories"][0]["final"]["text"] == "x" * MAX_TEXT + "\n[... 5 more characters]"
    few, _ = fit([Entry(long, "train", 0, None), Entry(one("short"), "train", 0, None)], max_bytes=100_000)
    assert [t["id"] for t in few] == ["short"]


def test_a_torn_log_is_reported_on_the_page(tmp_path: Path) -> None:
    with RunFolder.create("torn", tmp_path) as run:
        run.trajectories.append(one("a"))
    log = tmp_path / "torn" / "trajectories.jsonl"
    log.write_bytes(log.read_bytes() + b'{"id": "b", "tur')
    data = read_data(write_report(RunFolder(tmp_path / "torn")).read_text("utf-8"))
    assert [t["id"] for t in data["trajectories"]] == ["a"]
    assert "half written" in data["warnings"][0]
