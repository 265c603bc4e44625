"""The rules that every environment keeps: data is data, episodes begin and end, limits cut, Gymnasium is content."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast, get_args

from agentgym import dialects, registry
from agentgym.check.subject import Broken, Subject, shown
from agentgym.env import Ability, TextEnv
from agentgym.errors import EpisodeOverError, UnknownNameError
from agentgym.limits import TimeLimit, TokenLimit, TurnLimit
from agentgym.types import Ending, Observation, Role, Step, Task

HOSTS = ("inline", "process")
SAMPLED = 2_000
"""Most tasks of a split that are compared."""


def spec(subject: Subject) -> str:
    """The spec is plain data that names what exists."""
    found = subject.spec
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*-v\d+", found.id):
        raise Broken(f"the id {found.id!r} is not of the form name-vN (lower case, digits, dashes)")
    if subject.name in registry.names("envs") and subject.name != found.id:
        raise Broken(f"the spec's id {found.id!r} is not the entry point's name {subject.name!r}")
    for part in fields(found):
        if part.name != "abilities":
            _plain(getattr(found, part.name), f"the spec's {part.name}")
    odd = [a for a in found.abilities if a not in set(Ability)]
    if odd:
        raise Broken(f"unknown ability {odd[0]!r}; known: {', '.join(Ability)}")
    if type(found.max_turns) is not int or found.max_turns < 1:
        raise Broken(f"max_turns must be a whole number above 0, not {found.max_turns!r}")
    if found.host not in HOSTS:
        raise Broken(f"host must be one of {', '.join(HOSTS)}, not {found.host!r}")
    try:
        dialects.get(found.dialect)
    except UnknownNameError as error:
        raise Broken(str(error)) from error
    cls = registry.resolve(found.entry, found.extra)
    if not (isinstance(cls, type) and issubclass(cls, TextEnv)):
        raise Broken(f"entry {found.entry} is not a subclass of TextEnv")
    return f"{found.id}, claims: {', '.join(sorted(found.abilities)) or 'nothing'}"


def tasks(subject: Subject) -> str:
    """Tasks are plain data, the same each time they are made, and an episode of one begins."""
    for split in ("train", "heldout"):
        found = subject.train if split == "train" else subject.heldout
        if not len(found):
            raise Broken(f"there are no {split} tasks")
        again = registry.tasks(subject.spec, split, **subject.options)
        ids = set[str]()
        for index in range(min(len(found), SAMPLED)):
            task: Any = found[index]
            where = f"{split} task {index}"
            if not isinstance(task, Task):
                raise Broken(f"{where} is a {type(task).__name__}, not a Task")
            where = f"{where} ({task.id!r})"
            if task != again[index]:
                raise Broken(f"{where} is another one when the task set is made again")
            if task.split != split:
                raise Broken(f"{where} says that its split is {task.split!r}")
            if task.id in ids:
                raise Broken(f"{where}: its id is in the split twice")
            ids.add(task.id)
            if index < 100:
                for part in fields(task):
                    _plain(getattr(task, part.name), f"the {part.name} of {where}")
    with subject.env() as env:
        for task in subject.tasks:
            first = cast(Any, env.reset(seed=0, options={"task": task}))
            if type(first) is not tuple or len(cast(tuple[Any, ...], first)) != 2:
                raise Broken("reset does not give a tuple (observation, info)")
            if env.reset(seed=0)[1].get("task") is None:
                raise Broken("the info of reset has no 'task'")
    return f"{len(subject.train)} train, {len(subject.heldout)} heldout"


def splits(subject: Subject) -> str:
    """No held-out task is a training task, by id or by content."""

    def content(task: Task) -> str:
        data = {k: v for k, v in task.data.items() if k != "split"}
        return json.dumps([task.prompt, data, task.seed], sort_keys=True, default=repr)

    train = [subject.train[i] for i in range(min(len(subject.train), SAMPLED))]
    ids, contents = {t.id for t in train}, {content(t): t.id for t in train}
    heldout = [subject.heldout[i] for i in range(min(len(subject.heldout), SAMPLED))]
    for task in heldout:
        if task.id in ids:
            raise Broken(f"task {task.id!r} is in both splits")
        if content(task) in contents:
            raise Broken(f"held-out task {task.id!r} is training task {contents[content(task)]!r} under another id")
    return f"{len(train)} training and {len(heldout)} held-out tasks differ"


def records(subject: Subject) -> str:
    """Observations and steps have the types, and rewards the values, that they must have."""
    count = 0
    with subject.env() as env:
        for task, seed, length in subject.episodes(10 if subject.quick else 20):
            where = f"task {task.id!r}, seed {seed}"
            observation, info = env.reset(seed=seed, options={"task": task})
            valid_observation(observation, f"{where}, reset")
            _plain(info, f"{where}, reset: info")
            walk = subject.walk(env, task, seed, length)
            env.reset(seed=seed, options={"task": task})
            for turn, action in enumerate(walk.actions):
                step: Any = env.step(action)
                valid_step(step, f"{where}, turn {turn} (action {shown(action)})")
                count += 1
                if step.terminated or step.truncated:
                    break
    return f"{count} steps"


def valid_observation(observation: Any, where: str) -> None:
    """Raises `Broken` if a field has the wrong type."""
    if not isinstance(observation, Observation):
        raise Broken(f"{where}: {type(observation).__name__} instead of an Observation")
    raw: Any = observation
    text, state, actions, tools = (getattr(raw, name) for name in ("text", "state", "actions", "tools"))
    if not isinstance(text, str):
        raise Broken(f"{where}: the text is a {type(text).__name__}")
    if raw.role not in get_args(Role):
        raise Broken(f"{where}: the role {raw.role!r} is not one of {', '.join(get_args(Role))}")
    if state is not None and not isinstance(state, str):
        raise Broken(f"{where}: the state key is a {type(state).__name__}, not a string")
    if actions is not None and (
        type(actions) is not tuple or not all(isinstance(a, str) for a in cast(tuple[Any, ...], actions))
    ):
        raise Broken(f"{where}: the admissible actions are no tuple of strings")
    if tools is not None:
        if type(tools) is not tuple:
            raise Broken(f"{where}: the tools are no tuple of JSON schemas")
        _plain(list(cast(tuple[Any, ...], tools)), f"{where}: tools")


def valid_step(step: Any, where: str) -> None:
    """Raises `Broken` if a step is not what it must be."""
    if not isinstance(step, Step):
        raise Broken(f"{where}: {type(step).__name__} instead of a Step")
    valid_observation(step.observation, where)
    raw = cast(Any, step)
    if not isinstance(raw.reward, (int, float)) or not math.isfinite(raw.reward):
        raise Broken(f"{where}: the reward is {raw.reward!r}, not a finite number")
    if type(raw.terminated) is not bool or type(raw.truncated) is not bool:
        raise Broken(f"{where}: terminated and truncated must be bool")
    if step.terminated and step.truncated:
        raise Broken(f"{where}: terminated and truncated at once")
    _plain(raw.info, f"{where}: info")
    parts: Any = step.info.get("rewards")
    if parts is not None:
        total = sum(cast(Mapping[str, float], parts).values())
        if not math.isclose(total, step.reward, rel_tol=1e-6, abs_tol=1e-6):
            raise Broken(f"{where}: the named rewards sum to {total}, the reward is {step.reward}")
    if (step.terminated or step.truncated) and not isinstance(step.info.get("success"), bool):
        raise Broken(f"{where}: the episode ends without info['success']; use Step.success, failure or cut")
    ending = step.info.get("ending")
    if ending is not None and ending not in set(Ending):
        raise Broken(f"{where}: unknown ending {ending!r}")


def _plain(value: Any, what: str) -> None:
    """Raises `Broken` if a value is not JSON."""
    try:
        same = json.loads(json.dumps(_as_lists(value), allow_nan=False)) == _as_lists(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise Broken(f"{what}: not JSON: {error}") from error
    if not same:
        raise Broken(f"{what}: not JSON: it changes when it is written and read")


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _as_lists(v) for k, v in cast(Mapping[Any, Any], value).items()}
    return [_as_lists(v) for v in cast(list[Any], value)] if isinstance(value, (list, tuple)) else value


def step_after_end(subject: Subject) -> str:
    """No step before the first reset, after the end, or after closing."""
    with subject.env() as env:
        _refused(env, "before the first reset")
    task = subject.tasks[0]
    with subject.env() as env:
        last = subject.to_the_end(env, task)
        if last is None:
            return "before reset; no end was met"
        for when in ("after the end", "after the end, a second time"):
            _refused(env, when)
        env.reset(seed=0, options={"task": task})
        env.step("look")
    return "before reset and after the end"


def _refused(env: TextEnv, when: str) -> None:
    try:
        env.step("look")
    except EpisodeOverError:
        return
    except Exception as error:
        raise Broken(f"a step {when} raised {type(error).__name__} instead of EpisodeOverError") from error
    raise Broken(f"a step {when} was played; it must raise EpisodeOverError")


def close(subject: Subject) -> str:
    """Closing works at any time and any number of times."""
    with subject.env() as env:
        env.close()
    with subject.env() as env:
        env.reset(seed=0, options={"task": subject.tasks[0]})
        env.step("look")
        env.close()
        env.close()
        _refused(env, "after closing")
    return "before reset, in an episode, twice"


def limits(subject: Subject) -> str:
    """The wrappers for turns, tokens and time cut its episodes."""
    ticks = iter(range(1_000_000))
    cases: list[tuple[Callable[[Any], Any], Ending, int]] = [
        (lambda env: TurnLimit(env, 2), Ending.OUT_OF_TURNS, 2),
        (lambda env: TokenLimit(env, 1, lambda text: 1 + len(text)), Ending.OUT_OF_TOKENS, 1),
        (lambda env: TimeLimit(env, 3, lambda: next(ticks)), Ending.OUT_OF_TIME, 3),
    ]
    for wrap, ending, most in cases:
        with subject.env() as env:
            wrapped = wrap(env)
            for _ in range(2):
                wrapped.reset(seed=0, options={"task": subject.tasks[0]})
                step, turns = wrapped.step(""), 1
                while not (step.terminated or step.truncated) and turns < most:
                    step, turns = wrapped.step(""), turns + 1
                if not (step.terminated or step.truncated):
                    raise Broken(f"{ending.value}: not cut after {turns} turns")
                if not step.terminated and "ending" not in step.info:
                    raise Broken(f"{ending.value}: the truncated step has no info['ending']")
                _refused(wrapped, f"after {ending.value}")
    return "turns, tokens, seconds"


def gymnasium_face(subject: Subject) -> str:
    """Gymnasium's own checker passes."""
    from gymnasium.envs.registration import EnvSpec as GymnasiumSpec
    from gymnasium.utils.env_checker import check_env

    def make(**kwargs: Any) -> TextEnv:
        return subject.make()

    env = subject.make()
    env.spec = GymnasiumSpec(
        subject.spec.id,
        entry_point=make,
        nondeterministic=not subject.settled,
        disable_env_checker=True,
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            check_env(env)
        except AssertionError as error:
            raise Broken(f"check_env: {error}") from error
        finally:
            env.close()
    told = [str(w.message) for w in said if "WARN" in str(w.message)]
    return f"check_env passes; it warns: {shown(told[0], 200)}" if told else "check_env passes without a warning"
