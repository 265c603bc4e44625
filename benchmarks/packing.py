"""Packed training against right-padded batches: tokens per second of one optimizer step, and how equal gradients are.

    python benchmarks/packing.py                       # small random model, about a minute
    python benchmarks/packing.py --model smollm2-135m  # the embedded default model

The sequences have the length spread of text-game play: a system prompt and a first observation, then turns of about
forty tokens of observation and six of action; the number of turns is lognormal with a heavy tail (an attempt that
knows the way takes a few turns, one that is lost plays to the limit), which gives about 150 to 1,500 tokens, median
about 400. Attempts come in groups of eight that share their task's prompt, as in group-relative training.

Rows, all on the same sequences, weights and loss, each one step of gradients and AdamW:

- `padded`: the usual loop. Batches of eight in the order in which they come, padded on the right to the longest,
  attention mask, logits for every position as the model's own forward gives them.
- `padded, action logits`: the same with logits for action tokens only, to show what each part brings.
- `padded, sorted`: that again, with sequences of like length in one batch: as good as padding gets.
- `packed`: no padding, nothing shared. This is the row the target is about.
- `packed, shared`: common beginnings computed once as well: the library's default.

Tokens are the sequences' own, padding not counted. Gradients are compared in float32 with those of `padded`, as the
largest difference over the largest gradient, parameter by parameter.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agentgym import loss, models
from agentgym.batch import TrainSequence, pack
from agentgym.head import token_logprobs
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig
from agentgym.seeding import derive, generator

GROUP = 8


def play(seed: int, count: int, vocabulary: int) -> list[TrainSequence]:
    """Sequences with the spread of real play, in the order in which groups are sampled."""
    made: list[TrainSequence] = []
    for i in range(count):
        task, own = generator(seed, "task", i // GROUP), generator(seed, "attempt", i)
        prompt = task.integers(0, vocabulary, int(task.integers(90, 150)))
        turns = int(np.clip(np.rint(own.lognormal(np.log(5.5), 0.8)), 1, 30))
        parts, who = [prompt], [np.full(len(prompt), -1)]
        for turn in range(turns):
            seen, done = (own.integers(0, vocabulary, int(own.integers(low, high))) for low, high in ((25, 60), (4, 9)))
            parts += [seen, done]
            who += [np.full(len(seen), -1), np.full(len(done), turn)]
        turn_of = np.concatenate(who)
        action = turn_of >= 0
        column = np.where(action, own.normal(size=len(turn_of)), 0).astype(np.float32)
        tokens = np.concatenate(parts).astype(np.int64)
        made.append(TrainSequence(tokens, action, column, np.where(action, -1, 0).astype(np.float32), turn_of))
    return made


def padded_step(model: Any, batch: Sequence[TrainSequence], size: int, only_actions: bool) -> None:
    """Gradients of the mean policy loss over the batch, by right-padded micro-batches."""
    total = sum(int(q.action.sum()) for q in batch)
    for first in range(0, len(batch), size):
        part = batch[first : first + size]
        longest = max(len(q.tokens) for q in part)

        def column(name: str, longest: int = longest, part: Sequence[TrainSequence] = part) -> torch.Tensor:
            rows = [np.pad(getattr(q, name), (0, longest - len(q.tokens))) for q in part]
            return torch.from_numpy(np.stack(rows))

        ids, action, advantage = column("tokens"), column("action"), column("advantage")
        mask = torch.stack([torch.arange(longest) < len(q.tokens) for q in part]).long()
        chosen = action[:, 1:]
        if only_actions:
            out = model.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)
            logprob, _ = token_logprobs(model, out.last_hidden_state[:, :-1][chosen], ids[:, 1:][chosen])
        else:
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
            logp = torch.log_softmax(logits.float(), -1)
            logprob = logp.gather(2, ids[:, 1:, None])[..., 0][chosen]
        per_token = loss.clipped_surrogate(logprob, logprob.detach(), advantage[:, 1:][chosen], 0.2, 0.28)
        (per_token.sum() / total).backward()


def gradients(model: Any, work: Callable[[], object]) -> dict[str, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    work()
    found = {name: p.grad.detach().clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def packed_gradients(learner: Learner, batch: Sequence[TrainSequence], budget: int, share: bool) -> None:
    packs = pack(batch, budget, share=share)
    totals = loss.Totals(sum(len(p.target) for p in packs), len(batch), sum(p.turns for p in packs))
    for p in packs:
        logprob, _ = learner.logprobs(p)
        per_token = loss.clipped_surrogate(logprob, logprob.detach(), p.advantage, 0.2, 0.28)
        (loss.token_weights("token", p.sequence, p.unit, totals) * per_token).sum().backward()


def make_model(ref: str, dtype: torch.dtype) -> Any:
    if ref != "small":
        return models.load(ref, dtype="float32" if dtype == torch.float32 else "bfloat16", device="cpu").model
    shape = {"hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=8192, num_hidden_layers=4, tie_word_embeddings=False, **shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config).to(dtype).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small", help="`small`, or anything that a recipe's model.ref may be")
    parser.add_argument("--sequences", type=int, default=24)
    parser.add_argument("--batch", type=int, default=8, help="rows of a padded batch")
    parser.add_argument("--budget", type=int, default=2048, help="tokens of a pack")
    parser.add_argument("--trainable", default="all")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)

    dtype = getattr(torch, args.dtype)
    model = make_model(args.model, dtype)
    batch = play(derive(args.seed, "packing"), args.sequences, model.config.vocab_size)
    lengths = np.array([len(q.tokens) for q in batch])
    tokens = int(lengths.sum())
    padding = sum(
        len(rows) * int(rows.max()) for rows in np.split(lengths, range(args.batch, len(lengths), args.batch))
    )
    print(f"{args.model} {args.dtype} trainable={args.trainable}, {torch.get_num_threads()} thread(s)")
    spread = f"{lengths.min()} to {lengths.max()}, median {int(np.median(lengths))}"
    print(f"{len(batch)} sequences, {tokens} tokens ({spread}),")
    print(f"{sum(int(q.action.sum()) for q in batch)} by the model; {padding} with padding to the right\n")

    by_length = sorted(batch, key=lambda q: len(q.tokens))
    learner = Learner(model, LearnerConfig(trainable=args.trainable, ratio="self", token_budget=args.budget))
    ways: dict[str, Callable[[], object]] = {
        "padded": lambda: padded_step(model, batch, args.batch, only_actions=False),
        "padded, action logits": lambda: padded_step(model, batch, args.batch, only_actions=True),
        "padded, sorted": lambda: padded_step(model, by_length, args.batch, only_actions=True),
        "packed": lambda: packed_gradients(learner, batch, args.budget, share=False),
        "packed, shared": lambda: packed_gradients(learner, batch, args.budget, share=True),
    }
    reference = gradients(model, ways["padded"])  # Also warms up what has to be.
    apart: dict[str, float] = {}
    for name, way in ways.items():
        found = reference if name == "padded" else gradients(model, way)
        apart[name] = max(
            float((found[k] - g).abs().max() / g.abs().max().clamp_min(1e-30)) for k, g in reference.items()
        )
    # Rounds over all ways rather than all rounds of one, so that a busy moment of the machine hits none alone.
    rounds = [{name: timed(learner, way) for name, way in ways.items()} for _ in range(args.repeats)]
    best = {name: min(r[name] for r in rounds) for name in ways}
    print(f"{'':24}{'tokens/s':>10}{'ratio':>8}{'gradient difference':>22}")
    for name, seconds in best.items():
        print(f"{name:24}{tokens / seconds:10.0f}{best['padded'] / seconds:8.2f}{apart[name]:22.1e}")


def timed(learner: Learner, way: Callable[[], object]) -> float:
    """Seconds of gradients and update; the update is the learner's own for every row, at a rate that moves nothing."""
    began = time.perf_counter()
    way()
    learner.apply(lr=1e-12)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
