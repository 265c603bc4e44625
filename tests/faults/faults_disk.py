"""Disks that are full, logs that are torn, and checkpoints that are not what was written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from faults_run import ForkServer, Tally, bits, differences

from agentgym import checkpoint
from agentgym.errors import StoreError
from agentgym.store import RunFolder, TrajectoryLog
from agentgym.track import Tracker, read_metrics

FILES = ("tensors.safetensors", "meta.json", "manifest.json")


def refused(said: str, code: int, root: str) -> str:
    """What is wrong with how a command said that the disk refused: one line that names the file, no traceback."""
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if code != 1 or len(errors) != 1 or "Traceback" in said:
        return f"ended with {code}: {said[-700:]}"
    return "" if root in errors[0] else f"the error names no file: {errors[0]}"


def limited_files(server: ForkServer, sizes: Iterable[int]) -> Tally:
    """No file may be larger than so many bytes (RLIMIT_FSIZE); then it may, and the run is resumed."""
    tally = Tally("files at their greatest size: a clear error, then resumed to the same bits")
    for size in sizes:
        name = f"limited-{size}"
        ended = server.train(name, fsize=size)
        trouble = refused(ended.said, ended.code, str(server.root)) or server.finished(name)
        tally.add(f"{size} bytes: {trouble}" if trouble else "")
    return tally


def mounted(path: Path) -> bool:
    """Make a small disk in memory at `path`; whether this process may."""
    path.mkdir(parents=True, exist_ok=True)
    return not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], capture_output=True
    ).returncode


def resized(path: Path, size: int) -> None:
    """Give a small disk another size, in bytes."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(path)], check=True)


def full_disk(server: ForkServer, sizes: Iterable[int]) -> Tally:
    """A disk with room for so many bytes; then it gets more, and the run is resumed. `server.root` is its mount."""
    tally = Tally("full disk: a clear error, then resumed to the same bits")
    places: set[str] = set()
    for size in sizes:
        name = f"full-{size}"
        resized(server.root, size)
        ended = server.train(name)
        resized(server.root, 64 << 20)
        if ended.code == 0:  # There was room for all of it.
            shutil.rmtree(server.root / name)
            break
        trouble = refused(ended.said, ended.code, str(server.root))
        places |= {part for part in ("trajectories", "metrics", "checkpoint", "model", "report") if part in ended.said}
        trouble = trouble or server.finished(name)
        tally.add(f"{size} bytes: {trouble}" if trouble else "")
    tally.note = f"refused to: {', '.join(sorted(places))}"
    return tally


def full_later(server: ForkServer, spare: Iterable[int]) -> Tally:
    """A trained run without its model and its page, on a disk with so many bytes to spare; then as `full_disk`."""
    tally, places = Tally("full disk after the last checkpoint: a clear error, then the same bits"), set[str]()
    if server.train("trained").code:
        raise AssertionError("the disk is too small to begin with")
    used = size_of(server.root)
    for more in spare:
        folder = server.root / f"later-{more}"
        shutil.copytree(server.root / "trained", folder)
        shutil.rmtree(folder / "model")
        (folder / "report.html").unlink()
        resized(server.root, size_of(server.root) + more)
        ended = server.resume(folder.name)
        resized(server.root, 64 << 20)
        trouble = refused(ended.said, ended.code, str(server.root))
        places |= {part for part in ("model", "report") if f"/{part}" in ended.said.partition("error: ")[2]}
        trouble = trouble or server.finished(folder.name)
        tally.add(f"{more} bytes: {trouble}" if trouble else "")
    tally.note = f"refused to: {', '.join(sorted(places))}; {used:,} bytes before"
    return tally


def size_of(disk: Path) -> int:
    """Bytes that are taken on a disk."""
    status = os.statvfs(disk)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def torn_trajectories(run: Path, work: Path, records: int = 3, every: int = 1) -> Tally:
    """The trajectory log cut at every byte of its last records: only the torn one is lost, and writing goes on."""
    tally = Tally("trajectory logs cut at a byte of the last records")
    whole = (run / "trajectories.jsonl").read_bytes().splitlines(keepends=True)[-records - 2 :]
    path, shown = work / "torn.jsonl", list(TrajectoryLog(run / "trajectories.jsonl"))[-records - 2 :]
    before = sum(map(len, whole[:2]))
    for cut in range(before, sum(map(len, whole)), every):
        for rest in work.glob("torn*"):
            rest.unlink()
        path.write_bytes(b"".join(whole)[:cut])
        ends = [sum(map(len, whole[: n + 1])) for n in range(len(whole))]
        left = sum(end <= cut for end in ends)
        with TrajectoryLog(path) as log:
            trouble = "" if list(log) == shown[:left] else "reading lost more than the torn record"
            if bool(log.warnings) != (cut not in ends):
                trouble = trouble or f"warnings: {log.warnings}"
            log.append(shown[0].trajectory, phase="eval:again")
            if [e.phase for e in log] != [*(e.phase for e in shown[:left]), "eval:again"]:
                trouble = trouble or "what was appended is not read"
        tally.add(f"byte {cut}: {trouble}" if trouble else "")
    return tally


