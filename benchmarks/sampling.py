"""Sampling for conversations of many turns: the embedded policy against `generate` with padding to the left.

    python benchmarks/sampling.py                       # the embedded default model, a few minutes
    python benchmarks/sampling.py --model scratch:tiny  # random weights, seconds

The load is that of text-game play: a system prompt that all share, an opening of the task's own, then turns of about
eighty tokens of observation that are answered by about six tokens. All conversations are asked at once, turn by turn;
nobody thinks or waits in between, so this is the sampler alone. Answers are drawn at temperature 1 and all of them are
cut at the same number of tokens.

Rows, all on the same conversations and weights:

- `generate`: transformers' own generation. Each turn the whole conversation goes in again, padded on the left.
- `policy`: the embedded policy. Each turn computes its new tokens, against the keys and values of earlier turns.
- `policy, groups`: the same with attempts in groups that share their task, as in group-relative training: prompts that
  are still equal are computed once.

`computed` is the share of the prompts' tokens that went through the model. Log-probabilities are compared with those of
one plain forward pass over each finished conversation (mean and largest difference over the sampled tokens).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from agentgym import models
from agentgym.ledger import Ledger
from agentgym.policy import Request, Sampling
from agentgym.seeding import derive, generator
from agentgym.types import Completion, Message, Observation
from agentgym_policies.transformers import TransformersPolicy

SYSTEM = Message("system", "You play a text game. Reply with one command, a verb and a noun, and nothing else.")
WORDS = [
    "you",
    "are",
    "in",
    "a",
    "dark",
    "kitchen",
    "with",
    "an",
    "old",
    "table",
    "and",
    "two",
    "chairs",
    "there",
    "is",
    "a",
    "wooden",
    "door",
    "to",
    "the",
    "north",
    "and",
    "a",
    "narrow",
    "passage",
    "leading",
    "east",
    "something",
    "shines",
    "under",
    "the",
    "carpet",
    "the",
    "key",
    "on",
    "the",
    "hook",
    "looks",
    "rusty",
    "but",
    "you",
    "can",
    "take",
    "it",
]


@dataclass
class Measured:
    """One row of the table."""

    seconds: float
    turns: int
    answered: int
    prompt: int
    computed: int
    ledgers: list[Ledger]


def text(loaded: models.Loaded, tokens: int, *names: str | int) -> str:
    """Words of about `tokens` tokens, a function of `names`."""
    rng = generator(derive(0, *names))
    said: list[str] = []
    while len(loaded.chat.encode(" ".join(said))) < tokens:
        said += [WORDS[int(i)] for i in rng.integers(0, len(WORDS), 4)]
    return " ".join(said)


class Load:
    """The conversations, and what is said in them."""

    def __init__(self, loaded: models.Loaded, args: argparse.Namespace, group: int) -> None:
        self.count, self.turns, self.group, self.seed = args.conversations, args.turns, group, args.seed
        self.sampling = Sampling(max_tokens=args.answer)
        self.said = [
            [
                # Attempts of a group open alike; afterwards each has gone its own way.
                text(loaded, args.observation, i // group if turn == 0 else i, turn, group)
                for turn in range(args.turns)
            ]
            for i in range(self.count)
        ]

    def run(self, loaded: models.Loaded, answer: Callable[[list[Request]], list[Completion]]) -> Measured:
        """Play all conversations; only `answer` is timed."""
        ledgers = [Ledger(loaded.chat, [SYSTEM, Message("user", said[0])]) for said in self.said]
        seconds, answered, prompt = 0.0, 0, 0
        for turn in range(self.turns):
            requests = [
                Request(f"c{i}", turn, (), Observation(""), derive(self.seed, i, turn), self.sampling, ledger.prompt)
                for i, ledger in enumerate(ledgers)
            ]
            prompt += sum(len(ledger) for ledger in ledgers)
            began = time.perf_counter()
            completions = answer(requests)
            seconds += time.perf_counter() - began
            for ledger, said, completion in zip(ledgers, self.said, completions, strict=True):
                answered += len(completion.tokens or ())
                ledger.act(completion)
                if turn + 1 < self.turns:
                    ledger.observe([Message("user", said[turn + 1])])
        return Measured(seconds, self.count * self.turns, answered, prompt, prompt, ledgers)


def by_generate(loaded: models.Loaded, batch: int) -> Callable[[list[Request]], list[Completion]]:
    """The usual way: the whole conversations again, padded on the left."""
    ends = sorted(loaded.chat.end_ids)

    @torch.inference_mode()
    def answer(requests: list[Request]) -> list[Completion]:
        found: list[Completion] = []
        for first in range(0, len(requests), batch):
            prompts = [list(r.tokens or ()) for r in requests[first : first + batch]]
            longest = max(map(len, prompts))
            ids = torch.tensor([[ends[0]] * (longest - len(p)) + p for p in prompts], device=loaded.model.device)
            mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=ids.device)
            out = loaded.model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=requests[0].sampling.max_tokens, do_sample=True,
                temperature=1.0, top_k=0, top_p=1.0, eos_token_id=ends, pad_token_id=ends[0],
                output_logits=True, return_dict_in_generate=True,
            )  # fmt: skip
            logprobs = torch.stack(out.logits, 1).float().log_softmax(-1)
            new = out.sequences[:, longest:]
            chosen = logprobs.gather(2, new[..., None])[..., 0]
            for tokens, values in zip(new.tolist(), chosen.tolist(), strict=True):
                n = next((i + 1 for i, t in enumerate(tokens) if t in loaded.chat.end_ids), len(tokens))
                found.append(Completion(loaded.chat.decode(tokens[:n]), tuple(tokens[:n]), tuple(values[:n])))
        return found

    return answer


@torch.inference_mode()
def differences(loaded: models.Loaded, ledgers: list[Ledger]) -> tuple[float, float]:
    """Mean and largest difference between recorded log-probabilities and those of a plain forward pass."""
    gaps: list[float] = []
    for sample in (s for ledger in ledgers for s in ledger.samples()):
        ids = torch.tensor([sample.tokens], device=loaded.model.device)
        at = torch.tensor([i for i, turn in enumerate(sample.turn) if turn >= 0], device=ids.device)
        hidden = loaded.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0, at - 1]
        logprobs = loaded.model.get_output_embeddings()(hidden).float().log_softmax(-1)
        computed = logprobs.gather(1, ids[0, at][:, None])[:, 0].cpu()
        gaps += (computed - torch.tensor(sample.logprobs)[at.cpu()]).abs().tolist()
    return sum(gaps) / len(gaps), max(gaps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="anything that a recipe's model.ref may be")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--conversations", type=int, default=48)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--observation", type=int, default=80, help="tokens of an observation")
    parser.add_argument("--answer", type=int, default=6, help="most tokens of an answer")
    parser.add_argument("--group", type=int, default=8, help="attempts at one task, in the last row")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--skip-generate", action="store_true", help="only the policy's rows")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    loaded = models.load(args.model, dtype=args.dtype, device=args.device)
    single, groups = Load(loaded, args, 1), Load(loaded, args, args.group)

    def policy(load: Load) -> Measured:
        sampler = TransformersPolicy(loaded=loaded, max_batch=args.conversations)
        try:
            found = load.run(loaded, lambda requests: asyncio.run(sampler.complete(requests)))
            found.computed = found.prompt - sampler.tokens_cached
            return found
        finally:
            sampler.close()

    generate = by_generate(loaded, args.conversations)
    ways: dict[str, Callable[[], Measured]] = {
        "generate": lambda: single.run(loaded, generate),
        "policy": lambda: policy(single),
        "policy, groups": lambda: policy(groups),
    }
    if args.skip_generate:
        del ways["generate"]
    print(f"{args.model} {str(loaded.model.dtype).removeprefix('torch.')}, {torch.get_num_threads()} thread(s)")
    print(f"{args.conversations} conversations of {args.turns} turns, last row in groups of {args.group}\n")
    policy(Load(loaded, argparse.Namespace(**{**vars(args), "conversations": 2, "turns": 1}), 1))  # Warms up.
    # Rounds over all ways rather than all rounds of one, so that a busy moment of the machine hits none alone.
    rounds = [{name: way() for name, way in ways.items()} for _ in range(args.repeats)]
    best = {name: min((r[name] for r in rounds), key=lambda m: m.seconds) for name in ways}
    base = next(iter(best.values()))
    print(f"{'':16}{'turns/s':>9}{'tokens/s':>10}{'ratio':>8}{'computed':>10}{'log-probability off by':>26}")
    for name, m in best.items():
        mean, worst = differences(loaded, m.ledgers)
        ratio = (m.turns / m.seconds) / (base.turns / base.seconds)
        print(
            f"{name:16}{m.turns / m.seconds:9.1f}{m.answered / m.seconds:10.0f}{ratio:8.2f}"
            f"{m.computed / m.prompt:10.0%}{mean:15.1e}{worst:11.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
