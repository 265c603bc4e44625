"""Game files: made on demand by the maker process, kept in the user's cache under a name that says all about them."""

from __future__ import annotations

import atexit
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from agentgym.errors import EnvCrashedError, MissingExtraError, UsageError

HEADER = 64
"""Bytes of a story file's header, which has the length and checksum of the rest."""


def cache_folder() -> Path:
    """`AGENTGYM_CACHE`, else `agentgym` in the user's cache folder; games are in `textworld` below it."""
    root = os.environ.get("AGENTGYM_CACHE")
    base = Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentgym"
    return base / "textworld"


def require_engine() -> None:
    """Raises: `MissingExtraError` if the engine is not installed."""
    if importlib.util.find_spec("textworld") is None:
        raise MissingExtraError("TextWorld", "textworld")


def path_of(params: Mapping[str, Any]) -> Path:
    """Where the game of these parameters is, or will be: a function of the parameters and the engine's version."""
    require_engine()
    version = importlib.metadata.version("textworld")
    text = json.dumps([version, dict(params)], sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
    return cache_folder() / str(params["engine"]) / f"{digest}.z8"


def intact(path: Path) -> bool:
    """Whether a story file is whole: its own header says how long it is and what its bytes sum to."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    if len(data) < HEADER or not path.with_suffix(".json").exists():
        return False
    length = int.from_bytes(data[0x1A:0x1C], "big") * 8
    checksum = int.from_bytes(data[0x1C:0x1E], "big")
    return HEADER <= length <= len(data) and sum(data[HEADER:length]) & 0xFFFF == checksum


class Maker:
    """A maker process; one request at a time."""

    def __init__(self) -> None:
        require_engine()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agentgym_envs.textworld.make"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )

    def make(self, params: Mapping[str, Any], target: Path) -> None:
        """Make one game file.

        Raises:
            UsageError: the engine refuses the parameters.
            EnvCrashedError: the maker died.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"params": dict(params), "target": str(target)}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise EnvCrashedError(f"the TextWorld game maker died (exit code {self._process.wait()})")
        answer = json.loads(line)
        if not answer["ok"]:
            raise UsageError(f"TextWorld cannot make the game {dict(params)}: {answer['error']}")

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


_maker: Maker | None = None
_lock = threading.Lock()


def ensure(params: Mapping[str, Any]) -> Path:
    """The game file of these parameters, made if it is not in the cache or not whole.

    Raises:
        MissingExtraError: the engine is not installed.
        UsageError: the engine refuses the parameters.
    """
    global _maker
    path = path_of(params)
    if intact(path):
        return path
    with _lock:
        if _maker is None:
            _maker = Maker()
            atexit.register(_close_maker)
        try:
            _maker.make(params, path)
        except EnvCrashedError:
            _maker = None
            raise
    return path


def _close_maker() -> None:
    if _maker is not None:
        _maker.close()


def generate(
    wanted: Iterable[Mapping[str, Any]], workers: int = 2, on_game: Callable[[], None] | None = None
) -> int:
    """Make all games of `wanted` that are not in the cache, in several processes.

    Args:
        wanted: parameters of games, as in `task.data["game"]`.
        workers: maker processes at once.
        on_game: called after each game.

    Returns:
        How many games were made.
    """
    todo: queue.SimpleQueue[tuple[Mapping[str, Any], Path]] = queue.SimpleQueue()
    seen: set[Path] = set()
    for params in wanted:
        path = path_of(params)
        if path not in seen and not intact(path):
            seen.add(path)
            todo.put((params, path))
        elif on_game is not None:
            on_game()
    errors: list[Exception] = []

    def work() -> None:
        maker = Maker()
        try:
            while not errors:
                params, path = todo.get_nowait()
                maker.make(params, path)
                if on_game is not None:
                    on_game()
        except queue.Empty:
            pass
        except Exception as error:
            errors.append(error)
        finally:
            maker.close()

    threads = [threading.Thread(target=work) for _ in range(min(workers, len(seen)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return len(seen)
