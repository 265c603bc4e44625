"""The name that a run has in other people's trackers: made once, kept in the run's folder, the same after a resume."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

FILE = "track-id"


def run_id(folder: Path) -> str:
    """Twelve hexadecimal digits that no other run has.

    Raises:
        OSError: the folder cannot be written.
    """
    path = folder / FILE
    try:
        found = path.read_text("ascii").strip()
        if len(found) == 12 and set(found) <= set("0123456789abcdef"):
            return found
    except (OSError, ValueError):
        pass
    # No random number: those belong to seeds. Two runs begin neither in one folder nor in one nanosecond.
    made = hashlib.sha256(f"{folder.resolve()} {time.time_ns()}".encode("utf-8", "surrogateescape")).hexdigest()[:12]
    path.write_text(made + "\n", "ascii")
    return made
