"""A model as a judge: any OpenAI-compatible server says how good turns or attempts are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from agentgym.credit.columns import PLAYED, REQUIRED, Column
from agentgym.credit.table import TurnTable
from agentgym.errors import CreditError
from agentgym.scorers.base import Scorer, ScorerContext, Working
from agentgym.scorers.evidence import statements_of, trajectory_data, turn_data
from agentgym.scorers.judge_cache import VerdictCache
from agentgym.scorers.judge_client import Answer, JudgeClient, NoVerdictError
from agentgym.scorers.prompts import PROMPTS, Level, Question, ask
from agentgym.types import Trajectory


class Judge(Scorer):
    """Writes one column in [0, 1]: what the judge says of the turn, or of the attempt in all its rows.

    `prompt` names what is asked (`agentgym.scorers.prompts`); `rubric` needs the task's private `rubric`, a list of
    statements. A verdict is exactly the JSON object asked for, or it does not count and the judge is asked again; text
    in a trajectory cannot change how it is read. Equal questions are asked once, and answers kept by their hash on
    disk, so that a run that is resumed finds the same verdicts. A question without a verdict is an error that names the
    trajectory, unless `neutral` says what stands for it; those are counted in the metric `failed` and not kept.
    """

    model: str
    """The server's name for the judge."""
    base_url: str = Field(default="http://127.0.0.1:8000/v1", pattern=r"^https?://")
    """Where `/chat/completions` is."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; it is sent only to `base_url` and never shown."""
    prompt: Literal["steps", "rubric", "subgoals", "interest"] = "steps"
    """What is asked."""
    instructions: str | None = Field(default=None, min_length=1)
    """Your own words in the place of the prompt's; what is shown and the form of the verdict stay its own."""
    level: Level | None = None
    """Whether each turn is judged, or each attempt as a whole; the prompt's own where not given."""
    column: str = Field(default="judge_score", min_length=1)
    """Name of the column."""
    reference: bool = False
    """Whether the judge is shown the task's private `answer`."""
    neutral: float | None = Field(default=None, ge=0, le=1)
    """The score where the judge gives no verdict; without it that is an error."""
    max_characters: int = Field(default=4000, ge=100)
    """Of a longer text (an observation, an answer) the middle is left out."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one try."""
    retries: int = Field(default=3, ge=0)
    """Further tries for a question."""
    backoff: float = Field(default=0.5, ge=0)
    """Seconds before the first of them, doubled each time."""
    concurrency: int = Field(default=16, ge=1, le=256)
    """Questions at once."""
    max_tokens: int = Field(default=512, ge=1)
    """Most tokens of a reply."""
    extra: Mapping[str, Any] = Field(default_factory=dict[str, Any])
    """More fields of the request, such as a `response_format` that the server understands."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.level is not None and self.level not in PROMPTS[self.prompt].shows:
            raise ValueError(f"prompt {self.prompt!r} cannot be asked of a {self.level}")
        if self.column in REQUIRED or self.column in PLAYED or self.column == "advantage":
            raise ValueError(f"column {self.column!r} is of the table itself; name another")
        return self

    def written(self) -> frozenset[str]:
        """The column."""
        return frozenset({self.column})

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work; the server is first asked when there is something to judge."""
        return _Working(self, context)


class _Working(Working):
    def __init__(self, config: Judge, context: ScorerContext) -> None:
        self.config, self.context = config, context
        self.prompt = PROMPTS[config.prompt]
        self.level: Level = config.level or next(iter(self.prompt.shows))
        self.cache = VerdictCache(context.cache / "judge" if context.cache is not None else None)
        wanted = ("api_key_env", "timeout", "retries", "backoff", "max_tokens", "concurrency", "extra")
        self.client = JudgeClient(config.model, config.base_url, **{name: getattr(config, name) for name in wanted})
        self.asked = self.tries = 0
        """Questions that were sent, and how often. No metrics: they depend on what was known before."""
        self.counts: dict[str, float] = dict.fromkeys(("questions", "failed"), 0.0)

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """The column, float64 `[n]`.

        Raises:
            CreditError: no verdict on a question, and no `neutral`; a task without what is to be shown.
        """
        by = (self.config.model, self.config.base_url, self.config.extra)
        asked = [(q, q.key(*by), where) for q, where in self._questions(played, table)]
        known: dict[str, float] = {}
        new: dict[str, tuple[Question, str]] = {}
        for question, key, where in asked:
            found = self.cache.get(key, question)
            if found is None:
                new.setdefault(key, (question, where))
            else:
                known[key] = found
        known |= self._ask(new)
        self.counts["questions"] += len(asked)
        scores = np.asarray([known[key] for _, key, _ in asked], dtype=np.float64)
        return {self.config.column: scores if self.level == "turn" else scores[table.trajectories.ids]}

    def learn(self, played: Sequence[Trajectory], table: TurnTable) -> dict[str, float]:
        """Learns nothing; says how many questions there were since the last time, and how many had no verdict."""
        metrics, self.counts = self.counts, dict.fromkeys(self.counts, 0.0)
        return metrics

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _questions(self, played: Sequence[Trajectory], table: TurnTable) -> Iterator[tuple[Question, str]]:
        """One a row, or one a trajectory, with where it is from."""
        instructions = self.config.instructions or self.prompt.instructions
        shows = self.prompt.shows[self.level]
        rows = table.last if self.level == "trajectory" else np.arange(len(table))
        for number, n in zip(map(int, table["trajectory"][rows]), map(int, table["turn"][rows]), strict=True):
            trajectory = played[number]
            task = self.context.task(trajectory.task_id)
            most = self.config.max_characters
            if self.level == "turn":
                data, where = turn_data(trajectory, task, n, shows, most), f"trajectory {trajectory.id!r}, turn {n}"
            else:
                data, where = trajectory_data(trajectory, task, shows, most), f"trajectory {trajectory.id!r}"
            if self.config.reference:
                if "answer" not in task.data:
                    raise CreditError(f"{where}: task {task.id!r} has no data['answer'] to show to the judge")
                data["reference"] = task.data["answer"]
            count = len(statements_of(trajectory, task)) if "statements" in shows else 0
            yield ask(instructions, self.prompt.verdict, data, count), where

    def _ask(self, new: Mapping[str, tuple[Question, str]]) -> dict[str, float]:
        """Scores of questions by key, several at once; the first that fails stops the rest."""
        found: dict[str, float] = {}
        with ThreadPoolExecutor(self.config.concurrency, thread_name_prefix="judge") as pool:
            asked: dict[str, Future[Answer]] = {k: pool.submit(self.client.ask, q) for k, (q, _) in new.items()}
            try:
                for key, future in asked.items():
                    found[key] = self._settle(key, future, new[key][1])
            finally:
                pool.shutdown(cancel_futures=True)
        return found

    def _settle(self, key: str, future: Future[Answer], where: str) -> float:
        self.asked += 1
        try:
            answer = future.result()
        except NoVerdictError as error:
            self.counts["failed"] += 1
            if self.config.neutral is None:
                said = f"{where}: the judge at {self.config.base_url} gave no verdict: {error}"
                raise CreditError(f"{said}; look at the server, or set `neutral` to what may stand for one") from None
            return self.config.neutral
        self.tries += answer.tries
        self.cache.put(key, answer.reply, answer.score)
        return answer.score
