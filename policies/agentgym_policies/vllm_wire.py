"""Requests and replies of a vLLM server, and nothing else: token ids go in, token ids and log-probabilities come out.

A reply is believed only if it is of the model that was asked, repeats the very prompt that was sent, and has as many
finite log-probabilities as ids of the vocabulary. Text is decoded here from the ids, never the other way round.
"""

from __future__ import annotations

import math
from typing import Any

import httpx

from agentgym.ledger import ChatTokenizer
from agentgym.policy import Request
from agentgym.types import Completion


def body(request: Request, model: str, chat: ChatTokenizer) -> dict[str, Any]:
    """The body of a `/v1/completions` request for one turn."""
    sampling = request.sampling
    found: dict[str, Any] = {
        "model": model,
        "prompt": list(request.tokens or ()),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": request.seed % 2**63,
        "stop_token_ids": sorted(chat.end_ids),
        "logprobs": 0,  # Of the sampled token alone.
        "return_token_ids": True,
        "skip_special_tokens": False,
    }
    if sampling.stop:
        found["stop"] = list(sampling.stop)
    return found


def read(
    reply: httpx.Response, request: Request, model: str, chat: ChatTokenizer, vocabulary: int
) -> tuple[Completion, bool]:
    """A reply as a completion (version and seconds to be filled in), and whether the server cut it short itself.

    Raises:
        ValueError: it is something else, or of another model.
    """
    data = reply.json()
    try:
        if data["model"] != model:
            raise ValueError(f"it is of the model {str(data['model'])[:80]!r}, not of {model!r}")
        choice = data["choices"][0]
        usage = data.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        finish = choice.get("finish_reason")
        tokens = tuple(choice["token_ids"])
        logprobs = tuple(map(float, (choice.get("logprobs") or {}).get("token_logprobs") or ()))
        echoed = choice.get("prompt_token_ids")
        cached = int(details.get("cached_tokens") or 0)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    prompt = request.tokens or ()
    if echoed is not None and tuple(echoed) != tuple(prompt):
        raise ValueError("the server read another prompt than it was sent")
    if not all(type(token) is int and 0 <= token < vocabulary for token in tokens):
        raise ValueError(f"it has token ids that are not of the vocabulary of {vocabulary}")
    if len(tokens) != len(logprobs):
        raise ValueError(f"{len(tokens)} token ids come with {len(logprobs)} log-probabilities")
    # Rounding puts the log of a probability of one a hair above zero.
    if not all(math.isfinite(value) and value <= 1e-3 for value in logprobs):
        raise ValueError("its log-probabilities are not those of probabilities")
    if len(tokens) > request.sampling.max_tokens or (not tokens and finish != "abort"):
        raise ValueError(f"{len(tokens)} tokens were sampled, 1 to {request.sampling.max_tokens} were asked for")
    completion = Completion(
        text=chat.decode(tokens),
        tokens=tokens,
        logprobs=logprobs,
        finish="length" if finish == "length" else "stop",
        prompt_tokens=len(prompt),
        cached_tokens=min(max(cached, 0), len(prompt)),
    )
    return completion, finish == "abort"


def score_body(prompt: tuple[int, ...], answer: tuple[int, ...], model: str) -> dict[str, Any]:
    """The body of a request for the log-probabilities of an answer that is given."""
    return {
        "model": model,
        "prompt": [*prompt, *answer],
        "max_tokens": 1,
        "temperature": 0.0,
        "prompt_logprobs": 0,
        "return_token_ids": True,
    }


def read_score(reply: httpx.Response, prompt: tuple[int, ...], answer: tuple[int, ...]) -> tuple[float, ...]:
    """Log-probability of each of the answer's tokens.

    Raises:
        ValueError: the reply is something else.
    """
    try:
        steps = reply.json()["choices"][0]["prompt_logprobs"]
        if len(steps) != len(prompt) + len(answer):
            raise ValueError(f"{len(steps)} places for {len(prompt) + len(answer)} tokens")
        found = tuple(
            float(steps[place][str(token)]["logprob"]) for place, token in enumerate(answer, start=len(prompt))
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not all(math.isfinite(value) for value in found):
        raise ValueError("it has log-probabilities that are not finite")
    return found


def refusal(reply: httpx.Response) -> str:
    """One line on a reply that is an error."""
    try:
        error: Any = reply.json().get("error", "")
        message = str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError):
        message = reply.text
    return f"HTTP {reply.status_code}: {' '.join(message.split())[:300]}"
