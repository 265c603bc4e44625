"""How probable the private answer is after every turn: many probes that hang on one trajectory's tokens."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from agentgym.credit.columns import Column
from agentgym.credit.table import TurnTable
from agentgym.env import Ability, EnvSpec
from agentgym.errors import CreditError, StoreError
from agentgym.scorers.base import Scorer, ScorerContext, Working
from agentgym.scorers.places import Query, places, trajectories_of
from agentgym.types import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from agentgym.models import Loaded

Int = NDArray[np.int64]


@runtime_checkable
class ScoresAnswers(Protocol):
    """A policy that can be asked about answers that it did not sample."""

    async def score(self, prompt: Sequence[int], answer: Sequence[int]) -> tuple[float, ...]:
        """Log-probability (nats) of each of `answer`'s tokens after `prompt`, with the weights as they are now."""
        ...


class AnswerLogprob(Scorer):
    """Writes `answer_logprob`, after the turn, and `answer_logprob_before`, before it: log pi(answer | ...) in nats.

    The answer is `task.data["answer"]`, a text or a list of texts of which the first counts. It is asked for where the
    model would speak next: after the ledger's tokens up to the first token of the next turn's action, the
    environment's reply and the head of the next message among them. After the last turn nothing was seen any more: its
    probe follows the last token of its action, and the chat template's own words between two messages of the
    assistant. Then comes `template_open`; of what follows only the answer's tokens count. Before the first turn the
    probe follows the prompt, and before any later turn it is the one after the turn before.

    Answer and templates are encoded apart, so that the answer's tokens are the same after every turn; special tokens
    are alive in the templates, which are the recipe's, and plain text in the answer. Where a chat template rewrites
    history and the ledger is cut, each probe stands in the sample of the turn that it comes before.

    All probes of an iteration are answered in packed forward passes: what trajectories and probes have in common is
    computed once, each probe looks at its own prefix only, equal probes are one. The log-probabilities are those of a
    plain forward pass for each turn, to rounding.

    Source: information gain (IGPO), arXiv 2510.14967, mean over tokens under the policy, with a template that closes
    the thought; TRACE, arXiv 2607.13988, under a frozen reference. The templates are this implementation's own, and
    whether TRACE takes the mean or the sum could not be checked.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"answer_logprob", "answer_logprob_before"})

    template_open: str = "Answer:\n"
    """Put before the answer. For a model that thinks aloud, close the thought here: `"\\n</think>\\nAnswer:\\n"`."""
    template_close: str = ""
    """Put after the answer. It cannot change the probability of what comes before it; see `count_close`."""
    count_close: bool = False
    """Whether the tokens of `template_close` count as the answer's last: "red" is then no beginning of "reddish"."""
    normalise: Literal["mean", "sum"] = "mean"
    """Over the answer's tokens."""
    weights: Literal["policy", "initial"] = "policy"
    """Whose probability: the policy's as it is now, or that of a frozen copy of it, taken in the first iteration of
    reinforcement learning (after a warm start of the same run) and kept in checkpoints."""
    asks: Literal["learner", "sampler"] = "learner"
    """Who computes it: the learner's module, or the sampler, which must be one that scores given answers (vLLM) and has
    what it has just played in its prefix cache. The two differ by rounding. A sampler has no frozen copy."""

    @model_validator(mode="after")
    def _fits_together(self) -> AnswerLogprob:
        if self.asks == "sampler" and self.weights == "initial":
            raise ValueError("asks = 'sampler' goes with weights = 'policy' only: the sampler has no other weights")
        return self

    def check(self, spec: EnvSpec) -> None:
        """See that the environment has answers.

        Raises:
            CreditError: it does not say so.
        """
        if Ability.ANSWER not in spec.abilities:
            raise CreditError(
                f"answer-logprob: {spec.id} has no private answers (ability 'answer'); its tasks must have "
                "data['answer'], and its spec Ability.ANSWER"
            )

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work, on the context's model.

        Raises:
            CreditError: there is no model, or a sampler is to be asked that cannot answer.
        """
        if context.loaded is None:
            raise CreditError("answer-logprob: needs the policy's model: open it with a loaded model")
        if self.asks == "sampler" and not isinstance(context.sampler, ScoresAnswers):
            raise CreditError(
                "answer-logprob: asks = 'sampler' needs a sampler that gives log-probabilities of given answers, such "
                "as sampler.use = 'vllm'; or set asks = 'learner'"
            )
        return _Working(self, context, context.loaded)


class _Working(Working):
    def __init__(self, config: AnswerLogprob, context: ScorerContext, loaded: Loaded) -> None:
        from agentgym.scorers.frozen import Frozen

        self.config, self.context = config, context
        self.model, self.chat = loaded.model, loaded.chat
        self.frozen = Frozen(loaded.model) if config.weights == "initial" else None
        encode: Any = loaded.chat.tokenizer.encode
        self.opens: list[int] = encode(config.template_open, add_special_tokens=False)
        self.closes: list[int] = encode(config.template_close, add_special_tokens=False) if config.count_close else []
        self.head = list(loaded.chat.glue(("user", "assistant"))[-1])
        """The template's words between the end of an assistant's message and its next one."""
        self.sampler: ScoresAnswers | None = context.sampler if config.asks == "sampler" else None
        self.metrics: dict[str, float] = {}

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """Both columns, float64 `[n]`.

        Raises:
            CreditError: a task without an answer, or a turn without tokens; names the task or the trajectory.
            PolicyError: the sampler, where it is asked, did not say.
            UsageError: a probe is longer than the sampler's context.
        """
        probes: dict[tuple[bytes, int], Query] = {}
        before, after = np.zeros(len(table), dtype=np.int64), np.zeros(len(table), dtype=np.int64)
        for trajectory, first in trajectories_of(played, table):
            answer = np.asarray([*self._answer(trajectory), *self.closes], dtype=np.int64)
            numbers = np.asarray([_number(probes, prefix, answer) for prefix in self._prefixes(trajectory)])
            rows = slice(first, first + len(numbers) - 1)
            before[rows], after[rows] = numbers[:-1], numbers[1:]
        queries = list(probes.values())
        found = self._compute(queries) if self.sampler is None else _ask(self.sampler, queries)
        if self.config.normalise == "mean":
            found /= np.asarray([len(query.at) for query in queries], dtype=np.float64)
        columns = {"answer_logprob": found[after], "answer_logprob_before": found[before]}
        self.metrics = {"probes": float(len(queries))}
        if len(table):
            ends = {"before": found[before][table.trajectories.first], "after": found[after][table.last]}
            self.metrics |= {name: float(values.mean()) for name, values in ends.items()}
        return columns

    def _compute(self, queries: Sequence[Query]) -> NDArray[np.float64]:
        from agentgym.scorers.forward import Forward

        model = self.model if self.frozen is None else self.frozen.get()
        return Forward(model, self.context.token_budget).logprobs(queries, len(queries))

    def learn(self, played: Sequence[Trajectory], table: TurnTable) -> dict[str, float]:
        """Learns nothing; gives the mean over attempts `before` the first and `after` the last turn, and `probes`."""
        return self.metrics

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The frozen weights, where there are any that the policy trains."""
        tensors = {} if self.frozen is None else self.frozen.tensors()
        return tensors, {"kind": "answer-logprob", "weights": self.config.weights}

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Take the frozen weights again.

        Raises:
            StoreError: the state is of another scorer, of other parameters, or of other weights.
        """
        if meta.get("kind") != "answer-logprob" or meta.get("weights") != self.config.weights:
            raise StoreError(
                f"scorer 'answer-logprob' (weights = {self.config.weights!r}): the state is of {dict(meta)}"
            )
        if self.frozen is not None:
            self.frozen.load(tensors)

    def _prefixes(self, trajectory: Trajectory) -> list[Int]:
        """What comes before the answer: before the first turn, and after each; `turns + 1` token sequences."""
        stands = places(trajectory)
        samples = [np.asarray(sample.tokens, dtype=np.int64) for sample in trajectory.samples]
        last, head = samples[stands[-1].sample][: stands[-1].stop], self.head
        if head and int(last[-1]) in self.chat.end_ids and head[0] in self.chat.end_ids:
            head = head[1:]  # The model ended its turn itself.
        ends = [samples[place.sample][: place.start] for place in stands]
        ends.append(np.concatenate([last, np.asarray(head, dtype=np.int64)]))
        opens = np.asarray(self.opens, dtype=np.int64)
        return [np.concatenate([end, opens]) for end in ends]

    def _answer(self, trajectory: Trajectory) -> list[int]:
        """The answer's tokens, at least one."""
        task = self.context.task(trajectory.task_id)
        answer: Any = task.data.get("answer")
        if isinstance(answer, list | tuple) and answer:
            answer = cast(Sequence[Any], answer)[0]
        ids = self.chat.encode(answer) if isinstance(answer, str) and answer.strip() else []
        if not ids:
            shown = f"is {answer!r}" if "answer" in task.data else "is missing"
            raise CreditError(
                f"task {task.id!r}: data['answer'] {shown}; it must be a text that is not empty, or a list that begins "
                "with one"
            )
        return ids


def _ask(sampler: ScoresAnswers, queries: Sequence[Query]) -> NDArray[np.float64]:
    """The sum over each answer's tokens, `[queries]`, all of them asked for at once."""

    async def everything() -> list[tuple[float, ...]]:
        halves = ((query.tokens[: query.at[0]], query.tokens[query.at[0] :]) for query in queries)
        return list(await asyncio.gather(*(sampler.score(head.tolist(), tail.tolist()) for head, tail in halves)))

    return np.asarray([math.fsum(values) for values in asyncio.run(everything())], dtype=np.float64)


def _number(probes: dict[tuple[bytes, int], Query], prefix: Int, answer: Int) -> int:
    """The number of the probe of `answer` after `prefix`; an equal one has the same."""
    tokens = np.concatenate([prefix, answer])
    number = len(probes)
    row = np.full(len(answer), number)
    found = probes.setdefault((tokens.tobytes(), len(answer)), Query(tokens, np.arange(len(prefix), len(tokens)), row))
    return int(found.row[0])
