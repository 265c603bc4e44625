"""The embedded sampler: any transformers causal language model, batched, with a prefix cache across turns.

It needs no server and runs on a CPU; given the learner's own module it always samples from the newest weights.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from agentgym import models
from agentgym.errors import PolicyError, UsageError
from agentgym.policy import Request
from agentgym.seeding import derive
from agentgym.types import Completion
from agentgym_policies.slots import Arena, Span, hidden_states


class TransformersPolicy:
    """Samples from a local model.

    Attributes:
        loaded: model and tokenizer.
        tokens_computed: tokens that went through the model so far.
        tokens_cached: prompt tokens that did not have to, thanks to the prefix cache.
    """

    batching: Literal["each", "batch"] = "batch"
    wants_oracle = False

    def __init__(
        self,
        model: str = "smollm2-135m",
        *,
        dtype: str = "auto",
        device: str = "auto",
        max_batch: int = 64,
        prefill_tokens: int = 4096,
        seed: int = 0,
        loaded: models.Loaded | None = None,
    ) -> None:
        """Args: `model` a reference for `models.load`, or `loaded`, which is then shared and not copied; `max_batch`
        most requests at once; `prefill_tokens` most prompt tokens in one forward pass; `seed` of a model made from
        random weights."""
        if max_batch < 1 or prefill_tokens < 1:
            raise UsageError("max_batch and prefill_tokens must be at least 1")
        self.loaded = loaded or models.load(model, dtype=dtype, device=device, seed=seed)
        self.tokenizer = self.loaded.chat
        self.max_batch, self.prefill_tokens = max_batch, prefill_tokens
        self.version = 0
        self.tokens_computed = self.tokens_cached = 0
        config = self.loaded.model.config
        weight = self.loaded.model.get_output_embeddings().weight
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._arena = Arena(config.num_hidden_layers, config.num_key_value_heads, head_dim, weight.dtype, weight.device)
        self._forgotten: deque[str] = deque()
        self._stale = False
        # One thread: torch uses the cores itself, and two computations at once would only slow each other.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sampler")

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer requests; the event loop lives on meanwhile.

        Raises:
            PolicyError: out of memory; the message names the setting to lower.
        """
        loop = asyncio.get_running_loop()
        found: list[Completion] = []
        for first in range(0, len(requests), self.max_batch):
            part = requests[first : first + self.max_batch]
            found += await loop.run_in_executor(self._thread, self._answer, part)
        return found

    def reset_cache(self) -> None:
        """Forget all keys and values before the next answer: they are of weights that are no more."""
        self._stale = True

    def sleep(self) -> None:
        """Give the cache's memory back, to the learner say, whose step makes it worthless; the next answer fills it."""
        self._thread.submit(self._arena.clear).result()

    def forget(self, trajectory: str) -> None:
        """The trajectory is over; its row is free from the next answer on (the worker may be at it just now)."""
        self._forgotten.append(trajectory)

    def close(self) -> None:
        """Stop the worker thread and free the cache."""
        self._thread.shutdown(wait=True)
        self._arena.clear()

    # In the worker thread -------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _answer(self, requests: Sequence[Request]) -> list[Completion]:
        if self._stale:
            self._stale = False
            self._arena.clear()
        while self._forgotten:
            self._arena.forget(self._forgotten.popleft())
        now = time.monotonic()
        late = {r.trajectory for r in requests if r.deadline is not None and r.deadline < now}
        todo = [r for r in requests if r.trajectory not in late]
        try:
            answers = iter(self._generate(todo) if todo else [])
        except (torch.OutOfMemoryError, MemoryError) as error:
            self._arena.clear()
            raise PolicyError(
                f"out of memory while sampling {len(requests)} answers: lower rollout.slots, max_batch or limits.tokens"
            ) from error
        except Exception:
            # Rows may hold less than their ids say.
            self._arena.clear()
            raise
        aborted = Completion("", (), (), finish="abort", version=self.version)
        return [aborted if r.trajectory in late else next(answers) for r in requests]

    def _generate(self, requests: Sequence[Request]) -> list[Completion]:
        began = time.monotonic()
        self.loaded.model.eval()
        prompts = [list(r.tokens or ()) for r in requests]
        for request, prompt in zip(requests, prompts, strict=True):
            if not prompt:
                raise UsageError(f"{request.trajectory}: the request has no tokens; play with a token ledger")
        names = [r.trajectory for r in requests]
        if len(set(names)) < len(names):
            raise UsageError("two requests of one batch are of the same trajectory")
        new_tokens = max(r.sampling.max_tokens for r in requests)
        self._arena.arrange(names, max(len(p) for p in prompts) + new_tokens)
        hidden, cached = self._prefill(names, prompts)

        lengths = [len(p) for p in prompts]
        writers = [_Writer(r, self.tokenizer) for r in requests]
        alive = list(range(len(requests)))
        while True:
            logits = self._logits(hidden)
            tokens, logprobs = draw(logits, [writers[row] for row in alive])
            for row, token, logprob in zip(alive, tokens, logprobs, strict=True):
                writers[row].write(token, logprob)
            running = [row for row in alive if writers[row].finish is None]
            if not running:
                break
            alive = running
            span = Span(self._arena, alive, [lengths[row] for row in alive], [1] * len(alive))
            hidden = hidden_states(self.loaded.model, [writers[row].tokens[-1] for row in alive], span)
            self.tokens_computed += len(alive)
            for row in alive:
                self._arena.ids[names[row]].append(writers[row].tokens[-1])
                lengths[row] += 1
        seconds = (time.monotonic() - began) / len(requests)
        return [
            w.completion(len(p), c, self.version, seconds) for w, p, c in zip(writers, prompts, cached, strict=True)
        ]

    def _prefill(self, names: Sequence[str], prompts: Sequence[list[int]]) -> tuple[Tensor, list[int]]:
        """Compute what of the prompts is not cached; equal prompts (attempts that went the same way) only once.

        Returns:
            The last hidden state of each prompt `[B, d]`, and how many tokens of each were not computed.
        """
        arena = self._arena
        starts: list[int] = []
        leaders: dict[tuple[int, ...], int] = {}
        leader_of: list[int] = []
        for row, (name, prompt) in enumerate(zip(names, prompts, strict=True)):
            # At least the last token is computed: its hidden state is what the answer begins from.
            starts.append(min(common_prefix(arena.ids[name], prompt), len(prompt) - 1))
            leader_of.append(leaders.setdefault(tuple(prompt), row))
        work = [row for row in range(len(prompts)) if leader_of[row] == row]
        last: dict[int, Tensor] = {}
        while work:
            part, count = [], 0
            while work and (not part or count + len(prompts[work[0]]) - starts[work[0]] <= self.prefill_tokens):
                row = work.pop(0)
                part.append(row)
                count += len(prompts[row]) - starts[row]
            fresh = [prompts[row][starts[row] :] for row in part]
            span = Span(arena, part, [starts[row] for row in part], [len(f) for f in fresh])
            states = hidden_states(self.loaded.model, [t for f in fresh for t in f], span)
            ends = np.cumsum([len(f) for f in fresh])
            last |= {row: states[int(end) - 1] for row, end in zip(part, ends, strict=True)}
            self.tokens_computed += count
        cached: list[int] = []
        for row, (name, prompt) in enumerate(zip(names, prompts, strict=True)):
            leader = leader_of[row]
            if leader != row:
                arena.copy_row(leader, row, starts[row], len(prompt))
            arena.ids[name] = list(prompt)
            cached.append(starts[row] if leader == row else len(prompt))
        self.tokens_cached += sum(cached)
        return torch.stack([last[leader] for leader in leader_of]), cached

    def _logits(self, hidden: Tensor) -> Tensor:
        return self.loaded.model.get_output_embeddings()(hidden).float()


