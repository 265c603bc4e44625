"""Selection in the loop: what is trained after a hint has no hint in it, and a resumed run has the same bits."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentgym import registry
from agentgym.env import EnvSpec
from agentgym.errors import ConfigError, CreditError
from agentgym.policy import Sampling
from agentgym.progress import Silent
from agentgym.recipe import Recipe, check_recipe
from agentgym.rollout import Attempt, attempts, collect
from agentgym.select import Selecting, SelectionContext
from agentgym.select.guided_retry import MARK, GuidedRetry
from agentgym.select.rebuild import opening, recomputed, samples_under, written
from agentgym.session import Session
from agentgym.store import RunFolder
from agentgym.train import train
from agentgym.types import Completion, Ending, Observation, Trajectory

BASE: dict[str, Any] = {
    "name": "s",
    "seed": 1,
    "env": {"id": "keydoor-v0", "options": {"rooms": 3}, "system": "You are in a house."},
    "model": {"ref": "scratch:tiny?hidden=48&layers=2"},
    "limits": {"turns": 6},
    "sampling": {"max_tokens": 8},
    "rollout": {"host": "inline", "slots": 32},
    "credit": [{"use": "grpo"}],
    "trainer": {"iterations": 0, "tasks": 6, "group": 4, "lr": 1e-3},
    "eval": {"tasks": 3, "attempts": 10, "temperature": 1.0},
}


def recipe(**changes: Any) -> Recipe:
    made = Recipe.model_validate(BASE | changes)
    check_recipe(made)
    return made


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that solves some tasks and not others."""
    made = recipe(warmstart={"tasks": 14, "epochs": 40, "lr": 3e-3, "batch": 7})
    with RunFolder.create("warm", root=tmp_path_factory.mktemp("warm")) as run:
        summary = train(made, run)
    assert 0.05 < summary.evals["eval:warm"]["eval/success"] < 0.95
    return run.model


# Guided retries -----------------------------------------------------------------------------------------------------


class Opened:
    """A session with a guided retry's context caught from it, and the oracle as the one who plays."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.played: list[Trajectory] = []

    def context(self) -> SelectionContext:
        s = self.session
        by_id = {task.id: task for task in s.tasks}
        return SelectionContext(
            by_id.__getitem__,
            s.loaded,
            s.recipe.seed,
            s.recipe.env.id,
            s.recipe.env.options,
            system=s.recipe.env.system,
            dialect=s.dialect,
            demonstrate=s._show,
        )

    def policy(self, todo: Sequence[Attempt]) -> list[Trajectory]:
        self.played = self.session.play_more(todo, "retry")
        return self.played

    def oracle(self, todo: Sequence[Attempt]) -> list[Trajectory]:
        """Solves every task, with tokens; the system message has the hint, as for the policy."""
        s = self.session
        solver = registry.load("policies", "oracle")(dialect=s.dialect, chat=s.loaded.chat)
        self.played = collect(
            todo,
            env=s.recipe.env.id,
            policy=solver,
            limits=s.limits,
            sampling=Sampling(),
            dialect=s.dialect,
            hosts=s.hosts,
            system=s.recipe.env.system,
        )
        return self.played

    def failures(self) -> list[Trajectory]:
        """Groups of two that nobody solved: the untrained model's own."""
        todo = attempts(list(self.session.tasks[:3]), 2, 5, prefix="0.0:")
        found = self.session.play_more(todo, "play")
        assert not any(t.success for t in found)
        return found


