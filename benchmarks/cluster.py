"""Ten thousand episodes at once: how busy are samplers and learners, in turns and side by side? A simulation.

    python benchmarks/cluster.py                                  # about a minute
    python benchmarks/cluster.py --env-lognormal 0.5,1.5          # steps of half a second, now and then of a minute
    python benchmarks/cluster.py --engines 8 --ranks 4 --slots 1000 --latencies mine.json

Every turn of every episode is an event: it waits for a place in its engine's batch, is decoded at the speed that the
batch has just then, and the environment steps. Turns, tokens and steps are drawn from the distributions of a real run
(`benchmarks/cluster_latencies.json`, made by `benchmarks/cluster_measure.py`: TextWorld coin collecting with the
embedded model on two cores; vLLM's speed at 1, 8 and 32 sequences on the same machine).

- An engine with b sequences takes `fixed + each * b` seconds for a token of all of them; the line is fitted to the
  measured points and stretched to `--batch` sequences. Reading prompts is not modelled (prefix caching leaves the
  newest observation).
- The learner takes the tokens of an iteration's groups at the measured speed times `--ranks`; sending weights takes
  `--weights` seconds, in which, when in turns, nobody works.
- With staleness S at most S + 1 iterations' groups are on their way; the first to finish are learnt from; a group
  whose oldest token is more than S versions old is dropped and its task is played again. S = 0 is in turns.

Columns: seconds an iteration; speed against in turns; share of time in which an engine had any sequence, and tokens of
all engines over what full batches would give; share of time in which the learner steps; groups dropped, of those
played; mean staleness of what is learnt from, in versions.

The same seed gives the same table.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.seeding import generator

LATENCIES = Path(__file__).with_name("cluster_latencies.json")
GRID = np.linspace(0, 1, 101)
POOL = 1 << 18
"""Numbers drawn ahead of each distribution; they come round again after that."""
TURN_OVER, STEP_OVER, LEARNT = range(3)


@dataclass
class World:
    """What is simulated."""

    fixed: float
    """Seconds of a decoding step, whatever the batch."""
    each: float
    """Seconds more for each sequence in it."""
    turns: list[int]
    tokens: list[int]
    steps: list[float]
    """Seconds of the environment."""
    tokens_per_turn: float
    learner_speed: float
    """Tokens a second, of all ranks."""
    weights: float
    engines: int
    batch: int
    slots: int
    groups: int
    """In an iteration."""
    size: int
    """Attempts in a group."""


class Engine:
    """Shares its speed among its sequences; who does not fit into the batch waits in line."""

    __slots__ = ("active", "batch", "busy", "each", "ends", "fixed", "line", "made", "now", "stamp", "work")

    def __init__(self, world: World) -> None:
        self.fixed, self.each, self.batch = world.fixed, world.each, world.batch
        self.work = 0.0
        """Tokens that a sequence would have got that was here from the beginning."""
        self.ends: list[tuple[float, int]] = []
        self.line: deque[tuple[int, int]] = deque()
        self.active = self.stamp = 0
        self.now = self.busy = self.made = 0.0

    def advance(self, now: float) -> None:
        """Decode until `now`."""
        if self.active:
            passed = now - self.now
            done = passed / (self.fixed + self.each * self.active)
            self.work += done
            self.made += done * self.active
            self.busy += passed
        self.now = now

    def enter(self, turn: int, tokens: int) -> None:
        """A turn of so many tokens begins, or waits."""
        if self.active < self.batch:
            self.active += 1
            heappush(self.ends, (self.work + tokens, turn))
        else:
            self.line.append((turn, tokens))

    def leave(self) -> int:
        """The turn that is over."""
        turn = heappop(self.ends)[1]
        self.active -= 1
        if self.line:
            self.enter(*self.line.popleft())
        return turn

    def next(self) -> float:
        """When the next turn is over, if nothing changes."""
        return self.now + max(0.0, self.ends[0][0] - self.work) * (self.fixed + self.each * self.active)


@dataclass
class Tally:
    """What came out."""

    seconds: float = 0.0
    busy: float = 0.0
    made: float = 0.0
    learning: float = 0.0
    dropped: int = 0
    played: int = 0
    ages: list[int] = field(default_factory=list)


def simulate(world: World, staleness: int, iterations: int) -> Tally:
    """Play and learn so many iterations."""
    engines = [Engine(world) for _ in range(world.engines)]
    events: list[tuple[float, int, int, int, int]] = []
    """Time, a number that breaks ties, what, whose (engine or attempt), the engine's stamp."""
    tally, now, number, version = Tally(), 0.0, 0, 0
    waiting: deque[int] = deque()
    left: list[int] = []  # turns, by attempt
    count: list[int] = []
    group_of: list[int] = []
    where: list[int] = []
    missing: list[int] = []  # attempts, by group
    born: list[int] = []
    finished: deque[int] = deque()
    ordered = inside = cursor = learnt = 0
    learning: list[int] = []
    pool = POOL - 1

    def push(at: float, what: int, who: int, stamp: int = 0) -> None:
        nonlocal number
        number += 1
        heappush(events, (at, number, what, who, stamp))

    def changed(index: int) -> None:
        engine = engines[index]
        engine.stamp += 1
        if engine.active:
            push(engine.next(), TURN_OVER, index, engine.stamp)

    def ask(attempt: int) -> None:
        nonlocal cursor
        cursor += 1
        engine = engines[where[attempt]]
        engine.advance(now)
        engine.enter(attempt, world.tokens[cursor & pool])
        changed(where[attempt])

    def order() -> None:
        nonlocal ordered
        room = min((staleness + 1) * world.groups, (iterations - learnt) * world.groups)
        while ordered < room:
            ordered += 1
            group = len(missing)
            missing.append(world.size)
            born.append(-1)
            for _ in range(world.size):
                waiting.append(len(left))
                left.append(world.turns[(len(left) * 7919) & pool])
                count.append(left[-1])
                group_of.append(group)
                where.append(0)
        admit()

    def admit() -> None:
        nonlocal inside
        while waiting and inside < world.slots:
            inside += 1
            attempt = waiting.popleft()
            if born[group_of[attempt]] < 0:
                born[group_of[attempt]] = version
            where[attempt] = attempt % world.engines  # Attempts are alike: in turn is as good as by load.
            ask(attempt)

    def learn() -> None:
        nonlocal ordered, learning
        while finished and not learning:
            old = [g for g in finished if version - born[g] > staleness]
            if old:
                tally.dropped += len(old)
                ordered -= len(old)
                kept = [g for g in finished if version - born[g] <= staleness]
                finished.clear()
                finished.extend(kept)
                order()
            if len(finished) < world.groups:
                return
            learning = [finished.popleft() for _ in range(world.groups)]
            tally.ages += [version - born[g] for g in learning]
            tokens = world.tokens_per_turn * sum(size_of[g] for g in learning)
            seconds = tokens / world.learner_speed
            tally.learning += seconds
            push(now + seconds + world.weights, LEARNT, 0)

    size_of: dict[int, int] = {}
    order()
    while learnt < iterations:
        now, _, what, who, stamp = heappop(events)
        if what == TURN_OVER:
            engine = engines[who]
            if stamp != engine.stamp:
                continue
            engine.advance(now)
            attempt = engine.leave()
            changed(who)
            cursor += 1
            push(now + world.steps[cursor & pool], STEP_OVER, attempt)
        elif what == STEP_OVER:
            left[who] -= 1
            if left[who]:
                ask(who)
                continue
            inside -= 1
            group = group_of[who]
            missing[group] -= 1
            size_of[group] = size_of.get(group, 0) + count[who]
            if not missing[group]:
                tally.played += 1
                finished.append(group)
                learn()
            admit()
        else:
            learnt, version, learning = learnt + 1, version + 1, []
            ordered -= world.groups
            order()
            learn()
    tally.seconds = now
    for engine in engines:
        engine.advance(now)
        tally.busy += engine.busy / world.engines
        tally.made += engine.made
    return tally


