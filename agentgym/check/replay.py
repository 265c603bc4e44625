"""The rules about playing the same thing twice: determinism, seeds, resets, state keys, snapshots."""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from agentgym.check.subject import Broken, Point, Subject, Walk, shown
from agentgym.env import Ability, TextEnv
from agentgym.types import Observation, Task


@contextmanager
def global_rng_kept() -> Generator[None]:
    """Whatever happens to the global generators in here is undone."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one is the point
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def seed_globals(seed: int) -> None:
    """Seed the global generators."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def global_states() -> str:
    """The states of the global generators, to be compared."""
    name, keys, place, *rest = cast(Any, np.random.get_state())  # noqa: NPY002
    return repr((random.getstate(), name, keys.tolist(), place, rest))


def differ(one: Sequence[Point], two: Sequence[Point]) -> str | None:
    """What the first difference is, keys apart."""
    for turn, (a, b) in enumerate(zip(one, two, strict=False)):
        for name, x, y in zip(Point._fields, a.seen(), b.seen(), strict=True):
            if x != y:
                return f"after {turn} actions the {name} is {shown(x)} and {shown(y)}"
    return None if len(one) == len(two) else f"one lasts {len(one) - 1} turns, the other {len(two) - 1}"


def deterministic(subject: Subject) -> str:
    """Two copies show the same, whatever they have played before."""
    episodes = subject.episodes(subject.seeds)
    walks: list[Walk] = []
    with global_rng_kept(), subject.env() as one, subject.env() as two:
        for task, seed, length in episodes:
            seed_globals(0)
            walks.append(subject.walk(one, task, seed, length))
        # The other copy plays them in the opposite order, so that what leaks from one episode to the next shows.
        for (task, seed, _), walk in zip(reversed(episodes), reversed(walks), strict=True):
            seed_globals(0)
            wrong = differ(walk.points, subject.replay(two, task, seed, walk.actions))
            if wrong:
                raise Broken(f"two copies differ: task {task.id!r}, seed {seed}, {wrong}{path_of(walk.actions)}")
    return f"{len(episodes)} seeds, {sum(len(w.actions) for w in walks)} steps, {len(subject.tasks)} tasks"


def path_of(actions: Sequence[str]) -> str:
    """How to get there, as the end of a sentence."""
    return f" (actions {shown(' / '.join(actions), 120)})" if actions else ""


def global_rng(subject: Subject) -> str:
    """Global generators are neither read nor moved."""
    episodes = subject.episodes(3 if subject.quick else 10)
    with global_rng_kept(), subject.env() as env:
        for task, seed, length in episodes:
            seed_globals(1)
            before = global_states()
            walk = subject.walk(env, task, seed, length)
            if global_states() != before:
                raise Broken(f"task {task.id!r}, seed {seed}: the episode moved a global random generator")
            seed_globals(2)
            if differ(walk.points, subject.replay(env, task, seed, walk.actions)):
                raise Broken(f"task {task.id!r}, seed {seed}: the episode depends on a global random generator")
    return f"{len(episodes)} seeds under two global seeds each"


