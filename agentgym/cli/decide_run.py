"""Attempts that were played, decided: what `decide` does, and `eval --decisive K` and `--credit-check` at their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentgym import registry
from agentgym.branch import Branched, Continuations, CreditCheck, Refused, branch, write_decisive
from agentgym.branch import credit_check as check
from agentgym.branch.values import to_mapping
from agentgym.cli.bars import Bars
from agentgym.cli.decide_show import show
from agentgym.cli.show import say
from agentgym.limits import Limits
from agentgym.policy import Policy, Sampling
from agentgym.types import Trajectory


def after_eval(
    played: Sequence[Trajectory],
    *,
    env: str,
    policy: Policy,
    options: Mapping[str, Any],
    sampling: Sampling,
    limits: Limits,
    continuations: int,
    credit_check: bool,
    json: bool,
    seed: int,
    system: str,
    dialect: str | None,
    name: str = "",
    budget: int | None = None,
    slots: int = 64,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Branch attempts that were played, show which turns decided them, and compare credit modules if asked.

    Args:
        played: the attempts; for the credit check whole groups of them.
        env: environment id.
        policy: who plays on; left open.
        options: of the environment.
        sampling: how tokens are drawn. At temperature 0 all continuations would be one: they are drawn at 1 then.
        limits: of an episode, as the attempts were played with.
        continuations: from each turn.
        credit_check: whether to compare credit modules.
        json: print nothing.
        seed: of the continuations.
        system: put before each task's prompt.
        dialect: how text becomes an action.
        name: the policy's, for the record.
        budget: most continuations for a trajectory, instead of a number for each turn.
        slots: continuations in flight.
        folder: run folder to store results in.

    Returns:
        JSON values: `trajectories`, `refused`, `continuations`, `credit_check` (or `None`).

    Raises:
        UsageError: the environment can neither replay nor restore, or an argument is wrong.
    """
    if sampling.temperature == 0:
        sampling = replace(sampling, temperature=1.0)
        if policy.tokenizer is not None or policy.batching == "batch":
            say("continuations are drawn at temperature 1: at 0 all of them would be the same")
    with (
        Bars(quiet=json) as bars,
        Continuations(
            env,
            policy,
            options=options,
            sampling=sampling,
            limits=limits,
            dialect=dialect,
            system=system,
            seed=seed,
            slots=slots,
            progress=bars,
        ) as going_on,
    ):
        label = name or type(policy).__name__
        found = branch(played, going_on, policy=label, k=continuations, budget=budget)
    good = [each for each in found if isinstance(each, Branched)]
    if folder is not None and good:
        write_decisive(folder, good)
    checked: CreditCheck | None = None
    if credit_check and good:
        components = registry.spec(env).components
        checked = check(played, to_mapping(found), components=components, seed=seed)
    if not json:
        show(played, found, checked)
    return {
        "trajectories": [each.to_json() for each in good],
        "refused": [each.to_json() for each in found if isinstance(each, Refused)],
        "k": continuations,
        "budget": budget,
        "temperature": sampling.temperature,
        "restored_by": going_on.restore,
        "continuations": going_on.played,
        "credit_check": None if checked is None else checked.to_json(),
    }
