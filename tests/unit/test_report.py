"""The page: whole, inert against hostile text, and small enough."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import time
from pathlib import Path

import pytest
from view_cases import made, played

from agentgym.errors import UsageError
from agentgym.report import choose, fit, read_data, write_report
from agentgym.store import RunFolder
from agentgym.track import Tracker
from agentgym.types import Completion, Ending, Observation, Trajectory, Turn
from agentgym.view.curves import curves
from agentgym.view.data import RunData
from agentgym.view.record import MAX_TEXT
from agentgym.view.rows import Query

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
    assert (data["metrics"], data["rows"], data["trajectories"]) == ({"0": []}, {"0": []}, {"0": {}})
    (about,) = data["runs"]["runs"]
    assert (about["name"], about["total"], data["limits"]) == ("empty", 0, "")


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
    (shown,) = data["trajectories"]["0"].values()
    assert shown["id"] == HOSTILE
    assert shown["turns"][0]["observation"]["text"] == HOSTILE
    assert data["metrics"]["0"][0]["values"] == {f"eval/{HOSTILE}": 1.0}


def test_the_page_loads_nothing_and_runs_only_its_own_scripts(tmp_path: Path) -> None:
    page = write_report(RunFolder(made(tmp_path))).read_text("utf-8")
    tags = Scripts(page).tags
    loading = [(t, a) for t, a in tags if t in ("img", "iframe", "object") or "src" in a]
    loading += [(t, a) for t, a in tags if t == "link" and not (a.get("href") or "").startswith("data:")]
    loading += [(t, a) for t, a in tags if t != "link" and "href" in a and not (a["href"] or "").startswith("#")]
    assert not loading
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert scripts
    policy = next(a["content"] for t, a in tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert tags.index(("meta", {"http-equiv": "Content-Security-Policy", "content": policy})) < 4, (
        "before what it rules"
    )
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = re.findall(r"'sha256-([^']+)'", (policy or "").split("script-src")[1].split(";")[0])
    assert set(hashes) <= set(allowed)
    assert "default-src 'none'" in (policy or "")
    assert "unsafe" not in (policy or "")


def test_the_page_has_what_the_server_would_say(tmp_path: Path) -> None:
    path = made(tmp_path)
    run = RunData(path)
    data = read_data(write_report(run.folder).read_text("utf-8"))
    run.refresh(60)
    run.parts.list_tasks()

    def said(value: object) -> object:
        return json.loads(json.dumps(value))

    assert data["runs"]["runs"] == [said(run.about())]
    assert data["rows"]["0"] == said(run.rows(Query(limit=1000))["rows"])
    assert data["curves"] == said(curves([run]))
    count = 6 + 2 * len(played())
    assert list(data["trajectories"]["0"]) == [str(n) for n in range(count)]
    for n in (0, 9, count - 1):
        assert data["trajectories"]["0"][str(n)] == said(run.trajectory(n))
        assert data["credit"]["0"][str(n)] == said(run.credit(n))
    group = run.index.group.of(9)
    assert data["groups"]["0"][json.dumps([group, "train", 0], separators=(",", ":"))] == said(
        run.groups(group, "train", 0)
    )


def test_several_runs_are_one_page(tmp_path: Path) -> None:
    paths = [made(tmp_path, f"k-{seed}", seed, iterations=1) for seed in (0, 1, 2)]
    target = write_report([RunFolder(path) for path in paths])
    assert target == tmp_path / "report.html"
    data = read_data(target.read_text("utf-8"))
    assert [run["n"] for run in data["runs"]["runs"]] == [0, 1, 2]
    assert {tuple(one["runs"]) for one in data["curves"]["series"]} == {(0, 1, 2)}
    assert all(data["rows"][key] for key in "012")


def test_choice_keeps_evaluations_and_the_latest() -> None:
    log = ["eval:a"] * 20 + ["demo"] * 5 + ["train"] * 300 + ["eval:b"] * 20
    shown, total = choose(log, 100)
    assert total == 345
    assert len(shown) == 100
    assert shown[:20] == list(range(20))
    assert shown[-20:] == list(range(325, 345))
    assert [n for n in shown if log[n] == "train"] == list(range(270, 325))
    assert choose(log, 345) == (list(range(345)), 345)
    many = ["eval:a"] * 200 + ["train"] * 300 + ["eval:b"] * 200
    picked = choose(many, 40)[0]
    assert {many[n] for n in picked} == {"eval:a", "eval:b", "train"}
    assert len(picked) == 40
    assert choose(log, 0) == ([], 345)
    for limit in range(1, 30):
        assert len(choose(log, limit)[0]) <= limit


def test_what_is_too_much_is_left_out_and_said(tmp_path: Path) -> None:
    long = one("long", "x" * (MAX_TEXT + 5))
    with RunFolder.create("big", tmp_path) as run:
        run.trajectories.append(long)
        run.trajectories.append(one("short"))
        data = read_data(write_report(run, limit=1).read_text("utf-8"))
        assert [row["id"] for row in data["rows"]["0"]] == ["short"], "the latest stay"
        assert "1 of 2 trajectories" in data["limits"]
        data = read_data(write_report(run).read_text("utf-8"))
        with pytest.raises(UsageError):
            write_report(run, limit=-1)
        with pytest.raises(UsageError):
            write_report([])
    assert data["trajectories"]["0"]["0"]["final"]["text"] == "x" * MAX_TEXT + "\n[... 5 more characters]"
    assert "Long texts of 1" in data["limits"]
    assert fit([1, 2, 3], lambda n: "x" * 10, 25) == {2: "x" * 10, 3: "x" * 10}


def test_a_torn_log_is_reported_on_the_page(tmp_path: Path) -> None:
    with RunFolder.create("torn", tmp_path) as run:
        run.trajectories.append(one("a"))
    log = tmp_path / "torn" / "trajectories.jsonl"
    log.write_bytes(log.read_bytes() + b'{"id": "b", "tur')
    data = read_data(write_report(RunFolder(tmp_path / "torn")).read_text("utf-8"))
    assert [row["id"] for row in data["rows"]["0"]] == ["a"]
    assert "half written" in data["runs"]["runs"][0]["warnings"][0]


def test_a_page_takes_seconds(tmp_path: Path) -> None:
    path = made(tmp_path, iterations=15)
    began = time.process_time()
    target = write_report(RunFolder(path))
    assert time.process_time() - began < 3
    assert target.stat().st_size < 12_000_000
