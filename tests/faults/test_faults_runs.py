"""Runs that are killed, starved, torn and damaged come to the bits of a run that nothing happened to."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults_clock import jumped_episodes, jumped_runs
from faults_disk import (
    FILES,
    flipped_bytes,
    flipped_runs,
    full_disk,
    full_later,
    limited_files,
    mounted,
    nothing_whole,
    torn_metrics,
    torn_runs,
    torn_trajectories,
)  # fmt: skip
from faults_kill import killed, killed_again
from faults_run import FULL, ForkServer, Tally

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="changes are followed through /proc: Linux only"),
    pytest.mark.timeout(7200 if FULL else 1200),
]
Figures = Callable[[Tally], None]


def test_a_run_is_the_same_twice(server: ForkServer) -> None:
    # What all others rest on: without a fault there is no difference.
    assert server.train("twice").code == 0
    assert server.finished("twice") == ""


def test_a_difference_is_seen(server: ForkServer) -> None:
    shutil.copytree(server.root / "whole", server.root / "changed")
    path = server.root / "changed" / "trajectories.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"success":true', b'"success":false'))
    assert "trajectories" in server.finished("changed")


def test_killed_at_any_point_it_resumes_to_the_same_bits(server: ForkServer, figures: Figures) -> None:
    figures(killed(server, 100 if FULL else 12))


def test_killed_again_while_it_resumes(server: ForkServer, figures: Figures) -> None:
    figures(killed_again(server, 30 if FULL else 4))


def test_files_that_may_not_grow(server: ForkServer, figures: Figures) -> None:
    # From one that holds no recipe to one that holds all but the weights.
    figures(limited_files(server, range(900, 360_000, 3000) if FULL else (900, 3000, 40_000, 200_000)))


@pytest.fixture
def disk(server: ForkServer, tmp_path: Path) -> Iterator[ForkServer]:
    """The server with its runs on a disk of its own."""
    if not mounted(tmp_path / "disk"):
        pytest.skip("a small disk cannot be mounted here; files of limited size are tested all the same")
    root, server.root = server.root, tmp_path / "disk"
    try:
        yield server
    finally:
        server.root = root
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def test_a_disk_that_is_full(disk: ForkServer, figures: Figures) -> None:
    figures(full_disk(disk, range(8192, 1_900_000, 12288 if FULL else 260_000)))


def test_a_disk_that_is_full_at_the_end(disk: ForkServer, figures: Figures) -> None:
    figures(full_later(disk, range(8192, 520_000, 16_384 if FULL else 170_000)))


def test_logs_cut_at_every_byte_of_their_last_records(server: ForkServer, tmp_path: Path, figures: Figures) -> None:
    whole = server.root / "whole"
    figures(torn_trajectories(whole, tmp_path, every=1 if FULL else 11))
    figures(torn_metrics(whole, tmp_path, every=1 if FULL else 5))


def test_runs_with_a_torn_log_are_reported_and_resumed(server: ForkServer, figures: Figures) -> None:
    size = (server.root / "whole" / "trajectories.jsonl").stat().st_size
    few = [("trajectories.jsonl", 1), ("trajectories.jsonl", 9000), ("metrics.jsonl", 1), ("metrics.jsonl", 700)]
    cuts = [("trajectories.jsonl", n) for n in range(1, size // 3, 400)] + [
        ("metrics.jsonl", n) for n in range(1, 1500, 60)
    ]
    figures(torn_runs(server, cuts if FULL else few))


def test_metrics_that_have_lost_too_much_are_said(server: ForkServer) -> None:
    folder = server.root / "lost"
    shutil.copytree(server.root / "whole", folder)
    os.truncate(folder / "metrics.jsonl", 100)
    ended = server.resume("lost")
    assert ended.code == 1
    assert "metrics.jsonl has lost lines" in ended.said
    (folder / "metrics.jsonl").unlink()
    assert server.resume("lost").code == 0
    shutil.rmtree(folder)


def test_no_flipped_byte_of_a_checkpoint_is_loaded(tmp_path: Path, figures: Figures) -> None:
    figures(flipped_bytes(tmp_path, every=1 if FULL else 4))


def test_a_run_with_a_damaged_checkpoint_goes_on_from_the_one_before(server: ForkServer, figures: Figures) -> None:
    parts = [n / 20 for n in range(20)] if FULL else [0.5]
    figures(flipped_runs(server, [(name, part) for name in FILES for part in parts]))


def test_a_run_without_a_whole_checkpoint_says_what_to_do(server: ForkServer) -> None:
    said = nothing_whole(server)
    assert "error: no whole checkpoint" in said
    assert "remove the folder to start over" in said
    assert "Traceback" not in said


def test_runs_under_a_clock_that_jumps(server: ForkServer, figures: Figures) -> None:
    figures(jumped_runs(server))


def test_deadlines_under_a_clock_that_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: Figures) -> None:
    figures(jumped_episodes(tmp_path, monkeypatch))
