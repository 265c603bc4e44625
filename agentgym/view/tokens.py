"""A trajectory's tokens with a number each: log-probability, importance ratio, or entropy.

Log-probabilities are in the log. Ratio and entropy ask the run's own model: it is loaded when somebody asks, kept, and
nothing of torch is imported before. The words of tokens come from the tokenizer beside that model.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentgym.errors import AgentgymError, UsageError
from agentgym.records import read_float
from agentgym.store import from_json

if TYPE_CHECKING:
    from agentgym.view.asking import Asked
    from agentgym.view.data import RunData

BY = ("logprob", "ratio", "entropy")
MOST = 20_000
"""Tokens of one answer."""
LONGEST = 16_000
"""Tokens of a trajectory that the model is asked about."""
BYTES = 20_000_000
"""Bytes of a trajectory in the log that the model is asked about."""


class Tokens:
    """The tokens of a run's trajectories. Methods may be called by several threads."""

    def __init__(self, run: RunData) -> None:
        """Args: `run` whose; no model is loaded yet."""
        self.run = run
        self._words: Any = None
        self._asked: Asked | None = None
        self._lock = threading.Lock()

    def of(self, n: int, by: str) -> dict[str, Any]:
        """Tokens of every turn of a row, with the number asked for.

        Raises:
            UsageError: no such number, or it cannot be had; says why and what to do.
            StoreError: there is no such row.
        """
        if by not in BY:
            raise UsageError(f"tokens can be shown by {', '.join(BY)}, not by {by!r}")
        record = self.run.index.line(n)
        ids = [[int(i) for i in turn["completion"].get("tokens") or ()] for turn in record["turns"]]
        if not any(ids):
            raise UsageError("this trajectory was played by a policy without a tokenizer: it has no tokens to show")
        model: str | None = None
        values: Sequence[Sequence[float | None]]
        if by == "logprob":
            values = [_logprobs(turn["completion"]) for turn in record["turns"]]
        else:
            if sum(map(len, ids)) > LONGEST or self.run.index.length(n) > BYTES:
                raise UsageError(f"the trajectory is too long to ask the model about: at most {LONGEST:,} tokens")
            values, model = self._ask(record, by)
        words = self._text(ids)
        turns: list[dict[str, Any]] = []
        left = MOST
        for number, own in enumerate(ids):
            got = values[number] if number < len(values) else []
            why = None if len(got) == len(own) else "the policy gave no log-probabilities for this turn"
            shown = own[:left]
            left -= len(shown)
            if len(shown) < len(own):
                why = f"only the first {MOST:,} tokens are shown"
            turns.append(
                {
                    "tokens": [
                        {"text": words(i), "id": i, "value": got[k] if k < len(got) else None}
                        for k, i in enumerate(shown)
                    ],
                    "why": why,
                }
            )
        known = [t["value"] for turn in turns for t in turn["tokens"] if t["value"] is not None]
        return {
            "by": by,
            "turns": turns,
            "low": min(known, default=None),
            "high": max(known, default=None),
            "model": model,
        }

    def _ask(self, record: dict[str, Any], by: str) -> tuple[list[list[float | None]], str]:
        with self._lock:
            try:
                from agentgym.view.asking import Asked
            except ModuleNotFoundError as error:
                raise UsageError(
                    f"{by} asks the run's model, which needs an optional part: pip install 'agentgym-suite[train]'"
                ) from error
            if self._asked is None:
                self._asked = Asked(self.run)
            return self._asked(from_json(record), by)

    def _text(self, ids: Sequence[Sequence[int]]) -> Any:
        """A function from id to text; of a run whose tokenizer is not to be had it gives the id."""
        with self._lock:
            if self._words is None:
                self._words = _Words(self.run)
        return self._words


class _Words:
    """Texts of ids, by the tokenizer in the run's model folder or, without one, that of the recipe's model."""

    def __init__(self, run: RunData) -> None:
        self._known: dict[int, str] = {}
        self._decode: Any = None
        # Where there is no tokenizer, tokens are shown by id.
        with contextlib.suppress(AgentgymError, ImportError, OSError, ValueError):
            self._decode = _decoder(run)

    def __call__(self, number: int) -> str:
        found = self._known.get(number)
        if found is None:
            try:
                found = str(self._decode(number)) if self._decode is not None else f"[{number}]"
            except Exception:  # A tokenizer may refuse an id that it does not have.
                found = f"[{number}]"
            self._known[number] = found
        return found


def _decoder(run: RunData) -> Callable[[int], str]:
    import tokenizers

    ref = run.config_value("model", dict[str, Any]()).get("ref", "")
    folders = [run.folder.model]
    if isinstance(ref, str) and ref and ":" not in ref:
        folders.append(Path(ref))
    for folder in folders:
        file = folder / "tokenizer.json"
        if file.is_file():
            made: Any = tokenizers.Tokenizer.from_file(str(file))
            return lambda number: str(made.decode([number], skip_special_tokens=False))
    from agentgym.view.asking import tokenizer_of

    chat: Any = tokenizer_of(run)
    return lambda number: str(chat.decode([number], skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _logprobs(completion: dict[str, Any]) -> list[float | None]:
    found = [read_float(value) for value in completion.get("logprobs") or ()]
    return [value if math.isfinite(value) else None for value in found]
