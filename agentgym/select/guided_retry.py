"""Guided retries: what the policy cannot do alone it tries again with a hint, and learns as if there had been none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field, field_validator

from agentgym.env import Ability, EnvSpec
from agentgym.errors import CreditError, UsageError
from agentgym.rollout import Attempt
from agentgym.seeding import derive
from agentgym.select.base import Play, Selecting, Selection, SelectionContext
from agentgym.select.groups import Group, groups_of
from agentgym.select.rebuild import opening, recomputed, samples_under
from agentgym.types import Task, Trajectory

MARK = "~guided"
"""Ends the id of an attempt that was played with a hint."""


class GuidedRetry(Selection):
    """A group whose attempts all fail gets further attempts, played with a hint in the system message.

    The hint is `task.data["hint"]`, or else the first `steps` actions of the environment's oracle, played in a fresh
    environment from the group's initial state. A retry joins the group of the attempts that failed. Before anything is
    learnt from it, its token ledger is made anew with the task's own prompt: the same observations, exactly the same
    sampled ids, and no hint. A retry that repeats the whole hint text (an environment may show the prompt, a model may
    quote it) is not used.

    The ids end in `~guided`. Without hint, or where the retry meets an infra error, the group stays as it is; a hint is
    never made up. Listed after `rapo`, only groups are retried for which it had no stored success.

    Whichever log-probabilities are used, the tokens were drawn with more knowledge than the policy will have. `sampled`
    ones make the importance ratio that of the policy without hint to the policy with it: honest, and small where the
    hint was needed, so that little is learnt just there. `recomputed` ones make it 1 at first, as if the policy had
    thought of it alone: more is learnt, with a bias towards what the hint said.

    Source: Agent-RLVR (arXiv 2506.11425): failed tasks are attempted again with guidance, and the policy is updated
    with the rewards of the guided attempts. Its guidance is written by a teacher from plans and test feedback, and its
    update is a preference loss, as summaries of the paper have it; the full text could not be consulted. The oracle's
    actions as hints, and the joining of groups, are this implementation's own.
    """

    source: Literal["auto", "task", "oracle"] = "auto"
    """`auto` takes the task's own hint, and the oracle's where there is none."""
    steps: int = Field(default=3, ge=1)
    """How many of the oracle's actions are told."""
    separator: str = ", "
    """Stands between the oracle's actions."""
    template: str = "Hint: {hint}"
    """What is put after the prompt, with an empty line between; `{hint}` is replaced by the hint."""
    attempts: int = Field(default=1, ge=1)
    """Retries of each failed group."""
    learn_from: Literal["success", "all"] = "success"
    """`success` uses the retries that succeed, `all` those that fail as well."""
    logprobs: Literal["sampled", "recomputed"] = "sampled"
    """Old log-probabilities of a retry's tokens: with the hint, as sampled, or without it, from a forward pass."""

    @field_validator("template")
    @classmethod
    def _has_place(cls, template: str) -> str:
        if "{hint}" not in template:
            raise ValueError("needs {hint} where the hint belongs")
        return template

    def check(self, spec: EnvSpec) -> None:
        """See that there is an oracle where hints must come from it.

        Raises:
            CreditError: there is none.
        """
        if self.source == "oracle" and Ability.ORACLE not in spec.abilities:
            raise CreditError(f"guided-retry: {spec.id} has no oracle; give its tasks a hint and say source = 'task'")

    def open(self, context: SelectionContext) -> Selecting:
        """The module at work; needs the context's model and, for the oracle's hints, `demonstrate`.

        Raises:
            CreditError: there is no model, whose tokenizer is needed.
        """
        if context.loaded is None:
            raise CreditError("guided-retry: needs the policy's tokenizer: open it with a loaded model")
        return _Working(self, context)


class _Working(Selecting):
    def __init__(self, config: GuidedRetry, context: SelectionContext) -> None:
        self.config, self.context = config, context
        self._counts = dict.fromkeys(("tried", "solved", "quoted", "no_hint"), 0)

    def extend(self, played: Sequence[Trajectory], play: Play, iteration: int) -> list[Trajectory]:
        """What was played, and after it the retries that can be learnt from."""
        todo: list[Attempt] = []
        hints: list[str] = []
        for group in groups_of(played):
            if group.failed:
                hint = self._hint(group, played, iteration)
                more = self._attempts(group, played, hint, iteration) if hint else []
                todo += more
                hints += [hint] * len(more)
        retried = play(todo) if todo else []
        found = [self._unhinted(t, hint) for t, hint in zip(retried, hints, strict=True)]
        return [*played, *(t for t in found if t is not None)]

    def _hint(self, group: Group, played: Sequence[Trajectory], iteration: int) -> str:
        """The text to put into the prompt; empty where there is no hint."""
        task = self.context.task(group.task_id)
        said = task.data.get("hint") if self.config.source != "oracle" else None
        hint = said.strip() if isinstance(said, str) else ""
        if not hint and self.config.source != "task":
            hint = self._walkthrough(task, played[group.members[0]].seed, f"{group.name}~oracle{iteration}")
        self._counts["no_hint"] += not hint
        return self.config.template.replace("{hint}", hint) if hint else ""

    def _walkthrough(self, task: Task, env_seed: int, name: str) -> str:
        try:
            (shown,) = self.context.demonstrate([Attempt(name, task, name, 0, env_seed, env_seed)])
        except UsageError as error:  # The oracle has nothing to say about this task; others may have a hint.
            if isinstance(error, CreditError):
                raise
            return ""
        if not shown.trainable:
            return ""
        actions = [turn.action for turn in shown.turns[: self.config.steps] if turn.action]
        return self.config.separator.join(actions)

    def _attempts(self, group: Group, played: Sequence[Trajectory], hint: str, iteration: int) -> list[Attempt]:
        task = self.context.task(group.task_id)
        hinted = replace(task, prompt="\n\n".join(part for part in (task.prompt, hint) if part))
        first = 1 + max(t.attempt for t in played if t.group == group.name)
        env_seed = played[group.members[0]].seed
        made: list[Attempt] = []
        for number in range(first, first + self.config.attempts):
            name = f"{group.name}#{number}{MARK}"
            seed = derive(self.context.seed, "guided-retry", iteration, name)
            made.append(Attempt(name, hinted, group.name, number, seed, env_seed))
        return made

    def _unhinted(self, trajectory: Trajectory, hint: str) -> Trajectory | None:
        """The retry under the task's own prompt; `None` where it is not to be learnt from."""
        self._counts["tried"] += 1
        if not trajectory.trainable:
            return None
        self._counts["solved"] += trajectory.success
        if not trajectory.success and self.config.learn_from == "success":
            return None
        texts = [turn.observation.text for turn in trajectory.turns] + [t.completion.text for t in trajectory.turns]
        if any(hint in text for text in texts):
            self._counts["quoted"] += 1
            return None
        context, task = self.context, self.context.task(trajectory.task_id)
        assert context.loaded is not None  # Seen in `open`.
        samples = samples_under(trajectory, opening(task, context.system, context.dialect), context.loaded.chat)
        plain = replace(trajectory, samples=samples)
        if self.config.logprobs == "recomputed":
            return recomputed(plain, context.loaded, context.token_budget)
        return plain

    def metrics(self) -> dict[str, float]:
        """Retries `tried` and `solved`, those that `quoted` the hint, and failed groups with `no_hint`."""
        found = {name: float(count) for name, count in self._counts.items()}
        self._counts = dict.fromkeys(self._counts, 0)
        return found
