"""Requests and replies of a vLLM server, and nothing else: token ids go in, token ids and log-probabilities come out.

A reply is believed only if it is of the model that was asked, repeats the very prompt that was sent, and has one
finite log-probability for each id, which is of the vocabulary. Text is decoded here from the ids, never the other way
round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import httpx

from agentgym.ledger import ChatTokenizer
from agentgym.policy import Request
from agentgym.types import Completion

PATH = "/inference/v1/generate"
"""Where vLLM takes token ids and gives token ids; it also says which weights sampled each of them."""
BLOCK = 32
"""Tokens that vLLM's prefix cache keeps together, at most: what is computed again though its prompt is known."""
NOTHING = -9999.0
"""What vLLM sends for a log-probability that is minus infinity or no number."""


def body(request: Request, model: str, chat: ChatTokenizer) -> dict[str, Any]:
    """The body of a request for one turn, to `PATH`."""
    sampling = request.sampling
    return {
        "model": model,
        "token_ids": list(request.tokens or ()),
        "return_token_ids": True,
        "sampling_params": {
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed % 2**63,
            "stop": list(sampling.stop),
            "stop_token_ids": sorted(chat.end_ids),
            "logprobs": 0,  # Of the sampled token alone.
            "detokenize": bool(sampling.stop),  # The server needs texts only to stop at them.
            "skip_special_tokens": False,
        },
    }


def read(
    reply: httpx.Response, request: Request, model: str, chat: ChatTokenizer, vocabulary: int, version: int
) -> Completion:
    """A reply as a completion, `seconds` to be filled in; each of its tokens has the version that sampled it.

    Args:
        reply: what came.
        request: what was asked.
        model: whose answer it must be.
        chat: decodes the ids.
        vocabulary: how many ids there are.
        version: of the weights, where the server does not say.

    Raises:
        ValueError: it is something else, of another model, or was cut short by the server.
    """
    data, choice = _choice(reply, model, request.tokens or ())
    tokens, logprobs = _sampled(choice, vocabulary)
    finish = choice.get("finish_reason")
    if finish == "abort":
        raise ValueError("the server cut the answer short")
    if not 1 <= len(tokens) <= request.sampling.max_tokens:
        raise ValueError(f"{len(tokens)} tokens were sampled, 1 to {request.sampling.max_tokens} were asked for")
    try:
        details = (data.get("usage") or {}).get("prompt_tokens_details") or {}
        cached = int(details.get("cached_tokens") or 0)
        versions = _versions(choice.get("weight_versions"), len(tokens), version)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    prompt = len(request.tokens or ())
    return Completion(
        text=chat.decode(tokens),
        tokens=tokens,
        logprobs=logprobs,
        finish="length" if finish == "length" else "stop",
        prompt_tokens=prompt,
        cached_tokens=min(max(cached, 0), prompt),
        version=min(versions),
        versions=versions,
    )


def _choice(reply: httpx.Response, model: str, prompt: Sequence[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        data = reply.json()
        if data["model"] != model:
            raise ValueError(f"it is of the model {str(data['model'])[:80]!r}, not of {model!r}")
        choice = data["choices"][0]
        echoed = data.get("prompt_token_ids")
        choice.get("token_ids")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(echoed, list) or echoed != list(prompt):
        raise ValueError("the server read another prompt than it was sent")
    return data, choice


def _sampled(choice: dict[str, Any], vocabulary: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Ids and their log-probabilities."""
    try:
        tokens = tuple(choice["token_ids"])
        steps = (choice.get("logprobs") or {}).get("content") or ()
        named = tuple(step["token_id"] for step in steps)
        logprobs = tuple(float(step["logprob"]) for step in steps)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not all(type(token) is int and 0 <= token < vocabulary for token in tokens):
        raise ValueError(f"it has token ids that are not of the vocabulary of {vocabulary}")
    if tokens != named:
        raise ValueError(f"{len(tokens)} token ids come with {len(named)} log-probabilities, or with those of others")
    if not all(map(_possible, logprobs)):
        raise ValueError("its log-probabilities are not those of probabilities")
    return tokens, logprobs


def _possible(logprob: float) -> bool:
    # Rounding puts the log of a probability of one a hair above zero; what is no number is sent as NOTHING.
    return math.isfinite(logprob) and NOTHING < logprob <= 1e-3


def _versions(spans: Any, count: int, default: int) -> tuple[int, ...]:
    """The version of each token, from spans of tokens with the label of their weights."""
    if spans is None:
        return (default,) * count
    found: list[int] = []
    for span in spans:
        label, start, end = span["version"], span["start"], span["end"]
        if type(start) is not int or start != len(found) or type(end) is not int or not start <= end <= count:
            raise ValueError("its versions of the weights are not one for each token")
        # A server that was never told a version calls it so.
        found += [default if label == "default" else int(label)] * (end - start)
    if len(found) != count:
        raise ValueError(f"{len(found)} versions of the weights come with {count} tokens")
    return tuple(found)


def score_bodies(prompt: tuple[int, ...], answer: tuple[int, ...], model: str) -> list[dict[str, Any]]:
    """Bodies of the requests that together give the log-probabilities of an answer that is given.

    Where the prompt is long, one request for each of the answer's tokens, which is the only one allowed there: the
    prefix cache then has the prompt, and little is computed. Otherwise one for all, which vLLM computes whole: it keeps
    no log-probabilities in its cache.
    """
    if len(answer) * BLOCK > len(prompt):
        last: dict[str, Any] = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0, "detokenize": False}
        return [
            {"model": model, "token_ids": [*prompt, *answer], "return_token_ids": True, "sampling_params": last},
        ]
    return [
        {
            "model": model,
            "token_ids": [*prompt, *answer[:place]],
            "return_token_ids": True,
            "sampling_params": {
                "max_tokens": 1,
                "temperature": 0.0,
                "logprobs": 0,
                "allowed_token_ids": [token],
                "detokenize": False,
            },
        }
        for place, token in enumerate(answer)
    ]


def read_score(
    reply: httpx.Response, question: dict[str, Any], prompt: tuple[int, ...], answer: tuple[int, ...], vocabulary: int
) -> tuple[float, ...]:
    """What a reply to one of `score_bodies` says: log-probabilities of all tokens of the answer, or of one.

    Raises:
        ValueError: the reply is something else.
    """
    asked: dict[str, Any] = question["sampling_params"]
    data, choice = _choice(reply, question["model"], question["token_ids"])
    if "allowed_token_ids" in asked:
        tokens, logprobs = _sampled(choice, vocabulary)
        if list(tokens) != asked["allowed_token_ids"]:
            raise ValueError("it is not of the token that was asked about")
        return logprobs
    try:
        steps = data["prompt_logprobs"]
        if len(steps) != len(prompt) + len(answer):
            raise ValueError(f"{len(steps)} places for {len(prompt) + len(answer)} tokens")
        found = tuple(
            float(steps[place][str(token)]["logprob"]) for place, token in enumerate(answer, start=len(prompt))
        )
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not all(map(_possible, found)):
        raise ValueError("its log-probabilities are not those of probabilities")
    return found


def refusal(reply: httpx.Response) -> str:
    """One line on a reply that is an error."""
    try:
        error: Any = reply.json().get("error", "")
        message = str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError):
        message = reply.text
    return f"HTTP {reply.status_code}: {' '.join(message.split())[:300]}"
