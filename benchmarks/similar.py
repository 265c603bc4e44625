"""Near-duplicate anchors: time beside the pairwise `difflib` clustering of the authors' code, and whether rows agree.

    python benchmarks/similar.py [--observations N] [--sample M] [--full] [--json]

Observations are of a text world of realistic size: places with a description, exits and things lying about, met again
and again with other things in another order, another move counter and another remark on the last action; with the
transcripts in `tests/golden/textworld` there, their texts take part, too. `difflib` runs on the first M observations,
where agreement is measured as well; its time for all of them is that time for each comparison, times the comparisons
that the greedy order makes (each text with the first texts of all clusters before its own). `--full` runs it on all of
them, for many minutes. Seconds are of one processor core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.credit.similar import cluster
from agentgym.seeding import generator

TRANSCRIPTS = Path(__file__).parents[1] / "tests" / "golden" / "textworld"
ROOMS, LOOKS, THINGS = (
    line.split(",")
    for line in (
        "kitchen,pantry,cellar,attic,library,hall,garden,workshop,chapel,vault,laundry,study,stable,tower,crypt",
        "a well-kept,a dusty,an austere,a cramped,a sunlit,a draughty,a plain,a cluttered,a silent,a damp",
        "brass lantern,rusty key,loaf of bread,wooden chest,silver coin,old map,coil of rope,glass bottle,red apple,"
        "iron nail,paper fan,broken clock,candle stub,leather boot,blue cushion,tin cup,stone idol,wool blanket",
    )
)
REMARKS = (
    "You go {way}.",
    "You can't see any such thing.",
    "You pick up the {thing} from the ground.",
    "Nothing happens.",
    "You drop the {thing} on the ground.",
    "You open the door and look around.",
)
WAYS = ("north", "east", "south", "west")


def place(rng: np.random.Generator) -> tuple[str, list[str], str]:
    """A description that stays, things that may lie there, exits."""
    room, look = ROOMS[rng.integers(len(ROOMS))], LOOKS[rng.integers(len(LOOKS))]
    things = [THINGS[i] for i in rng.permutation(len(THINGS))[: rng.integers(3, 9)]]
    walls = " ".join(f"You make out {LOOKS[i]} {THINGS[j]} by the wall." for i, j in rng.integers(0, 10, (3, 2)))
    exits = ", ".join(f"an exit to the {WAYS[i]}" for i in sorted(rng.permutation(4)[: rng.integers(1, 4)]))
    return f"-= {room.title()} {rng.integers(1, 100)} =- You are in {room}, {look} place. {walls}", things, exits


def observation(rng: np.random.Generator, world: Sequence[tuple[str, list[str], str]]) -> str:
    described, things, exits = world[min(int(rng.geometric(4 / len(world))), len(world)) - 1]
    order = list(things)
    if rng.random() < 0.5:
        i = int(rng.integers(len(order) - 1))
        order[i], order[i + 1] = order[i + 1], order[i]
    if rng.random() < 0.3:
        del order[int(rng.integers(len(order)))]
    remark = REMARKS[rng.integers(len(REMARKS))].format(way=WAYS[rng.integers(4)], thing=things[0])
    seen = f"{described} You see {', '.join(order)}. There is {exits}. Moves: {rng.integers(1, 50)}."
    return f"{remark} {seen}" if rng.random() < 0.5 else seen


def observations(count: int, seed: int = 0, places: int = 300) -> list[str]:
    """Texts as attempts at one task meet them, near-duplicates and repeats among them."""
    rng = generator(seed, "benchmark", "similar", count)
    world = [place(rng) for _ in range(places)]
    real = [
        step["feedback"]
        for path in sorted(TRANSCRIPTS.glob("*.z8.json"))
        for step in json.loads(path.read_text())["steps"]
    ]
    return [
        real[rng.integers(len(real))] if real and rng.random() < 0.1 else observation(rng, world) for _ in range(count)
    ]


def pairwise(texts: Sequence[str], threshold: float) -> list[int]:
    """What the authors' code does: each text joins the first cluster whose first text is similar enough."""
    first: list[str] = []
    ids: list[int] = []
    for text in texts:
        found = next(
            (k for k, f in enumerate(first) if SequenceMatcher(None, text, f).ratio() >= threshold), len(first)
        )
        if found == len(first):
            first.append(text)
        ids.append(found)
    return ids


def comparisons(ids: Sequence[int]) -> int:
    """How often the greedy order compares two texts: with each cluster up to a text's own, if that was there before."""
    made = clusters = 0
    for k in ids:
        made += k + (k < clusters)
        clusters = max(clusters, k + 1)
    return made


def same_rows(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """Share of rows whose cluster holds exactly the same rows in both."""
    a, b = np.asarray(ours), np.asarray(theirs)
    _, a_size = np.unique(a, return_counts=True)
    _, b_size = np.unique(b, return_counts=True)
    pairs, inverse, both = np.unique(np.stack([a, b]), axis=1, return_inverse=True, return_counts=True)
    whole = (both == a_size[pairs[0]]) & (both == b_size[pairs[1]])
    return float(whole[inverse.ravel()].mean())


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=int, default=4000)
    parser.add_argument("--sample", type=int, default=600)
    parser.add_argument("--threshold", type=float, default=0.95)
    parser.add_argument("--full", action="store_true", help="difflib on all observations")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    texts = observations(options.observations)
    sample = len(texts) if options.full else min(options.sample, len(texts))
    ours_s, ours = timed(lambda: cluster(texts, threshold=options.threshold))
    difflib_s, theirs = timed(lambda: pairwise(texts[:sample], options.threshold))
    part = cluster(texts[:sample], threshold=options.threshold)
    extrapolated = difflib_s * comparisons(ours.tolist()) / comparisons(theirs)
    row = {
        "observations": len(texts),
        "different": len(set(texts)),
        "characters": round(float(np.mean([len(text) for text in texts]))),
        "clusters": int(ours.max(initial=-1)) + 1,
        "sample": sample,
        "sample_clusters": len(set(theirs)),
        "difflib_sample_s": round(difflib_s, 2),
        "difflib_s": round(extrapolated, 1),
        "comparisons": comparisons(ours.tolist()),
        "ours_s": round(ours_s, 3),
        "times_faster": round(extrapolated / ours_s, 1),
        "same_rows": same_rows(part.tolist(), theirs),
    }
    if options.json:
        print(json.dumps(row))
        return 0
    for name, value in row.items():
        print(f"{name.replace('_', ' '):20} {f'{value:.2%}' if name == 'same_rows' else value:>12}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