@pytest.fixture(scope="module", params=["plain", "action-tag"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """An untrained policy; with a dialect that says nothing in the system message, and with one that does."""
    made = recipe(env=BASE["env"] | {"dialect": request.param})
    with RunFolder.create("x", root=tmp_path_factory.mktemp("x")) as run, Session(made, run, Silent()) as session:
        yield Opened(session)


def contains(tokens: Sequence[int], part: Sequence[int]) -> bool:
    return any(list(tokens[i : i + len(part)]) == list(part) for i in range(len(tokens) - len(part) + 1))


def test_a_rebuilt_ledger_is_the_one_that_was_played(opened: Opened) -> None:
    """Whoever changes how an episode opens must change `opening`, too."""
    context = opened.context()
    for t in opened.failures():
        head = opening(context.task(t.task_id), context.system, context.dialect)
        assert samples_under(t, head, opened.session.loaded.chat) == t.samples


def test_a_retry_is_played_with_the_hint_and_trained_without(opened: Opened) -> None:
    chat, failures = opened.session.loaded.chat, opened.failures()
    working = GuidedRetry(attempts=2, steps=2).open(opened.context())
    found = working.extend(failures, opened.oracle, 4)
    assert found[: len(failures)] == failures
    retries = found[len(failures) :]
    assert working.metrics() == {"tried": 6.0, "solved": 6.0, "quoted": 0.0, "no_hint": 0.0}
    assert [t.id for t in retries] == [f"{t.group}#{k}{MARK}" for t in failures[::2] for k in (2, 3)]
    for hinted, plain in zip(opened.played, retries, strict=True):
        hint = "Hint: " + ", ".join(turn.action or "" for turn in plain.turns[:2])
        assert any(contains(s.tokens, chat.encode(hint)) for s in hinted.samples), "it was not told"
        assert not any(contains(s.tokens, chat.encode("Hint")) for s in plain.samples)
        assert written(plain.samples) == written(hinted.samples)
        assert written(plain.samples) == [list(turn.completion.tokens or ()) for turn in plain.turns]
        assert replace(plain, samples=()) == replace(hinted, samples=())
        sibling = next(t for t in failures if t.group == plain.group)
        assert plain.seed == sibling.seed
        first = plain.samples[0].turn.index(0)
        assert plain.samples[0].tokens[:first] == sibling.samples[0].tokens[:first], "another beginning than its group"
        drawn = [p for s in plain.samples for p, turn in zip(s.logprobs, s.turn, strict=True) if turn >= 0]
        assert drawn == [p for turn in plain.turns for p in turn.completion.logprobs or ()]


def test_the_same_retries_again(opened: Opened) -> None:
    failures = opened.failures()
    a, b = (
        GuidedRetry(learn_from="all").open(opened.context()).extend(failures, opened.policy, 4)[len(failures) :]
        for _ in range(2)
    )
    assert [t.samples for t in a] == [t.samples for t in b]
    assert len(a) == 3


def test_retries_that_fail_are_used_only_if_asked(opened: Opened) -> None:
    failures = opened.failures()
    working = GuidedRetry().open(opened.context())
    assert working.extend(failures, opened.policy, 4) == failures
    assert working.metrics()["tried"] == 3


def test_recomputed_logprobs_are_those_of_the_prompt_without_hint(opened: Opened) -> None:
    """What the sampler itself gives under a prompt is what a forward pass gives; and under another prompt it is not."""
    loaded = opened.session.loaded
    for t in opened.failures():
        again = recomputed(t, loaded, 64)
        assert [s.tokens for s in again.samples] == [s.tokens for s in t.samples]
        for mine, sampled in zip(again.samples, t.samples, strict=True):
            np.testing.assert_allclose(mine.logprobs, sampled.logprobs, atol=1e-4)
        told = [turn.completion.logprobs for turn in again.turns]
        by_turn = [
            tuple(p for p, n in zip(s.logprobs, s.turn, strict=True) if n == k)
            for s in again.samples
            for k in range(len(t.turns))
        ]
        assert told == by_turn
    working = GuidedRetry(learn_from="all", logprobs="recomputed").open(opened.context())
    found = working.extend(opened.failures(), opened.policy, 4)
    for hinted, plain in zip(opened.played, found[-3:], strict=True):
        assert written(plain.samples) == written(hinted.samples)
        assert plain.samples[0].logprobs != hinted.samples[0].logprobs
        assert all(math.isfinite(p) for s in plain.samples for p in s.logprobs)


def hinted_tasks(opened: Opened, hint: object) -> SelectionContext:
    find = opened.context().task
    return replace(opened.context(), task=lambda name: replace(find(name), data=dict(find(name).data, hint=hint)))


def test_a_tasks_own_hint_goes_before_the_oracles(opened: Opened) -> None:
    prompts: list[str] = []

    def play(todo: Sequence[Attempt]) -> list[Trajectory]:
        prompts.extend(attempt.task.prompt for attempt in todo)
        return opened.oracle(todo)

    config = GuidedRetry(template="<{hint}>")
    config.open(hinted_tasks(opened, " look {behind} you\n")).extend(opened.failures(), play, 0)
    own = opened.session.tasks[0].prompt
    assert prompts == [f"{own}\n\n<look {{behind}} you>"] * 3


@pytest.mark.parametrize("hint", [None, "", "  ", 7, ["take"]])
def test_without_a_hint_the_group_stays_as_it_is(opened: Opened, hint: object) -> None:
    working = GuidedRetry(source="task").open(hinted_tasks(opened, hint))
    failures = opened.failures()
    assert working.extend(failures, opened.oracle, 0) == failures
    assert working.metrics() == {"tried": 0.0, "solved": 0.0, "quoted": 0.0, "no_hint": 3.0}


def test_an_oracle_that_is_silent_or_broken_gives_no_hint(opened: Opened) -> None:
    failures = opened.failures()

    def silent(todo: Sequence[Attempt]) -> list[Trajectory]:
        return opened.session._show([replace(attempt, task=replace(attempt.task, data={})) for attempt in todo])

    def broken(todo: Sequence[Attempt]) -> list[Trajectory]:
        return [replace(failures[0], ending=Ending.INFRA_ERROR)]

    for demonstrate in (silent, broken):
        working = GuidedRetry().open(replace(opened.context(), demonstrate=demonstrate))
        assert working.extend(failures, opened.oracle, 0) == failures
        assert working.metrics()["no_hint"] == 3


def test_a_retry_that_repeats_the_hint_or_meets_an_infra_error_is_not_used(opened: Opened) -> None:
    failures = opened.failures()

    def change(edit: Callable[[Trajectory], Trajectory]) -> Callable[[Sequence[Attempt]], list[Trajectory]]:
        return lambda todo: [edit(t) for t in opened.oracle(todo)]

    def seen(t: Trajectory) -> Trajectory:
        turn = replace(t.turns[-1], observation=Observation("Your task: ... Hint: take"))
        return replace(t, turns=(*t.turns[:-1], turn))

    def said(t: Trajectory) -> Trajectory:
        turn = replace(t.turns[0], completion=Completion("I was told Hint: take", (1,), (0.0,)))
        return replace(t, turns=(turn, *t.turns[1:]))

    for edit, quoted in ((seen, 3), (said, 3), (lambda t: replace(t, ending=Ending.INFRA_ERROR), 0)):
        working = GuidedRetry(learn_from="all").open(hinted_tasks(opened, "take"))
        assert working.extend(failures, change(edit), 0) == failures
        assert working.metrics() == {"tried": 3.0, "solved": float(quoted), "quoted": float(quoted), "no_hint": 0.0}


def test_groups_with_a_success_or_without_attempts_that_count_are_not_retried(opened: Opened) -> None:
    failures = opened.failures()
    solved = [replace(t, success=k % 2 == 0) for k, t in enumerate(failures)]
    broken = [replace(t, ending=Ending.INFRA_ERROR) for t in failures]
    for batch in (solved, broken, []):
        assert GuidedRetry().open(opened.context()).extend(batch, opened.oracle, 0) == batch


def test_what_is_wrong_with_the_parameters_is_said_when_the_recipe_loads() -> None:
    with pytest.raises(ConfigError, match=r"needs \{hint\}"):
        recipe(selection=[{"use": "guided-retry", "template": "Psst"}]).open_selection()
    spec = EnvSpec("none-v0", "x:X", "x:tasks")
    with pytest.raises(CreditError, match="none-v0 has no oracle"):
        GuidedRetry(source="oracle").check(spec)
    GuidedRetry().check(spec)
    with pytest.raises(CreditError, match="tokenizer"):
        GuidedRetry().open(SelectionContext(lambda name: None))  # type: ignore[arg-type, return-value]


# In the loop --------------------------------------------------------------------------------------------------------

SETS: dict[str, list[dict[str, Any]]] = {
    "zero-variance": [{"use": "zero-variance"}],
    "difficulty": [{"use": "difficulty", "memory": 0.5}],
    "curriculum": [{"use": "curriculum", "solved_at": 0.5, "rest": 2}],
    "rapo": [{"use": "rapo", "solved_at": 0.5}],
    "guided-retry": [{"use": "guided-retry", "logprobs": "recomputed", "learn_from": "all"}],
    "contrastive": [{"use": "contrastive", "lone": "keep"}],
    "all": [
        {"use": "curriculum", "solved_at": 0.75},
        {"use": "rapo"},
        {"use": "guided-retry", "attempts": 2},
        {"use": "difficulty", "low": 0.0, "high": 0.9},
        {"use": "zero-variance"},
        {"use": "contrastive", "pairs": 2},
    ],
}


class Interrupting(Silent):
    """Somebody presses Ctrl-C when the fourth iteration begins to play: an epoch is over, tasks were passed over."""

    def start(self, stage: str, total: int) -> None:
        if stage.startswith("play 4/"):
            raise KeyboardInterrupt


def looped(model: Path, name: str, **trainer: Any) -> Recipe:
    more = {"iterations": 4, "tasks": 8, "group": 3, "lr": 1e-3, "keep_flat": name == "rapo", **trainer}
    return recipe(model={"ref": str(model)}, trainer=more, eval={"tasks": 0}, selection=SETS[name])


def leavings(run: RunFolder) -> tuple[list[Any], list[Any], str]:
    """Metrics, trajectories and weights, without what depends on the clock."""
    metrics = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    metrics = [{k: v for k, v in line.items() if not k.startswith("time")} for line in metrics]
    played = [
        (e.phase, e.iteration, e.advantages, e.trajectory.id, e.trajectory.group, e.trajectory.score,
         [(t.completion.text, t.completion.logprobs) for t in e.trajectory.turns])
        for e in run.trajectories
    ]  # fmt: skip
    newest = max(run.checkpoints.glob("step-*"))
    return metrics, played, hashlib.sha256((newest / "tensors.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", SETS)
def test_stopped_and_resumed_gives_the_same_bits(name: str, warm: Path, tmp_path: Path) -> None:
    made = looped(warm, name)
    with RunFolder.create("whole", root=tmp_path) as run:
        train(made, run)
        whole = leavings(run)
    with RunFolder.create("cut", root=tmp_path) as run, pytest.raises(KeyboardInterrupt):
        train(made, run, Interrupting())
    with RunFolder(tmp_path / "cut", write=True) as run:
        train(made, run)
        assert leavings(run) == whole
    metrics, played, _ = whole
    for line in metrics:
        assert all(math.isfinite(v) for v in line.values() if isinstance(v, float)), line
    assert len({entry[3] for entry in played}) == len(played)
    assert all(math.isfinite(a) for entry in played for a in entry[2] or ())
    did = {
        "zero-variance": "zero-variance/dropped_groups",
        "difficulty": "difficulty/too_hard",
        "curriculum": "train/skipped_tasks",
        "rapo": "rapo/replayed",
        "guided-retry": "guided-retry/tried",
        "contrastive": "contrastive/chosen",
    }
    for module, key in did.items():
        if name == module:
            assert sum(line[key] for line in metrics) > 0, f"{module} had nothing to do in this test"
    if name in ("rapo", "guided-retry"):
        ending = "~replay" if name == "rapo" else MARK
        marked = [entry for entry in played if entry[3].endswith(ending)]
        assert marked
        assert any(any(entry[2] or ()) for entry in marked), "none of them got credit"


def test_modules_that_do_nothing_leave_the_run_as_it_was(warm: Path, tmp_path: Path) -> None:
    plain = looped(warm, "zero-variance").model_copy(update={"selection": ()})
    idle = plain.model_copy(
        update={"selection": ({"use": "rapo", "scaling": "none", "prune": False, "capacity": 1}, {"use": "curriculum"})}
    )
    idle = idle.model_copy(update={"trainer": idle.trainer.model_copy(update={"iterations": 1})})
    plain = plain.model_copy(update={"trainer": plain.trainer.model_copy(update={"iterations": 1})})
    found = []
    for name, made in (("plain", plain), ("idle", idle)):
        with RunFolder.create(name, root=tmp_path) as run:
            train(made, run)
            found.append(leavings(run))
    assert found[0][1:] == found[1][1:]


def test_refilled_groups_are_observed_and_an_empty_table_trains_nothing(warm: Path, tmp_path: Path) -> None:
    """A group of one is flat: everything is refilled, everything leaves the table, and the run goes on."""
    made = looped(warm, "zero-variance", group=1, refill=1)
    made = made.model_copy(update={"selection": (*made.selection, {"use": "curriculum", "solved_at": 1.0})})
    with RunFolder.create("x", root=tmp_path) as run:
        train(made, run)
        metrics, played, _ = leavings(run)
    assert [line["train/sequences"] for line in metrics] == [0] * 4
    assert [line["zero-variance/dropped_groups"] for line in metrics] == [8] * 4
    assert all(entry[2] is None for entry in played)
    assert len(played) == 32
    assert metrics[0]["curriculum/solved_tasks"] > sum(entry[5] > 0 for entry in played if entry[1] == 0)


def test_a_selective_trainer_keeps_success_its_own(warm: Path, tmp_path: Path) -> None:
    """`train/success` counts neither replays nor hinted attempts."""
    with RunFolder.create("x", root=tmp_path) as run:
        train(looped(warm, "guided-retry"), run)
        metrics, played, _ = leavings(run)
    for i, line in enumerate(metrics):
        own = [entry for entry in played if entry[1] == i and not entry[3].endswith(MARK)]
        assert line["train/attempts"] == len(own) == 24
        assert line["train/success"] == pytest.approx(np.mean([entry[5] > 0 for entry in own]))


def test_selecting_does_nothing_unless_overridden() -> None:
    working = Selecting()
    assert working.state() == working.metrics() == {}
    assert working.extend([], lambda todo: [], 0) == []
