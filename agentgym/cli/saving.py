"""Run folders for what is played outside training: `eval --save`, `play --save`."""

from __future__ import annotations

from pathlib import Path

from agentgym.store import RunFolder


def recording(path: Path) -> RunFolder:
    """A new run folder at `path`, to append trajectories to.

    Raises:
        UsageError: something stands there already.
    """
    full = path.resolve()
    return RunFolder.create(full.name, root=full.parent)
