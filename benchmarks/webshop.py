"""WebShop's engine here: steps/s, start-up, memory, the shopper, and how close our ranking is to upstream's. One table.

    python benchmarks/webshop.py                       # generated catalogue, about a minute
    python benchmarks/webshop.py --products 200000     # and a large one (1180000: as upstream's full file, 3 GB)
    python benchmarks/webshop.py --data FOLDER         # and upstream's own files
    python benchmarks/webshop.py --quick               # seconds

Steps are random admissible actions through the environment's own `step`, with text, admissible actions, state key and
progress; searches are the instruction. Start-up is a new process from its imports to the first page, the index being
there. Upstream's ranking is that of the transcripts in `tests/golden/webshop`; upstream itself needs Java and is not
run here (65 steps/s were seen with it on another machine: not comparable to the digit).
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from agentgym import registry
from agentgym.env import EnvSpec
from agentgym_envs.webshop import GENERATED, REAL, catalogue

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "webshop"
FRESH = """
import time
begin = time.perf_counter()
import sys
from agentgym import registry
from agentgym_envs.webshop import REAL
tasks = registry.tasks(REAL, "train", path=sys.argv[1], goals=sys.argv[2])
env = registry.make(REAL)
env.reset(options={"task": tasks[0]})
took = time.perf_counter() - begin
for index in range(int(sys.argv[3])):
    env.reset(options={"task": tasks[index]})
    while not env.step(env.oracle() or "").terminated:
        pass
status = open("/proc/self/status").read() if sys.platform == "linux" else "VmHWM: 0 kB"
print(took, status.split("VmHWM:")[1].split()[0])
"""


def steps_per_second(spec: EnvSpec, steps: int, **options: Any) -> float:
    """Random play."""
    tasks = registry.tasks(spec, "train", **{k: v for k, v in options.items() if k != "mode"})
    env, rng, done, spent = registry.make(spec, **options), np.random.default_rng(0), 0, 0.0
    some = [tasks[index] for index in range(min(200, len(tasks)))]
    while done < steps:
        task = some[int(rng.integers(len(some)))]
        begin = time.perf_counter()
        observation, terminated, turns = env.reset(seed=0, options={"task": task})[0], False, 0
        while not terminated and turns < 20:
            actions = observation.actions or ("search[x]",)
            observation, _, terminated, _, _ = env.step(actions[int(rng.integers(len(actions)))])
            turns += 1
        spent += time.perf_counter() - begin
        done += turns
    return done / spent


def shopper(spec: EnvSpec, count: int, **options: Any) -> float:
    """Mean reward of the scripted shopper on held-out goals."""
    tasks, env, rewards = registry.tasks(spec, "heldout", **options), registry.make(spec), list[float]()
    for index in range(min(count, len(tasks))):
        env.reset(seed=0, options={"task": tasks[index]})
        step = env.step(env.oracle() or "")
        for _ in range(spec.max_turns - 1):
            if step.terminated:
                break
            step = env.step(env.oracle() or "")
        rewards.append(step.reward)
    return float(np.mean(rewards))


def overlap() -> tuple[float, float, int]:
    """Share of upstream's first ten that are among ours, share of equal firsts, and the number of queries."""
    with tempfile.TemporaryDirectory() as place:
        for path in GOLDEN.glob("items_*.json.gz"):
            (Path(place) / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        shelf = catalogue.shelf(catalogue.in_folder(place))
        shares: dict[str, tuple[float, bool]] = {}
        for path in sorted(GOLDEN.glob("*_h[01]_*.json.gz")):
            for step in json.loads(gzip.decompress(path.read_bytes()))["steps"]:
                match = re.search(r"/search_results/[^/]+/(.*)/1$", step.get("url", ""))
                if match:
                    theirs = re.findall(r"button\] (B0\w{8}) \[", step["text_rich"])
                    query = match[1].replace("+", " ")
                    ours = [shelf.product(row).asin for row in shelf.search.rows(query, 10)]
                    shares[query] = len(set(ours) & set(theirs)) / len(theirs), ours[:1] == theirs[:1]
    values = np.array(list(shares.values()), dtype=float)
    return float(values[:, 0].mean()), float(values[:, 1].mean()), len(values)


def folder_rows(name: str, folder: Path, goals: str, steps: int, episodes: int) -> None:
    """The rows of a folder of upstream's files."""
    begin = time.perf_counter()
    shelf = catalogue.shelf(catalogue.in_folder(str(folder)))
    row(
        f"{name}: {len(shelf):,} products, opened (indexed, where that is not done)",
        f"{time.perf_counter() - begin:.1f} s",
    )
    for kind in goals.split(","):
        fresh = [sys.executable, "-c", FRESH, str(folder), kind, str(episodes)]
        took, peak = subprocess.run(fresh, capture_output=True, text=True, check=True).stdout.split()
        row(f"{name}, {kind} goals: new process to first page", f"{float(took):.2f} s")
        row(f"{name}, {kind} goals: its peak of memory after {episodes} shopped goals", f"{int(peak) / 1024:,.0f} MB")
    kind = goals.split(",")[0]
    row(f"{name}: random play", f"{steps_per_second(REAL, steps, path=str(folder), goals=kind):,.0f} steps/s")
    row(f"{name}: shopper's mean reward", f"{shopper(REAL, episodes, path=str(folder), goals=kind):.3f}")


def row(name: str, value: str) -> None:
    """One line of the table."""
    print(f"{name:<88} {value:>16}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=0, help="also a generated catalogue of this many, as files")
    parser.add_argument("--folder", type=Path, help="where to write it, and to keep it (default: a temporary folder)")
    parser.add_argument("--data", type=Path, help="upstream's own files")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    steps, episodes = (1_000, 20) if given.quick else (20_000, 200)
    share, first, queries = overlap()
    row(f"our ranking against upstream's, {queries} queries: overlap@10", f"{share:.3f}")
    row("the same: equal first", f"{first:.3f}")
    for mode in ("text", "text_rich"):
        row(
            f"generated, 1,200 products, {mode}: random play",
            f"{steps_per_second(GENERATED, steps, mode=mode):,.0f} steps/s",
        )
    for kind in ("human", "synthetic"):
        row(f"generated, {kind} goals: shopper's mean reward", f"{shopper(GENERATED, episodes, goals=kind):.3f}")
    if given.products:
        with tempfile.TemporaryDirectory() as place:
            folder = given.folder or Path(place)
            if not (folder / "items_shuffle.json").exists():
                folder.mkdir(parents=True, exist_ok=True)
                catalogue.write(folder, given.products, 0)
            folder_rows("large", folder, "synthetic", steps // 10, episodes // 2)
    if given.data:
        folder_rows("real", given.data, "human,synthetic", steps // 10, episodes // 2)


if __name__ == "__main__":
    main()
