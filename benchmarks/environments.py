"""Steps/s of every registered environment, in one process, and of the upstream engine where that is installed.

    python benchmarks/environments.py                       # all that are registered
    python benchmarks/environments.py keydoor-v0 --seconds 0.2
    python benchmarks/environments.py --write envs/agentgym_envs/speeds.json

Actions are drawn at random from the admissible ones (from the words of the observation where none are listed); resets
are timed apart. The upstream side plays the same game files with the same kind of walk. One table; what cannot be
played (an extra or a path is missing) says so. `--write` keeps the figures, rounded to two digits, as what the package
declares to `agentgym list`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from pathlib import Path

from agentgym import registry
from agentgym.errors import AgentgymError
from agentgym.seeding import generator


def play(env, tasks, seconds):
    """Steps/s, and milliseconds of a reset (median; the first of each task is left out: it imports and makes games)."""
    rng, steps, spent, resets = generator(0, "benchmark"), 0, 0.0, []
    while spent < seconds or len(resets) < len(tasks) + 2:
        began = time.perf_counter()
        observation, _ = env.reset(seed=len(resets), options={"task": tasks[len(resets) % len(tasks)]})
        resets.append(time.perf_counter() - began)
        began, done, turns = time.perf_counter(), False, 0
        while not done and turns < 100:
            words = observation.actions or observation.text.split()[:50] or ("look",)
            step = env.step(words[int(rng.integers(len(words)))])
            observation, done, turns = step.observation, step.terminated or step.truncated, turns + 1
        steps, spent = steps + turns, spent + time.perf_counter() - began
    return steps / spent, 1000 * statistics.median(resets[len(tasks) :])


def ours(name, seconds, count):
    """Steps/s and reset of one environment, or why not."""
    try:
        env = registry.make(name)
        tasks = list(registry.tasks(name)[:count])
        try:
            return (*play(env, tasks, seconds), tasks)
        finally:
            env.close()
    except (AgentgymError, ImportError, OSError) as error:
        return None, str(error).split("\n")[0], []


def upstream_textworld(tasks, seconds):
    """Steps/s of textworld's own environment with what ours gives too: feedback, score, admissible commands."""
    if importlib.util.find_spec("textworld") is None:
        return None
    import textworld

    from agentgym_envs.textworld.games import ensure

    rng, steps, spent = generator(0, "benchmark"), 0, 0.0
    asked = textworld.EnvInfos(feedback=True, score=True, admissible_commands=True)
    while spent < seconds:
        for task in tasks:
            env = textworld.start(str(ensure(task.data["game"])), asked)
            state = env.reset()
            began = time.perf_counter()
            for _ in range(100):
                words = state["admissible_commands"]
                state, _, done = env.step(words[int(rng.integers(len(words)))])
                steps += 1
                if done or spent + time.perf_counter() - began > seconds:
                    break
            spent += time.perf_counter() - began
            env.close()
            if spent >= seconds:
                break
    return steps / spent


UPSTREAM = {"textworld-": upstream_textworld}
"""Beginning of an id to what measures its upstream engine; `None` from it where that is not installed."""


def rounded(speed):
    """To two digits: more would say something about the machine and nothing about the environment."""
    return int(float(f"{speed:.1e}")) or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("envs", nargs="*", help="ids; all that are registered if none is given")
    parser.add_argument("--seconds", type=float, default=1.0, help="of steps, for each environment")
    parser.add_argument("--tasks", type=int, default=3, help="tasks that take turns")
    parser.add_argument("--write", type=Path, help="speeds.json to keep the figures in; others in it stay")
    given = parser.parse_args()
    speeds = {}
    print(f"{'environment':24} {'steps/s':>10} {'reset ms':>9} {'upstream/s':>11} {'ratio':>6}", flush=True)
    for name in given.envs or registry.names("envs"):
        speed, reset, tasks = ours(name, given.seconds, given.tasks)
        if speed is None:
            print(f"{name:24} not played: {reset}", flush=True)
            continue
        speeds[name] = rounded(speed)
        measure = next((f for beginning, f in UPSTREAM.items() if name.startswith(beginning)), None)
        other = measure(tasks, given.seconds) if measure and all("game" in t.data for t in tasks) else None
        beside = f"{other:11,.0f} {speed / other:6.1f}" if other else f"{'-':>11} {'-':>6}"
        print(f"{name:24} {speed:10,.0f} {reset:9.2f} {beside}", flush=True)
    if given.write:
        before = json.loads(given.write.read_text()) if given.write.exists() else {}
        given.write.write_text(json.dumps(dict(sorted({**before, **speeds}.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
