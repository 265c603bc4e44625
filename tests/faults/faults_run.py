"""What the tests of broken runs share: a run of a second, its bits, a fork server, and points to kill it at."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiny_recipe import start

from agentgym.seeding import generator

RECIPE = f"""
{start(layers=1)}
[limits]
turns = 4
[sampling]
max_tokens = 5
[warmstart]
tasks = 4
epochs = 2
lr = 3e-3
batch = 4
[[credit]]
use = "anchor-state"
[trainer]
iterations = 3
tasks = 2
group = 3
lr = 1e-3
minibatches = 2
[eval]
tasks = 3
every = 2
"""
"""Nine stages, five checkpoints: one from-scratch model, evaluated, warmed up, trained."""


FULL = os.environ.get("AGENTGYM_FAULTS") == "full"
"""Whether the whole numbers are wanted, and not a sample of them."""


@dataclass
class Tally:
    """What became of one kind of fault: a line of the figures."""

    what: str
    tried: int = 0
    failed: list[str] = field(default_factory=list[str])
    """In words, one for each that was not survived as promised."""
    note: str = ""

    def add(self, trouble: str) -> None:
        """One more; `trouble` is empty where all was well."""
        self.tried += 1
        if trouble:
            self.failed.append(trouble)

    def __str__(self) -> str:
        return f"{self.what}: {self.tried - len(self.failed)} of {self.tried}" + (f"; {self.note}" if self.note else "")


@dataclass(frozen=True)
class Change:
    """One change that a run made to its folder."""

    at: float
    """Seconds since its start."""
    what: str
    path: str


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    """Negative: the signal that ended it."""
    said: str


class ForkServer:
    """A context manager: commands of `agentgym` in forked children, killed and starved as asked.

    Attributes:
        changes: those of the uninterrupted run.
        bits: of the uninterrupted run.
    """

    changes: list[Change]
    bits: dict[str, Any]

    def __init__(self, work: Path) -> None:
        """Args: `work` is the folder for recipes, outputs and runs."""
        self.work, self.root = work, work / "runs"
        self.recipe = work / "tiny.toml"
        self._modules: list[str] = []
        self._number = 0

    def __enter__(self) -> ForkServer:
        self.work.mkdir(parents=True, exist_ok=True)
        self.recipe.write_text(RECIPE)
        environ = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
        environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        return self

    def __exit__(self, *why: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.kill()  # No child of it runs; tidying up all that was imported takes it seconds.

    def do(self, *argv: str, **more: Any) -> Ended:
        """Run one command to its end."""
        out = self.work / "out.txt"
        self._number += 1
        job = {"number": self._number, "argv": list(argv), "out": str(out), **more}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = {"number": 0}
        while answer["number"] != self._number:  # One that a test did not wait for is another's.
            line = self._process.stdout.readline()
            assert line, "the fork server is gone"
            answer = json.loads(line)
        self._modules = answer["modules"] or self._modules
        return Ended(answer["code"], out.read_text("utf-8", "replace"))

    def train(self, name: str, **more: Any) -> Ended:
        """`agentgym train` into `runs/<name>`; changes are counted there."""
        argv = ["train", str(self.recipe), "--name", name, "--root", str(self.root)]
        return self.do(*argv, root=str(self.root), **more)

    def resume(self, name: str, **more: Any) -> Ended:
        """Continue it; a run that was killed before it had a folder is begun."""
        if not (self.root / name).exists():
            return self.train(name, **more)
        return self.do("resume", str(self.root / name), root=str(self.root), **more)

    def warm(self) -> ForkServer:
        """Have the server import what a run needs, and make an uninterrupted run to compare with."""
        first = self.train("first", modules=[])
        assert first.code == 0, first.said
        self.do("--version", modules=self._modules)
        self.changes = self.traced("whole", "train")
        self.bits = bits(self.root / "whole")
        return self

    def traced(self, name: str, what: str) -> list[Change]:
        """The changes that a command made, in order."""
        trace = self.work / "trace.jsonl"
        trace.unlink(missing_ok=True)
        ended = (self.train if what == "train" else self.resume)(name, trace=str(trace))
        assert ended.code == 0, ended.said
        return [Change(*json.loads(line)) for line in trace.read_text().splitlines()]

    def finished(self, name: str) -> str:
        """Resume a run and compare it with the uninterrupted one: what is wrong, or nothing; then it is removed."""
        ended = self.resume(name)
        if ended.code:
            return f"resume ended with {ended.code}: {ended.said[-500:]}"
        other = differences(bits(self.root / name), self.bits)
        shutil.rmtree(self.root / name)
        return f"not the same: {', '.join(other)}" if other else ""


def bits(folder: Path) -> dict[str, Any]:
    """Everything about a run that its seed decides: what is equal where two runs are the same."""
    newest = max((folder / "checkpoints").glob("step-*"))
    meta = json.loads((newest / "meta.json").read_text())
    meta.pop("trajectories_offset")  # Seconds are written in as many digits as they have.
    return {
        "metrics": [timeless(json.loads(line)) for line in (folder / "metrics.jsonl").read_text().splitlines()],
        "trajectories": [timeless(json.loads(li)) for li in (folder / "trajectories.jsonl").read_text().splitlines()],
        "meta": meta,
        "weights": {p.relative_to(folder).as_posix(): digest(p) for p in [newest / "tensors.safetensors"]},
        "model": {p.name: digest(p) for p in sorted((folder / "model").iterdir())},
        "files": sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if "tensorboard" not in p.parts),
    }


def timeless(record: Any) -> Any:
    """A record without what a clock says, and without the checksum over it."""
    if isinstance(record, dict):
        clocks = ("time", "seconds", "env_seconds", "crc")
        return {k: timeless(v) for k, v in record.items() if k not in clocks and not k.startswith("time/")}
    return [timeless(v) for v in record] if isinstance(record, list) else record


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """In what two runs differ; empty where they are the same."""
    return [name for name in wanted if found[name] != wanted[name]]


def kind(change: Change) -> str:
    """The part of a run that a change belongs to."""
    for part, named in (("checkpoints/", "save"), ("/model", "export"), (".tmp-model", "export"), ("report", "report")):
        if part in change.path:
            return named
    return "begin" if "/.new-" in change.path or change.path.endswith("/lock") else "log"


def points(changes: list[Change], count: int, seed: int) -> list[dict[str, int]]:
    """`count` points to kill a run at, drawn evenly from the kinds of changes and from the run's whole time.

    Half of those at a change are right before it; the others are anywhere until the next one, which is where files
    are half written.
    """
    rng = generator(seed, "kill")
    kinds = [*sorted({kind(change) for change in changes}), "any"]
    found: list[dict[str, int]] = []
    for number in range(count):
        named = kinds[number % len(kinds)]
        if named == "any":
            moment = changes[0].at + rng.random() * (changes[-1].at - changes[0].at)
            event = max(i for i, change in enumerate(changes) if change.at <= moment)
            after = int(1e6 * (moment - changes[event].at)) + 1
        else:
            event = int(rng.choice([i for i, change in enumerate(changes) if kind(change) == named]))
            last = event + 1 == len(changes)
            gap = 0.0 if last else changes[event + 1].at - changes[event].at
            after = 0 if last or rng.random() < 0.5 else int(1e6 * gap * rng.random()) + 1
        found.append({"event": event, "after": after})
    return found


def moment(folder: Path) -> str:
    """Where a killed run was, by what it left behind."""
    if not folder.exists():
        return "before the folder"
    for pattern, where in (
        ("checkpoints/.tmp-*", "inside a save"),
        (".tmp-model*", "inside the export"),
        (".report*", "inside the report"),
    ):
        if any(folder.glob(pattern)):
            return where
    if (folder / "model").exists():
        return "after the export"
    path = folder / "metrics.jsonl"  # Read as lines: it may be torn.
    last = json.loads(path.read_text().splitlines()[-1])["stage"] if path.exists() and path.stat().st_size else ""
    return f"after {last.partition(':')[0] or 'the start'}"