def reset(subject: Subject) -> str:
    """A reset in the middle or after the end gives a fresh episode."""
    task = subject.tasks[0]
    with global_rng_kept(), subject.env() as fresh, subject.env() as env:
        seed_globals(0)
        first = subject.walk(fresh, task, 0, 5)

        def wrong() -> str | None:
            seed_globals(0)
            return differ(first.points, subject.replay(env, task, 0, first.actions))

        # Where two fresh copies differ, that is another rule's business.
        settled = subject.claims(Ability.DETERMINISTIC) and not wrong()
        for seed in range(3 if subject.quick else 10):
            subject.walk(env, subject.tasks[seed % len(subject.tasks)], seed, seed * 3)  # in the middle, or over
            if (found := wrong()) and settled:
                raise Broken(f"an episode after another is not like a first one: {found}{path_of(first.actions)}")
        ended = bool(subject.to_the_end(env, task))
        if (found := wrong()) and settled:
            raise Broken(f"an episode after one that ended is not like a first one: {found}{path_of(first.actions)}")
    return "in the middle and after the end" if ended else "in the middle; no end was met"


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere in an episode, and how to get there."""

    actions: tuple[str, ...]
    point: Point
    snapshot: Any


def state_keys(subject: Subject) -> str:
    """Keys are equal exactly when states are."""
    tasks, walks, pairs = (1, 4, 6) if subject.quick else (3, 8, 16)
    steps, compared = min(subject.most, 20), 0
    with subject.env() as env, subject.env() as other:
        for task in subject.tasks[:tasks]:
            walked: list[list[Place]] = []
            for stream in range(walks):
                walk = subject.walk(env, task, 0, steps, stream)
                _same_keys(subject, other, task, walk)
                walked.append(_places(subject, env, task, walk))
            _not_too_fine(subject, task, walked)
            places = [place for one in walked for place in one]
            compared += _not_too_coarse(subject, (env, other), task, places, pairs)
    return f"{tasks * walks} replays; {compared} pairs of places with one key behave alike"


def _same_keys(subject: Subject, env: TextEnv, task: Task, walk: Walk) -> None:
    for turn, (a, b) in enumerate(zip(walk.points, subject.replay(env, task, 0, walk.actions), strict=False)):
        if a.key != b.key:
            raise Broken(
                f"task {task.id!r}: the same actions lead to the keys {shown(a.key)} and {shown(b.key)}"
                f"{path_of(walk.actions[:turn])}"
            )


def _places(subject: Subject, env: TextEnv, task: Task, walk: Walk) -> list[Place]:
    """The places of a walk where the episode is open."""
    points = [p for p in walk.points if p.ended in ("", "False False")]
    if not subject.claims(Ability.SNAPSHOT):
        return [Place(walk.actions[:i], p, None) for i, p in enumerate(points)]
    env.reset(seed=0, options={"task": task})
    found: list[Place] = []
    for turn, p in enumerate(points):
        # A copy, so that a snapshot that is the live state itself does not change under us.
        found.append(Place(walk.actions[:turn], p, copy.deepcopy(env.snapshot())))
        if turn + 1 < len(points):
            env.step(walk.actions[turn])
    return found


def _not_too_fine(subject: Subject, task: Task, walked: list[list[Place]]) -> None:
    """Equal states have equal keys: by snapshots where there are any, else by what repeats.

    What repeats is looked for within a walk: between two walks things may look alike that one of them has changed.
    """
    repeats = shared = 0
    looks: dict[tuple[str, Any], list[tuple[int, Place]]] = defaultdict(list)
    for number, places in enumerate(walked):
        for place in places:
            looks[place.point.text, place.point.actions].append((number, place))
    for alike in looks.values():
        for i, (walk, a) in enumerate(alike):
            for other, b in alike[:i]:
                if walk == other:
                    repeats += 1
                    shared += a.point.key == b.point.key
                if subject.claims(Ability.SNAPSHOT) and a.snapshot == b.snapshot and a.point.key != b.point.key:
                    raise Broken(
                        f"task {task.id!r}: one state (equal snapshots) has the keys {shown(a.point.key)} and "
                        f"{shown(b.point.key)}{path_of(a.actions)}{path_of(b.actions)}"
                    )
    if repeats >= 10 and not shared:
        raise Broken(
            f"task {task.id!r}: {repeats} pairs of places look the same after different times and none shares a key: "
            "is there a counter or a clock in the key?"
        )


def _not_too_coarse(subject: Subject, envs: tuple[TextEnv, TextEnv], task: Task, places: list[Place], most: int) -> int:
    """Equal keys mean equal states: what can be done is the same, and does the same."""
    by_key: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        by_key[place.point.key].append(place)
    candidates: list[tuple[Place, Place]] = []
    for alike in by_key.values():
        for place in alike[1:]:
            one = alike[0]
            if subject.claims(Ability.ACTIONS) and set(one.point.actions or ()) != set(place.point.actions or ()):
                raise Broken(
                    f"task {task.id!r}: the key {shown(place.point.key)} stands for two states with other admissible "
                    f"actions{path_of(one.actions)}{path_of(place.actions)}"
                )
            if one.actions != place.actions:
                candidates.append((one, place))
    # The ones that look most unlike first, and those that took another number of turns.
    candidates.sort(key=lambda p: (p[0].point.text == p[1].point.text, len(p[0].actions) == len(p[1].actions)))
    rng = np.random.default_rng(0)
    for one, two in candidates[:most]:
        now = subject.replay(envs[0], task, 0, one.actions), subject.replay(envs[1], task, 0, two.actions)
        last = now[0][-1]
        for _ in range(3):
            action = subject.choose(Observation(last.text, actions=last.actions), rng)
            a, b = envs[0].step(action), envs[1].step(action)
            ended = a.terminated or a.truncated
            for name, x, y in (
                # Last words may well tell how many turns it took.
                ("text", a.observation.text, b.observation.text if not ended else a.observation.text),
                ("reward", repr(a.reward), repr(b.reward)),
                ("end", a[2:4], b[2:4]),
                ("key", a.observation.state_key, b.observation.state_key),
            ):
                if x != y:
                    raise Broken(
                        f"task {task.id!r}: the key {shown(one.point.key)} stands for two states: {shown(action)} "
                        f"gives the {name} {shown(x)} and {shown(y)}{path_of(one.actions)}{path_of(two.actions)}"
                    )
            if ended:
                break
            last = last._replace(text=a.observation.text, actions=a.observation.actions)
    return min(most, len(candidates))


def snapshot(subject: Subject) -> str:
    """What follows a snapshot follows again once it is restored, in another copy too."""
    episodes = subject.episodes(5 if subject.quick else 25)
    taken = 0
    with subject.env() as env, subject.env() as other:
        for task, seed, length in episodes:
            before = subject.walk(env, task, seed, length // 2)
            if before.points[-1].ended not in ("", "False False"):
                continue
            live = env.snapshot()
            try:
                kept = copy.deepcopy(live)
            except Exception as error:
                raise Broken(f"a snapshot cannot be copied: {type(error).__name__}: {error}") from error
            where = f"task {task.id!r}, seed {seed}, after {len(before.actions)} actions"
            taken += 1
            now = env.restore(copy.deepcopy(kept))
            if "state-keys" not in subject.broken and now.state_key != before.points[-1].key:
                raise Broken(f"{where}: restored at once, the state key is {shown(now.state_key)}")
            after = subject.walk(env, task, seed, length - length // 2, stream=1, now=now)
            other.reset(seed=seed, options={"task": task})
            for one, state, which in ((env, live, "the same copy"), (other, kept, "another copy")):
                again = subject.replay(one, task, seed, after.actions, now=one.restore(state))
                wrong = differ(after.points[1:], again[1:])
                if wrong:
                    raise Broken(f"{where}: restored in {which}, {wrong}{path_of(after.actions)}")
    return f"{taken} snapshots, each restored three times"