def torn_metrics(run: Path, work: Path, records: int = 3, every: int = 1) -> Tally:
    """The metrics cut at every byte of their last lines: only the torn one is lost, and writing goes on."""
    tally = Tally("metrics cut at a byte of the last lines")
    whole = (run / "metrics.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    known = read_metrics(run / "metrics.jsonl")
    path = work / "metrics.jsonl"
    ends = [sum(map(len, lines[: n + 1])) for n in range(len(lines))]
    for cut in range(ends[-records - 1], len(whole), every):
        path.write_bytes(whole[:cut])
        left = sum(end <= cut for end in ends)
        trouble = "" if read_metrics(path) == known[:left] else "reading lost more than the torn line"
        tracker = Tracker(work, tensorboard=False)
        tracker.log(99, {"eval/success": 0.5}, stage="again")
        tracker.close()
        if [line.step for line in read_metrics(path)] != [*range(1, left + 1), 99]:
            trouble = trouble or "what was appended is not read"
        tally.add(f"byte {cut}: {trouble}" if trouble else "")
    return tally


def torn_runs(server: ForkServer, cuts: Iterable[tuple[str, int]]) -> Tally:
    """A finished run whose log (by name) has lost its last bytes (so many): a page is written, and it is resumed."""
    tally = Tally("runs with a torn log: reported, then resumed to the same bits")
    for name, lost in cuts:
        folder = server.root / f"torn-{name}-{lost}"
        shutil.copytree(server.root / "whole", folder)
        path = folder / name
        os.truncate(path, path.stat().st_size - lost)
        ended = server.do("report", str(folder))
        trouble = f"report ended with {ended.code}: {ended.said[-500:]}" if ended.code else server.finished(folder.name)
        tally.add(f"{name} without {lost} bytes: {trouble}" if trouble else "")
    return tally


def flipped_bytes(work: Path, every: int = 1) -> Tally:
    """Every byte of a small checkpoint inverted, and every file of it cut at every length: never loaded."""
    import torch

    tally = Tally("checkpoints with a byte flipped or cut: the one before is used, and said")
    tensors = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.arange(5).to(torch.bfloat16)}
    for step in (1, 2):
        checkpoint.save(work, step, tensors, {"stage": step})
    for name in FILES:
        victim = work / "step-000002" / name
        whole = victim.read_bytes()
        damaged = [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(0, len(whole), every)]
        damaged += [whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :] for at in range(0, len(whole), every)]
        damaged += [whole[:at] for at in range(0, len(whole), every)]
        for number, data in enumerate(damaged):
            victim.write_bytes(data)
            try:
                found = checkpoint.load_latest(work)
                told = found.warnings[0] if found is not None and found.warnings else ""
                right = found is not None and found.step == 1
                good = right and "step-000002 is damaged" in told and name in told
                tally.add("" if good else f"{name}, {number}: {found}")
            except StoreError as error:
                tally.add(f"{name}, {number}: {error}")
        victim.write_bytes(whole)
    return tally


def flipped_runs(server: ForkServer, places: Iterable[tuple[str, float]]) -> Tally:
    """A byte flipped in a file (by name, at a part of its length) of a run's newest checkpoint; then resumed."""
    tally = Tally("runs whose newest checkpoint has a byte flipped: resumed from the one before to the same bits")
    for name, part in places:
        folder = server.root / "flipped"
        shutil.copytree(server.root / "whole", folder)
        victim = max((folder / "checkpoints").glob("step-*")) / name
        data = bytearray(victim.read_bytes())
        data[int(part * len(data))] ^= 0x10
        victim.write_bytes(data)
        ended = server.resume(folder.name)
        trouble = "" if ended.code == 0 else f"ended with {ended.code}: {ended.said[-500:]}"
        if f"{victim.parent.name} is damaged (" not in " ".join(ended.said.split()):
            trouble = trouble or f"the damage is not said: {ended.said[-500:]}"
        other = trouble or ", ".join(differences(bits(folder), server.bits))
        tally.add(f"{name} at {part:.3f}: {other}" if other else "")
        shutil.rmtree(folder)
    return tally


def nothing_whole(server: ForkServer) -> str:
    """What resuming says where no checkpoint is whole."""
    folder = server.root / "hopeless"
    shutil.copytree(server.root / "whole", folder)
    for path in (folder / "checkpoints").glob("step-*/meta.json"):
        path.write_text(json.dumps({"stages_done": 3}))
    ended = server.resume(folder.name)
    with RunFolder(folder) as run:
        assert len(list(run.trajectories)) == len(server.bits["trajectories"]), "what is there stays as it is"
    shutil.rmtree(folder)
    return ended.said if ended.code == 1 else f"ended with {ended.code}"
