"""Answer scoring in packed passes against a forward pass a turn: seconds, and how equal the log-probabilities are.

    python benchmarks/information_gain.py           # the embedded default model; half an hour and more
    python benchmarks/information_gain.py --small   # a small random model, seconds

64 trajectories of 10 turns, in groups of 8 that share their task's prompt (90 to 150 tokens); a turn is 4 to 8 tokens
of action and 25 to 59 of observation; the answer has 2 to 6 tokens. Every trajectory has 11 probes: one before the
first turn, one after each. Rows, all on the same probes and weights, gradients off:

- `a pass a turn`: one forward pass for each trajectory and turn, the prefix and the probe; logits for the answer's
  tokens only. The target is against this row.
- `a pass a turn, batched`: the same in right-padded batches of eight (`--batch`) probes of like length.
- `packed`: the scorer `answer-logprob` as it is.

Tokens are those that went through the model, padding included; `CPU s` is the process's own time, which other work on
the machine disturbs less than seconds. Differences are the largest over all turns, in nats of the mean log-probability.
`--threads` sets torch's threads; on an accelerator `--device cuda`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from agentgym import models
from agentgym.credit import TurnTable
from agentgym.head import token_logprobs
from agentgym.ledger import Ledger
from agentgym.models import Loaded
from agentgym.scorers import ScorerContext
from agentgym.scorers.answer_logprob import AnswerLogprob
from agentgym.scorers.places import places
from agentgym.seeding import generator
from agentgym.types import Completion, Ending, Message, Observation, Task, Trajectory, Turn

GROUP = 8


def play(loaded: Loaded, seed: int, count: int, turns: int) -> tuple[list[Trajectory], dict[str, Task]]:
    """Trajectories with real ledgers of this model's chat template; contents are random words of its vocabulary."""
    chat = loaded.chat
    plain_ids = [
        i for i in range(min(3000, int(loaded.model.config.vocab_size))) if chat.encode(chat.decode([i])) == [i]
    ]

    def words(rng: np.random.Generator, low: int, high: int) -> str:
        return chat.decode([plain_ids[int(i)] for i in rng.integers(0, len(plain_ids), int(rng.integers(low, high)))])

    made: list[Trajectory] = []
    tasks: dict[str, Task] = {}
    for i in range(count):
        shared, own = generator(seed, "task", i // GROUP), generator(seed, "attempt", i)
        name = f"task{i // GROUP}"
        prompt = words(shared, 90, 150)
        tasks[name] = Task(name, data={"answer": words(shared, 2, 6)})
        ledger, done = Ledger(chat, [Message("user", prompt)]), list[Turn]()
        for t in range(turns):
            drawn = own.integers(0, len(plain_ids), int(own.integers(3, 8)))
            ids = [*(plain_ids[int(n)] for n in drawn), min(chat.end_ids)]
            completion = Completion("x", tuple(ids), (-1.0,) * len(ids))
            ledger.act(completion)
            done.append(Turn(Observation("o"), completion, "x"))
            if t + 1 < turns:
                ledger.observe([Message("user", words(own, 25, 60))])
        made.append(
            Trajectory(f"t{i}", "e", name, name, i % GROUP, 0, tuple(done), Ending.FAILURE, samples=ledger.samples())
        )
    return made, tasks


def probes(loaded: Loaded, played: Sequence[Trajectory], tasks: dict[str, Task]) -> list[tuple[list[int], int]]:
    """Tokens and answer length of each probe, by trajectory and turn, as a plain loop would ask."""
    chat, scorer = loaded.chat, AnswerLogprob()
    opens = chat.tokenizer.encode(scorer.template_open, add_special_tokens=False)
    head = list(chat.glue(("user", "assistant"))[-1])
    made: list[tuple[list[int], int]] = []
    for trajectory in played:
        answer = chat.encode(tasks[trajectory.task_id].data["answer"])
        stands, tokens = places(trajectory), list(trajectory.samples[0].tokens)
        ends = [*(tokens[: place.start] for place in stands), tokens + head[1:]]
        made += [([*end, *opens, *answer], len(answer)) for end in ends]
    return made


def plain(model: Any, asked: Sequence[tuple[list[int], int]], batch: int) -> list[float]:
    """Mean log-probability of each probe's answer, `batch` probes a pass."""
    order = sorted(range(len(asked)), key=lambda i: len(asked[i][0])) if batch > 1 else range(len(asked))
    device, found = next(model.parameters()).device, [0.0] * len(asked)
    with torch.no_grad():
        for first in range(0, len(asked), batch):
            rows = order[first : first + batch]
            longest = max(len(asked[i][0]) for i in rows)
            ids = torch.tensor([asked[i][0] + [0] * (longest - len(asked[i][0])) for i in rows], device=device)
            hidden = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
            for row, i in enumerate(rows):
                tokens, answer = asked[i]
                before = slice(len(tokens) - answer - 1, len(tokens) - 1)
                target = ids[row, len(tokens) - answer : len(tokens)]
                found[i] = float(token_logprobs(model, hidden[row, before], target)[0].mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="anything that a recipe's model.ref may be")
    parser.add_argument("--small", action="store_true", help="scratch:tiny instead")
    parser.add_argument("--trajectories", type=int, default=64)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8, help="probes of a padded batch")
    parser.add_argument("--budget", type=int, default=8192, help="tokens of a packed pass")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)

    ref = "scratch:tiny" if args.small else args.model
    loaded = models.load(ref, dtype=args.dtype, device=args.device)
    played, tasks = play(loaded, args.seed, args.trajectories, args.turns)
    table = TurnTable.from_trajectories(played)
    asked = probes(loaded, played, tasks)
    print(f"{ref} {next(loaded.model.parameters()).dtype}, {args.device}, {torch.get_num_threads()} thread(s)")
    print(f"{len(played)} trajectories of {args.turns} turns, {sum(len(t.samples[0].tokens) for t in played)} tokens")
    print(f"{len(asked)} probes\n")

    work = AnswerLogprob().open(ScorerContext(lambda name: tasks[name], loaded, args.seed, args.budget))

    def packed() -> list[float]:
        columns, cuts = work.score(played, table), table.trajectories.first[1:]
        first, last = (np.split(columns[c], cuts) for c in ("answer_logprob_before", "answer_logprob"))
        return [float(x) for before, after in zip(first, last, strict=True) for x in (before[0], *after)]

    ways: dict[str, Callable[[], list[float]]] = {
        "a pass a turn": lambda: plain(loaded.model, asked, 1),
        "a pass a turn, batched": lambda: plain(loaded.model, asked, args.batch),
        "packed": packed,
    }
    plain(loaded.model, asked[:2], 1)  # What has to be warmed up.
    counted: list[int] = []
    loaded.model.get_decoder().register_forward_pre_hook(
        lambda module, positional, named: counted.append(named["input_ids"].numel()), with_kwargs=True
    )
    print(f"{'':26}{'seconds':>10}{'ratio':>8}{'CPU s':>10}{'ratio':>8}{'tokens':>10}{'largest difference':>20}")
    reference: list[float] = []
    slow = slow_cpu = 0.0
    for name, way in ways.items():
        counted.clear()
        began, began_cpu = time.perf_counter(), time.process_time()
        values = way()
        seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        if not reference:
            reference, slow, slow_cpu = values, seconds, cpu
        apart = max(abs(a - b) for a, b in zip(values, reference, strict=True))
        shown = f"{seconds:10.2f}{slow / seconds:8.2f}{cpu:10.2f}{slow_cpu / cpu:8.2f}{sum(counted):10d}{apart:20.1e}"
        print(f"{name:26}{shown}", flush=True)


if __name__ == "__main__":
    main()
