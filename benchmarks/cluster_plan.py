"""The arithmetic behind the paper plan in docs/cluster.md: bytes and tokens for 8, 64 and 512 GPUs.

    python benchmarks/cluster_plan.py

Nothing here is measured: it is sums over what is assumed of chip, network, models and episodes, all named below.
Change them and print the table again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FLOPS, MEMORY, BANDWIDTH = 989e12, 80e9, 3.35e12
"""Of one GPU: dense bfloat16 operations a second, bytes, bytes a second (an H100 SXM's data sheet)."""
LEARNER_SHARE, PREFILL_SHARE, DECODE_SHARE = 0.35, 0.45, 0.60
"""What is reached of these: operations when learning and reading prompts, bytes when decoding."""
NODE, STORE, HASH = 8, 2e9, 1.5e9
"""GPUs of a node; bytes a second between two object stores, and of SHA-256 on one core."""
TURNS, PROMPT, SEEN, SAID, GROUP = 10, 300, 140, 60, 8
"""An episode: turns; tokens of the prompt, of an observation, of an answer; attempts in a group."""
LEARNT, LEDGER = 20, 16
"""Bytes a parameter on the learner: bfloat16 weight and gradient, float32 master, its gradient, two moments. Bytes a
token of a trajectory on its way: id, log-probability, turn, text."""
KEPT = 12
"""Bytes a parameter that the driver keeps to start lost ranks from: master and two moments."""


@dataclass(frozen=True)
class Plan:
    """A cluster and what runs on it."""

    gpus: int
    learners: int
    tensor: int
    """GPUs of one engine."""
    name: str
    parameters: float
    layers: int
    heads: int
    """Of keys and values."""
    width: int
    """Of a head."""
    episodes: int
    """In an iteration."""
    batch: int
    """Sequences at once in an engine."""


PLANS = (
    Plan(8, 5, 1, "1.5 B", 1.54e9, 28, 2, 128, 1_024, 256),
    Plan(64, 40, 1, "7.6 B", 7.6e9, 28, 4, 128, 4_096, 256),
    Plan(512, 320, 4, "32.8 B", 32.8e9, 64, 8, 128, 16_384, 256),
)


def figures(p: Plan) -> dict[str, str]:
    """The rows of a plan."""
    length = PROMPT + TURNS * (SEEN + SAID)
    samplers = p.gpus - p.learners
    engines = samplers // p.tensor
    weights = 2 * p.parameters
    cache = 2 * p.layers * p.heads * p.width * 2
    room = p.tensor * 0.9 * MEMORY - weights
    step = (weights + cache * p.batch * length / 2) / (p.tensor * BANDWIDTH * DECODE_SHARE)
    decode = p.batch / step
    read = p.tensor * FLOPS * PREFILL_SHARE / (2 * p.parameters)
    play = p.episodes / engines * (TURNS * SAID / decode + (length - TURNS * SAID) / read)
    learn = p.episodes * length * 6 * p.parameters / (p.learners * FLOPS * LEARNER_SHARE)
    nodes = math.ceil(samplers / NODE)
    hops = math.ceil(math.log2(nodes + 1)) if p.gpus > NODE else 0
    send = weights / HASH * 2 + hops * weights / STORE
    gib = 1e9
    return {
        "model": p.name,
        "GPUs that sample / learn": f"{samplers} / {p.learners}",
        "engines x GPUs": f"{engines} x {p.tensor}",
        "weights, bfloat16": f"{weights / gib:.1f} GB",
        "learner's memory, each rank": f"{LEARNT * p.parameters / p.learners / gib:.1f} GB and activations",
        "kept by the driver": f"{KEPT * p.parameters / gib:.0f} GB",
        "keys and values a token": f"{cache / 1e3:.0f} KB",
        "room for them in an engine": f"{room / gib:.0f} GB = {room / cache / length:,.0f} episodes",
        "decoding, each engine": f"{decode / 1e3:.1f} k tokens/s at {p.batch} sequences",
        "episodes (tokens) an iteration": f"{p.episodes:,} ({p.episodes * length / 1e6:.1f} M)",
        "sampled of these": f"{p.episodes * TURNS * SAID / 1e6:.1f} M",
        "trajectories to the driver": f"{p.episodes * length * LEDGER / gib:.2f} GB",
        "playing, without environments": f"{play:.0f} s",
        "learning": f"{learn:.0f} s ({p.episodes * length / learn / 1e3:,.0f} k tokens/s)",
        "weights through the object store": f"{send:.0f} s",
        "iteration in turns / side by side": f"{play + learn + send:.0f} s / {max(play, learn) + send:.0f} s",
        "share of it that weights take": f"{send / (max(play, learn) + send):.0%}",
    }


def main() -> None:
    found = [figures(plan) for plan in PLANS]
    print("| | " + " | ".join(f"{plan.gpus} GPUs" for plan in PLANS) + " |")
    print("|---" * (len(PLANS) + 1) + "|")
    for row in found[0]:
        print(f"| {row} | " + " | ".join(column[row] for column in found) + " |")


if __name__ == "__main__":
    main()