def drawn(values: list[float], seed: int, name: str) -> Any:
    """Numbers of a distribution that is given by its quantiles."""
    return np.interp(generator(seed, "cluster", name).random(POOL), GRID, values)


def build(args: argparse.Namespace, data: dict[str, Any]) -> World:
    """The world that the arguments and the measured latencies describe."""
    points = np.asarray(data["sampler"])
    each, fixed = np.polyfit(points[:, 0], points[:, 0] / points[:, 1], 1)
    steps = drawn(data["env_seconds"], args.seed, "env")
    if args.env_lognormal:
        median, sigma = (float(part) for part in args.env_lognormal.split(","))
        steps = median * np.exp(sigma * generator(args.seed, "cluster", "env").standard_normal(POOL))
    engines = args.engines or -(-args.slots // args.batch)
    turns = np.rint(drawn(data["turns"], args.seed, "turns")).astype(int).clip(1)
    tokens = np.rint(drawn(data["answer_tokens"], args.seed, "tokens")).astype(int).clip(1)
    speed = float(data["learner_tokens_per_second"])
    ranks = args.ranks
    if not ranks:  # As many as learn as fast as full engines play.
        peak = engines * args.batch / (fixed + each * args.batch)
        ranks = max(1, round(peak / tokens.mean() * data["attempt_tokens_per_turn"] / speed))
    args.ranks = ranks
    return World(
        fixed=float(fixed),
        each=float(each),
        turns=turns.tolist(),
        tokens=tokens.tolist(),
        steps=steps.tolist(),
        tokens_per_turn=float(data["attempt_tokens_per_turn"]),
        learner_speed=speed * ranks,
        weights=args.weights,
        engines=engines,
        batch=args.batch,
        slots=args.slots,
        groups=max(1, args.slots // args.group),
        size=args.group,
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=10_000, help="episodes at once, and in an iteration")
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--engines", type=int, default=0, help="0: as many as have room for all slots")
    parser.add_argument("--batch", type=int, default=256, help="sequences at once in an engine")
    parser.add_argument("--ranks", type=int, default=0, help="0: as many as keep up with full engines")
    parser.add_argument("--weights", type=float, default=2.0, help="seconds to send weights")
    parser.add_argument("--staleness", type=int, nargs="*", default=[0, 1, 2, 4])
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--env-lognormal", default="", help="median and sigma of a step, instead of the measured ones")
    parser.add_argument("--latencies", type=Path, default=LATENCIES)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    world = build(args, json.loads(args.latencies.read_text(encoding="utf-8")))
    print(
        f"{args.slots} episodes at once, groups of {world.size}, {world.engines} engines of {world.batch} sequences "
        f"({world.fixed * 1e3:.1f} + {world.each * 1e3:.2f} b ms a token), {args.ranks} learner ranks\n"
        f"turns {np.mean(world.turns):.1f}, answer tokens {np.mean(world.tokens):.1f}, environment step "
        f"{np.median(world.steps) * 1e3:.1f} ms (99 %: {np.quantile(world.steps, 0.99) * 1e3:.0f} ms), "
        f"{args.iterations} iterations"
    )
    print("| staleness | s an iteration | speed | engines busy | of full batches | learner busy | dropped | age |")
    print("|---|---|---|---|---|---|---|---|")
    peak = world.engines * world.batch / (world.fixed + world.each * world.batch)
    first = 0.0
    for staleness in args.staleness:
        t = simulate(world, staleness, args.iterations)
        first = first or t.seconds
        print(
            f"| {staleness or '0, in turns'} | {t.seconds / args.iterations:.1f} | {first / t.seconds:.2f} x "
            f"| {t.busy / t.seconds:.0%} | {t.made / t.seconds / peak:.0%} | {t.learning / t.seconds:.0%} "
            f"| {t.dropped} of {t.played} | {np.mean(t.ages):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
