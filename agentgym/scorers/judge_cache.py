"""Keeps verdicts by the hash of what was asked, in memory and on disk: what was paid for is not asked again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from agentgym.scorers.prompts import Question
from agentgym.scorers.verdict import LONGEST, BadVerdictError, read


class VerdictCache:
    """Replies by key. Files are written whole or not at all, so that several runs may share a folder.

    What is on disk is trusted no more than a judge: it is read by the same rules, and an entry that is torn or
    anything but the verdict that was asked for is as good as none.
    """

    def __init__(self, folder: Path | None) -> None:
        """Args: `folder` to keep replies in, made when needed; `None` for this process only."""
        self.folder = folder
        self._known: dict[str, float] = {}

    def get(self, key: str, question: Question) -> float | None:
        """The score of a verdict that is known, else `None`."""
        if key not in self._known and self.folder is not None:
            try:
                with self._path(self.folder, key).open("rb") as file:
                    reply = file.read(4 * LONGEST).decode()
                self._known[key] = read(reply, question.verdict, question.statements)
            except (OSError, UnicodeDecodeError, BadVerdictError):
                return None
        return self._known.get(key)

    def put(self, key: str, reply: str, score: float) -> None:
        """Remember a verdict. A disk that refuses costs another question in the next run, not this one."""
        self._known[key] = score
        if self.folder is None:
            return
        path = self._path(self.folder, key)
        temporary = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(reply.encode())
            os.replace(temporary, path)
        except OSError:
            if temporary:
                Path(temporary).unlink(missing_ok=True)

    def _path(self, folder: Path, key: str) -> Path:
        return folder / key[:2] / f"{key}.json"
