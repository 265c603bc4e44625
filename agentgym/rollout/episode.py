"""One attempt, from reset to its ending: the agent loop, readable on one screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from agentgym.dialects import Dialect
from agentgym.errors import EnvCrashedError, PolicyError, UsageError
from agentgym.host import Host
from agentgym.ledger import Ledger
from agentgym.limits import Limits
from agentgym.policy import Policy, Request, Sampling
from agentgym.rollout.attempts import Attempt, Prefix
from agentgym.rollout.batcher import Desk
from agentgym.seeding import derive
from agentgym.types import Completion, Ending, Message, Observation, Step, Task, Trajectory, Turn


@dataclass(frozen=True, slots=True)
class Plan:
    """What all episodes of a rollout share."""

    env: str
    policy: Policy
    desk: Desk
    limits: Limits
    sampling: Sampling
    dialect: Dialect
    system: str = ""
    on_turn: Callable[[Attempt, Turn], None] | None = None

    def opening(self, task: Task) -> tuple[Message, ...]:
        """The system message: the recipe's text, the task's prompt, how to write an action. Empty if all are."""
        parts = [part for part in (self.system, task.prompt, self.dialect.instructions) if part]
        return (Message("system", "\n\n".join(parts)),) if parts else ()


class Episode:
    """One try at an attempt. What was played so far stays readable when it breaks."""

    def __init__(self, plan: Plan, attempt: Attempt, rank: int) -> None:
        self.plan, self.attempt, self.rank = plan, attempt, rank
        self.turns: list[Turn] = []
        self.final: Observation | None = None
        self._ledger: Ledger | None = None
        self._tokens = 0
        self._started = time.monotonic()

    async def run(self, host: Host) -> tuple[Ending, Step | None]:
        """Play until it ends.

        Returns:
            How it ended, and the last step of the environment.

        Raises:
            UsageError: the task is not for this environment, or the policy broke its contract.
            InfraError: the environment or the policy broke.
        """
        plan, attempt = self.plan, self.attempt
        policy, chat = plan.policy, plan.policy.tokenizer
        deadline = None if plan.limits.seconds is None else self._started + plan.limits.seconds
        self.final = observation = await host.reset(attempt.task, attempt.env_seed)
        if attempt.prefix is not None:
            observation = await self._rejoin(host, attempt.prefix, observation)
        messages = (*plan.opening(attempt.task), Message(observation.role, observation.text))
        ledger = self._ledger = None if chat is None else Ledger(chat, messages)
        if attempt.prefix is not None:
            messages = self._recall(attempt.prefix, messages)
            self.final = observation = attempt.prefix.observation
        step: Step | None = None
        while True:
            ending = self._over()
            if ending is not None:
                return ending, step
            completion = await plan.desk.ask(
                self.rank,
                Request(
                    trajectory=attempt.id,
                    turn=len(self.turns),
                    messages=messages,
                    observation=observation,
                    seed=derive(attempt.seed, len(self.turns)),
                    sampling=plan.sampling,
                    tokens=None if ledger is None else ledger.prompt,
                    oracle=await host.oracle() if policy.wants_oracle else None,
                    deadline=deadline,
                ),
            )
            if completion.finish == "abort":
                if deadline is not None and time.monotonic() >= deadline:
                    return Ending.OUT_OF_TIME, step
                raise PolicyError("the policy gave up on a request")
            if ledger is not None:
                ledger.act(completion)
            parsed = plan.dialect.parse(completion.text)
            if parsed.action is None:
                fault = parsed.fault or "no action"
                # The environment was not stepped: the state is the one before, and so is its key.
                said = Observation(
                    plan.dialect.reply(fault),
                    state=observation.state_key,
                    actions=observation.actions,
                    tools=observation.tools,
                )
                now, seconds = Step.fault(said, "format", detail=fault), 0.0
            else:
                began = time.perf_counter()
                step = now = await host.step(parsed.action)
                seconds = time.perf_counter() - began
            self._record(observation, completion, parsed.action, now, seconds)
            self.final = observation = now.observation
            if now.terminated or now.truncated:
                return ending_of(now), now
            reply = Message(observation.role, observation.text)
            messages = (*messages, Message("assistant", completion.text), reply)
            if ledger is not None:
                ledger.observe((reply,))

    async def _rejoin(self, host: Host, prefix: Prefix, observation: Observation) -> Observation:
        """Bring the environment to where the prefix ends; gives the observation that the prefix begins with."""
        seen = [*(turn.observation for turn in prefix.turns), prefix.observation]
        if prefix.snapshot is not None:
            restore = getattr(host, "restore", None)
            if restore is None:
                raise UsageError(f"{self.attempt.id}: snapshots can be restored by inline hosts only")
            same_state(await restore(prefix.snapshot), prefix.observation, "the snapshot restored")
            return seen[0]
        same_state(observation, seen[0], "the reset")
        for number, (turn, answer) in enumerate(zip(prefix.turns, seen[1:], strict=True)):
            if turn.action is None:  # The environment never heard of it.
                continue
            now = await host.step(turn.action)
            if now.terminated or now.truncated:
                raise EnvCrashedError(f"turn {number} played again ends the episode, which it did not before")
            same_state(now.observation, answer, f"turn {number} played again")
        return seen[0]

    def _recall(self, prefix: Prefix, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The conversation, the ledger and the record with the prefix's turns, tokens as they were sampled."""
        seen = [*(turn.observation for turn in prefix.turns[1:]), prefix.observation]
        for turn, answer in zip(prefix.turns, seen, strict=False):
            reply = Message(answer.role, answer.text)
            messages = (*messages, Message("assistant", turn.completion.text), reply)
            if self._ledger is not None:
                self._ledger.act(turn.completion)
                self._ledger.observe((reply,))
            self.turns.append(turn)
            self._count(turn.completion)
        return messages

    def trajectory(self, ending: Ending, last: Step | None, retries: int, error: str | None = None) -> Trajectory:
        """The record of this episode."""
        attempt = self.attempt
        total = sum(turn.reward for turn in self.turns)
        info = last.info if last is not None else {}
        ledger = self._ledger if ending is not Ending.INFRA_ERROR else None  # never trained on
        return Trajectory(
            id=attempt.id,
            env=self.plan.env,
            task_id=attempt.task.id,
            group=attempt.group,
            attempt=attempt.attempt,
            seed=attempt.env_seed,
            turns=tuple(self.turns),
            ending=ending,
            final=self.final,
            score=float(info.get("outcome", total)),
            success=ending is Ending.SUCCESS,
            error=error,
            retries=retries,
            samples=() if ledger is None or not self.turns else ledger.samples(),
            seconds=time.monotonic() - self._started,
            split=attempt.task.split,
        )

    def _over(self) -> Ending | None:
        """The limit that forbids another turn."""
        used = len(self._ledger) if self._ledger is not None else self._tokens
        # A limit counts as used up when it is reached; an answer that would end exactly on it still fits.
        tokens = used + self.plan.sampling.max_tokens - 1
        return self.plan.limits.exceeded(len(self.turns), tokens, time.monotonic() - self._started)

    def _record(
        self, observation: Observation, completion: Completion, action: str | None, step: Step, seconds: float
    ) -> None:
        info, rewards = step.info, step.info.get("rewards")
        if rewards is not None:
            info = {key: value for key, value in info.items() if key != "rewards"}
        turn = Turn(
            observation=observation,
            completion=completion,
            action=action,
            reward=float(step.reward),
            rewards=rewards or {},
            info=info,
            env_seconds=seconds,
            weights_version=completion.version,
        )
        self.turns.append(turn)
        self._count(completion)
        if self.plan.on_turn is not None:
            self.plan.on_turn(self.attempt, turn)

    def _count(self, completion: Completion) -> None:
        self._tokens = max(self._tokens, completion.prompt_tokens) + len(completion.tokens or ())


def same_state(now: Observation, then: Observation, what: str) -> None:
    """See that an environment is where it was.

    Raises:
        EnvCrashedError: it is somewhere else.
    """
    if now.state_key != then.state_key:
        raise EnvCrashedError(f"{what} leads to another state than before: {now.state_key!r:.200}")


def ending_of(step: Step) -> Ending:
    """How an environment's last step ended the episode.

    Raises:
        EnvCrashedError: it calls its own ending an infra error.
    """
    if step.terminated:
        return Ending.SUCCESS if step.info.get("success") is True else Ending.FAILURE
    named = step.info.get("ending")
    ending = Ending(named) if named in set(Ending) else Ending.OUT_OF_TURNS
    if ending is Ending.INFRA_ERROR:
        raise EnvCrashedError(f"the environment ended the episode with an infra error: {step.info.get('error', '')}")
    return ending
