"""`Replay`: says again what was said in recorded trajectories.

Turns a log into a deterministic policy: to reproduce a failure, to re-score old play under a changed environment, or to
test the engine against itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from agentgym.errors import UsageError
from agentgym.ledger import ChatTokenizer
from agentgym.policy import Request
from agentgym.store import TrajectoryLog
from agentgym.types import Completion, Trajectory


class Replay:
    """Answers turn t of trajectory `id` with the completion recorded for it.

    Args:
        source: trajectories, or the path of a trajectory log.
        chat: tokenizer that the recording was made with, to rebuild the token ledger from the recorded ids.
    """

    batching: Literal["each", "batch"] = "each"
    max_batch = 1
    wants_oracle = False
    version = 0

    def __init__(self, source: str | Path | Iterable[Trajectory], chat: ChatTokenizer | None = None) -> None:
        self.tokenizer = chat
        self._said: dict[str, tuple[Completion, ...]]
        if isinstance(source, str | Path):
            self._said = read_log(Path(source))
        else:
            self._said = {found.id: tuple(turn.completion for turn in found.turns) for found in source}

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """The recorded answers.

        Raises:
            UsageError: the recording has no such trajectory or turn.
        """
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Completion:
        said = self._said.get(request.trajectory)
        if said is None:
            raise UsageError(
                f"replay: nothing is recorded for {request.trajectory!r} ({len(self._said)} trajectories are)"
            )
        if request.turn >= len(said):
            raise UsageError(
                f"replay: {request.trajectory!r} has {len(said)} recorded turns; turn {request.turn} was asked for: "
                "the environment did not answer as it did when this was recorded"
            )
        return said[request.turn]

    def forget(self, trajectory: str) -> None:
        """A retried attempt is replayed from its beginning: nothing is forgotten."""

    def close(self) -> None:
        """Nothing is held."""


def read_log(path: Path) -> dict[str, tuple[Completion, ...]]:
    """The completions of each trajectory in a log, by trajectory id; of two with one id the later counts.

    Raises:
        UsageError: there is no such file, or no whole trajectory in it.
    """
    if not path.is_file():
        raise UsageError(f"replay: {path} is not a file")
    log = TrajectoryLog(path)
    said = {entry.trajectory.id: tuple(turn.completion for turn in entry.trajectory.turns) for entry in log}
    if not said:
        raise UsageError(f"replay: {path} holds no trajectory" + "".join(f"; {warning}" for warning in log.warnings))
    return said
