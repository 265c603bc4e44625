"""Control groups of boxes where this process may make them: version 1 and 2; memory, processes, processor time.

They are made below the runner's own groups, so that a box never gets more than the runner has. In version 2 a group
with processes can have no children with controllers; there the box's group is made beside the runner's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

CONTROLLERS = ("memory", "pids", "cpu")
_PERIOD = 400_000
"""Microseconds over which processor time is shared out. With the usual 100,000, boxes of half a processor stalled for
seconds in a third of the cases where memory ran out: what is to be killed waits for its share of time to die. With this
it was one case in forty, and none with a whole processor."""
_MOUNTS = Path("/proc/self/mounts")
_MINE = Path("/proc/self/cgroup")


def count_kills(text: bytes) -> int | None:
    """The number of processes killed for memory, in a group's file that counts them."""
    for line in text.splitlines():
        key, _, value = line.partition(b" ")
        if key == b"oom_kill" and value.strip().isdigit():
            return int(value)
    return None


def _homes() -> dict[str, list[Path]]:
    """Where groups may be made, by controller: folders of the runner's own groups, the best first."""
    mounted: dict[str, Path] = {}
    unified: Path | None = None
    for line in _MOUNTS.read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2":
            unified = Path(where)
        elif kind == "cgroup":
            mounted.update({name: Path(where) for name in options.split(",") if name in CONTROLLERS})
    homes: dict[str, list[Path]] = {}
    for line in _MINE.read_text().splitlines():
        _, names, path = line.split(":", 2)
        relative = path.lstrip("/")
        for name in names.split(","):
            if name in mounted:
                homes[name] = [mounted[name] / relative, mounted[name]]
        if not names and unified:
            own = unified / relative
            with contextlib.suppress(OSError):
                for name in (own / "cgroup.controllers").read_text().split():
                    if name in CONTROLLERS:
                        homes.setdefault(name, [own, own.parent] if own != unified else [own])
    return homes


class Groups:
    """The groups of one box."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = folders
        """By controller; in version 2 all the same."""

    @classmethod
    def make(cls, name: str, memory: int, pids: int, cpus: float) -> Groups:
        """Make the groups that can be made and set their limits; what cannot be set is left out.

        Args:
            name: of the box; begins with `agentgym-`.
            memory: bytes. pids: processes. cpus: processors' worth of time.
        """
        folders: dict[str, Path] = {}
        try:
            homes = _homes()
        except (OSError, ValueError):
            return cls({})
        for controller, places in homes.items():
            for place in places:
                folder = place / name
                if _make(folder, controller) and _limit(folder, controller, memory, pids, cpus):
                    folders[controller] = folder
                    break
                if folder not in folders.values():
                    with contextlib.suppress(OSError):
                        folder.rmdir()
        return cls(folders)

    @staticmethod
    def candidates(name: str) -> list[str]:
        """All folders that `make` may make: to be written down before it does."""
        try:
            return sorted({str(place / name) for places in _homes().values() for place in places})
        except (OSError, ValueError):
            return []

    @property
    def entrances(self) -> list[str]:
        """The files that a process writes `0` to, to be in them."""
        return sorted({str(folder / "cgroup.procs") for folder in self.folders.values()})

    def kills(self) -> int | None:
        """Processes that the memory limit has killed."""
        folder = self.folders.get("memory")
        if folder is None:
            return None
        for name in ("memory.oom_control", "memory.events"):
            try:
                found = count_kills((folder / name).read_bytes())
            except OSError:
                continue
            if found is not None:
                return found
        return None

    def remove(self) -> None:
        """Kill what is left in them and remove them."""
        for folder in sorted({str(folder) for folder in self.folders.values()}):
            remove(folder)


def _make(folder: Path, controller: str) -> bool:
    try:
        control = folder.parent / "cgroup.subtree_control"
        if control.exists() and controller not in control.read_text().split():
            control.write_text(f"+{controller}")
        folder.mkdir(exist_ok=True)
    except OSError:
        return False
    return True


def _limit(folder: Path, controller: str, memory: int, pids: int, cpus: float) -> bool:
    quota = max(int(cpus * _PERIOD), 1000)
    wanted: dict[str, str] = {
        "memory.limit_in_bytes": str(memory),
        "memory.memsw.limit_in_bytes": str(memory),
        "memory.max": str(memory),
        "memory.swap.max": "0",
        "memory.oom.group": "0",
        "pids.max": str(pids),
        "cpu.cfs_period_us": str(_PERIOD),
        "cpu.cfs_quota_us": str(quota),
        "cpu.max": f"{quota} {_PERIOD}",
    }
    there = [name for name in wanted if name.startswith(controller + ".") and (folder / name).exists()]
    try:
        for name in there:
            (folder / name).write_text(wanted[name])
    except OSError:
        return False
    return bool(there)


def remove(folder: str) -> None:
    """Kill what is in a group of ours and remove it; nothing happens to any other folder."""
    path = Path(folder)
    if not path.name.startswith("agentgym-") or not (path / "cgroup.procs").exists():
        return
    for _ in range(100):
        with contextlib.suppress(OSError):
            path.rmdir()
            return
        with contextlib.suppress(OSError, ValueError):
            for pid in (path / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.005)
