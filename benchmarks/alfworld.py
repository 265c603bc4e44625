"""How fast ALFWorld's engine here is, beside the upstream one where that is installed. Prints one table.

    python benchmarks/alfworld.py                      # generated games, about half a minute
    python benchmarks/alfworld.py --data FOLDER        # the real games below a folder as well
    python benchmarks/alfworld.py --quick              # seconds

Load and reset is a game file from disk to the first observation with its admissible actions, nothing kept from before;
steps are random admissible actions with observation, admissible actions, state key and progress, through the
environment's own `step`. Upstream is measured in the same run (`pip install textworld fast-downward-textworld`, then
`pip install --no-deps alfworld==0.4.2`; its planner is GPL), with admissible commands and wins asked for.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentgym.types import Task
from agentgym_envs.alfworld import writer
from agentgym_envs.alfworld.env import AlfWorld
from agentgym_envs.alfworld.game import parse
from agentgym_envs.alfworld.generate import make, plan
from agentgym_envs.alfworld.world import World


def load_ms(paths: Sequence[Path]) -> tuple[float, float]:
    """Mean and largest time of load and reset, in milliseconds."""
    times: list[float] = []
    for path in paths:
        begin = time.perf_counter()
        world = World(parse(path.read_bytes(), str(path)))
        world.intro()
        assert world.commands
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.fmean(times), max(times)


def steps_per_second(paths: Sequence[Path], steps: int) -> float:
    """Random play through the environment."""
    env, rng, count, spent = AlfWorld(), random.Random(0), 0, 0.0
    while count < steps:
        task = Task("t", data={"path": str(paths[count % len(paths)])})
        observation, _ = env.reset(seed=0, options={"task": task})
        begin = time.perf_counter()
        for _ in range(50):
            step = env.step(rng.choice(observation.actions or ("look",)))
            observation, count = step.observation, count + 1
            if step.terminated:
                break
        spent += time.perf_counter() - begin
    return count / spent


def threaded(paths: Sequence[Path], steps: int, threads: int = 4) -> float:
    """Steps/s of several threads together."""
    begin = time.perf_counter()
    running = [threading.Thread(target=steps_per_second, args=(paths, steps // threads)) for _ in range(threads)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    return steps / (time.perf_counter() - begin)


def upstream(paths: Sequence[Path], steps: int) -> tuple[float, float, float]:
    """Mean and largest load and reset in milliseconds, and steps/s, of the upstream engine."""
    # This file has the name of the upstream package, and its folder comes first on the path.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
    import textworld
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler

    infos: Any = textworld.EnvInfos(won=True, admissible_commands=True)
    rng, times, count, spent = random.Random(0), list[float](), 0, 0.0
    for path in paths:
        begin = time.perf_counter()
        env = textworld.start(str(path), infos, wrappers=[AlfredDemangler])
        state = env.reset()
        times.append(1000 * (time.perf_counter() - begin))
        begin = time.perf_counter()
        for _ in range(max(1, steps // len(paths))):
            state, _, done = env.step(rng.choice(state.admissible_commands))
            count += 1
            if done:
                break
        spent += time.perf_counter() - begin
        env.close()
    return statistics.fmean(times), max(times), count / spent


def best(times: int, measure: Callable[[], Any], key: Callable[[Any], float]) -> Any:
    """The best of several measurements: the machine's other work only ever slows."""
    return min((measure() for _ in range(times)), key=key)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    games, steps, times = (10, 1_000, 1) if given.quick else (100, 20_000, 3)
    rows: list[tuple[str, str, str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        sets = {"generated, level 3": [writer.write(make(plan("train", i)), Path(folder)) for i in range(games)]}
        sets["generated, level 5"] = [writer.write(make(plan("train", i, level=5)), Path(folder)) for i in range(games)]
        if given.data:
            found = sorted(given.data.rglob("game.tw-pddl"))
            sets["real"] = found[:: max(1, len(found) // games)]
        for name, paths in sets.items():
            mean, most = best(times, lambda paths=paths: load_ms(paths), lambda pair: pair[0])
            rate = best(times, lambda paths=paths: steps_per_second(paths, steps), lambda r: -r)
            four = best(times, lambda paths=paths: threaded(paths, steps), lambda r: -r)
            rows.append((f"agentgym, {name}", f"{mean:.2f}", f"{most:.2f}", f"{rate:,.0f}", f"{four:,.0f}"))
        try:
            mean, most, rate = upstream(next(reversed(sets.values()))[:10], 200)
            rows.append(("upstream 0.4.2, the last set", f"{mean:.0f}", f"{most:.0f}", f"{rate:.0f}", "not safe"))
        except ImportError as error:
            rows.append((f"upstream: not installed ({error.name})", "", "", "", ""))
        begin = time.perf_counter()
        for index in range(games):
            writer.game(make(plan("train", index)))
        made = 1000 * (time.perf_counter() - begin) / games
    heads = ("engine and games", "load+reset ms", "largest", "steps/s", "4 threads")
    print(f"| {' | '.join(heads)} |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(f"\nA game is generated and read in {made:.1f} ms (level 3). Targets: 3,000 steps/s, load and reset 5 ms.")


if __name__ == "__main__":
    main()