class _Writer:
    """One answer in the making."""

    def __init__(self, request: Request, chat: Any) -> None:
        self.request, self.sampling = request, request.sampling
        self._chat = chat
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.finish: Literal["stop", "length", "abort"] | None = None

    def uniform(self) -> float:
        """This step's random number in [0, 1): of the request's seed and the step, whatever else is in the batch."""
        return derive(self.request.seed, len(self.tokens)) / 2**63

    def write(self, token: int, logprob: float) -> None:
        """Append a token and see whether the answer is complete."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if token in self._chat.end_ids or (
            self.sampling.stop and any(s in self._chat.decode(self.tokens) for s in self.sampling.stop)
        ):
            self.finish = "stop"
        elif len(self.tokens) >= self.sampling.max_tokens:
            self.finish = "length"
        elif self.request.deadline is not None and time.monotonic() > self.request.deadline:
            self.finish = "abort"

    def completion(self, prompt: int, cached: int, version: int, seconds: float) -> Completion:
        """The finished answer."""
        return Completion(
            text=self._chat.decode(self.tokens),
            tokens=tuple(self.tokens),
            logprobs=tuple(self.logprobs),
            finish=self.finish or "abort",
            prompt_tokens=prompt,
            cached_tokens=cached,
            version=version,
            seconds=seconds,
        )


def draw(logits: Tensor, writers: Sequence[_Writer]) -> tuple[list[int], list[float]]:
    """One token per row, and its log-probability before temperature and truncation.

    Args:
        logits: `[B, V]` float32.
        writers: who writes, for sampling parameters and random numbers.
    """
    logprobs = torch.log_softmax(logits, dim=-1)
    best = logits.argmax(dim=-1)
    tokens = best.tolist()
    random = [row for row, w in enumerate(writers) if w.sampling.temperature > 0]
    if random:
        at = torch.tensor(random, device=logits.device)
        heat = torch.tensor([writers[row].sampling.temperature for row in random], device=logits.device)
        probs = torch.softmax(logits[at] / heat[:, None], dim=-1).double()
        for i, row in enumerate(random):
            if writers[row].sampling.top_p < 1.0:
                probs[i] = nucleus(probs[i], writers[row].sampling.top_p)
        # Inverse of the distribution function: one uniform number a token.
        steps = probs.cumsum(dim=-1)
        uniform = torch.tensor([writers[row].uniform() for row in random], dtype=torch.float64, device=logits.device)
        drawn = torch.searchsorted(steps, (uniform * steps[:, -1])[:, None], right=True)[:, 0]
        for row, token in zip(random, drawn.clamp_(max=logits.shape[-1] - 1).tolist(), strict=True):
            tokens[row] = token
    chosen = logprobs.gather(1, torch.tensor(tokens, device=logits.device)[:, None])[:, 0]
    return tokens, chosen.tolist()


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """The smallest set of most likely tokens whose mass reaches `top_p`; the rest get 0. `[V]` in, `[V]` out."""
    ordered, where = probs.sort(descending=True, stable=True)
    before = ordered.cumsum(0) - ordered
    kept = torch.where(before < top_p, ordered, torch.zeros_like(ordered))
    return torch.zeros_like(probs).scatter_(0, where, kept)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common prefix of two lists."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return next(i for i in range(n) if a[i] != b[i])
