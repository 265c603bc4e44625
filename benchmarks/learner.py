"""How much of the machine's own matrix rate the learner reaches, counting only the operations that the algorithm needs.

    python benchmarks/learner.py --dtype bfloat16         # the embedded default model, a few minutes
    python benchmarks/learner.py --small                  # a small random model, seconds: to see that it runs
    python benchmarks/learner.py --dtype bfloat16 --profile   # and where the time goes, operation by operation

Needed operations of one step on packed sequences (play-like lengths of `benchmarks/packing.py`, groups of eight that
share their prompt), two for each multiplication and addition:

- `6 N T` for matrices with N entries in all layers and T tokens after sharing: forward, and two products backward;
- `6 V d A` for the output layer, at the A action tokens only;
- `12 H D` for each pair of tokens that may see one another, in each layer, with H query heads of width D.

Not counted, though they take time: norms, activations and softmax, the embeddings, clipping and AdamW, and what is
computed twice on purpose (attention's and the output layer's probabilities in the backward pass, everything under
checkpointing). With `--trainable upper:N`, layers below take `2 N T` and no more, and attention there a third.

The machine's rate is torch's own product of two square matrices of the same precision, the best size, measured before
and after, in the same process with the same threads. Rows are the best and the median step; the first two warm up.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from packing import make_model, play

from agentgym.batch import Packed, pack
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig
from agentgym.seeding import derive


def pairs(packs: Sequence[Packed]) -> int:
    """Pairs of a token and one that it sees, itself included."""
    total = 0
    for p in packs:
        for segment in p.segments:
            n, before = segment.stop - segment.start, sum(b - a for a, b in segment.context)
            total += n * before + n * (n + 1) // 2
    return total


def needed(model: Any, packs: Sequence[Packed]) -> dict[str, float]:
    """Operations of one step, by part. What is trained is seen from `requires_grad`."""
    tokens, actions, seen = sum(len(p.tokens) for p in packs), sum(len(p.target) for p in packs), pairs(packs)
    config, layers = model.config, model.get_decoder().layers
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    head = model.get_output_embeddings().weight
    whole = part = 0.0
    for layer in layers:
        matrices = sum(p.numel() for p in layer.parameters() if p.ndim == 2)
        factor = 3 if any(p.requires_grad for p in layer.parameters()) else 1
        whole += factor * 2 * matrices * tokens
        part += factor * 4 * config.num_attention_heads * width * seen
    # The gradient of the hidden states is needed in any case.
    output = (3 if head.requires_grad else 2) * 2 * head.numel() * actions
    return {"layers' matrices": whole, "attention": part, "output layer": output}


def matrix_rate(dtype: torch.dtype, sizes: Sequence[int], seconds: float) -> float:
    """Operations a second of torch's matrix product, the best of several sizes and repeats."""
    best = 0.0
    for size in sizes:
        a, b = (torch.full((size, size), 0.5, dtype=dtype) for _ in range(2))
        out = a @ b
        until = time.perf_counter() + seconds / len(sizes)
        while time.perf_counter() < until:
            began = time.perf_counter()
            torch.mm(a, b, out=out)
            best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="`small`, or anything that a recipe's model.ref may be")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--sequences", type=int, default=32)
    parser.add_argument("--budget", type=int, default=4096, help="tokens of a pack")
    parser.add_argument("--trainable", default="all")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--small", action="store_true", help="a small model, few sequences, little time")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.small:
        args.model, args.sequences, args.steps, args.budget = "small", 8, 2, 1024

    dtype = getattr(torch, args.dtype)
    model = make_model(args.model, dtype)
    packs = pack(play(derive(0, "learner"), args.sequences, model.config.vocab_size), args.budget)
    config = LearnerConfig(
        lr=1e-6, ratio="self", trainable=args.trainable, token_budget=args.budget, checkpointing=args.checkpointing
    )
    learner = Learner(model, config)
    work = needed(model, packs)
    sizes, seconds = ((256, 512), 0.5) if args.small else ((1024, 2048, 4096), 6.0)

    rate = matrix_rate(dtype, sizes, seconds)
    for _ in range(2):
        metrics = learner.step(packs)
    times: list[float] = []
    for _ in range(args.steps):
        metrics = learner.step(packs)
        times.append(metrics["seconds"])
    began = time.perf_counter()
    for p in packs:
        learner.logprobs(p)
    forward = time.perf_counter() - began
    for p in packs:
        learner.logprobs(p)[0].sum().backward()
    began = time.perf_counter()
    learner.apply(lr=1e-12)
    update = time.perf_counter() - began
    rate = max(rate, matrix_rate(dtype, sizes, seconds))

    tokens = f"{metrics['tokens_computed']:.0f} tokens computed of {metrics['tokens']:.0f}"
    print(f"{args.model} {args.dtype} trainable={args.trainable}, {torch.get_num_threads()} thread(s)")
    print(f"{len(packs)} packs, {tokens}, {metrics['action_tokens']:.0f} by the model")
    total = sum(work.values())
    shares = ", ".join(f"{name} {value / total:.0%}" for name, value in work.items())
    print(f"needed: {total / 1e9:.0f} GFLOP a step ({shares})")
    print(f"the machine's matrix product: {rate / 1e9:.0f} GFLOP/s\n")
    print(f"{'':16}{'seconds':>9}{'GFLOP/s':>9}{'share':>8}{'tokens/s':>10}{'computed/s':>12}")
    for name, spent in (("best step", min(times)), ("median step", statistics.median(times))):
        per_second = total / spent
        print(
            f"{name:16}{spent:9.2f}{per_second / 1e9:9.0f}{per_second / rate:8.2f}"
            f"{metrics['tokens'] / spent:10.0f}{metrics['tokens_computed'] / spent:12.0f}"
        )
    print(f"\nof a step: forward {forward:.2f} s, clipping and update {update:.2f} s, the rest backward")
    if args.profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            learner.step(packs)
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=50))


if __name__ == "__main__":
    main()
