"""`agentgym decide`: which trajectories of a run are meant, who plays on from their turns, and how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from agentgym.cli.show import out_json, pairs, say, settings

if TYPE_CHECKING:
    from agentgym.types import Trajectory

Flag = Annotated[bool, Parameter(negative="")]
Options = Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="")]
PolicyOptions = Annotated[list[str] | None, Parameter(name=["--policy-option", "-p"], negative="")]

DEFAULT_K = 8
DEFAULT_MAX_TOKENS = 64


def decide(
    run: Path,
    trajectory: str | None = None,
    /,
    *,
    policy: str | None = None,
    model: str | None = None,
    k: int = DEFAULT_K,
    budget: int | None = None,
    phase: str | None = None,
    iteration: int | None = None,
    limit: int = 20,
    credit_check: Flag = False,
    temperature: float = 1.0,
    max_tokens: int | None = None,
    turns: int | None = None,
    seed: int = 0,
    option: Options = None,
    policy_option: PolicyOptions = None,
    slots: int = 64,
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Name the turn that won or lost an episode: play on from each of its turns, and see what becomes of it.

    Results go to decisive.jsonl in the run's folder, where `agentgym view` finds them.

    Args:
        run: the run's folder.
        trajectory: id of one trajectory, or its number in the log; else those of one phase.
        policy: who plays on: a registered policy. The run's trained model, if not given and there is one.
        model: reference of the policy's model.
        k: continuations from each turn.
        budget: most continuations for a trajectory, spent where they matter, instead of k at each turn.
        phase: whose trajectories; the last one in the log if not given.
        iteration: of a training run, counted from 0: only its trajectories.
        limit: most trajectories, the first of the phase.
        credit_check: compare credit modules with the values that were found; takes whole groups of attempts.
        temperature: of the sampling.
        max_tokens: most tokens in one turn; the recipe's where there is one.
        turns: most turns of an episode, those that were played among them; as the run was played if not given.
        seed: of the continuations.
        option: name=value for the environment; the recipe's where there is one.
        policy_option: name=value for the policy; may be given several times.
        slots: continuations in flight.
        dry_run: say how many continuations there would be.
        json: print JSON.
    """
    from agentgym import registry
    from agentgym.cli.decide_run import after_eval
    from agentgym.cli.evaluating import policy_arguments
    from agentgym.cli.machine import require_extra
    from agentgym.errors import UsageError
    from agentgym.limits import Limits
    from agentgym.policy import Sampling
    from agentgym.store import RunFolder

    for name, value, least in (("k", k, 2), ("limit", limit, 1), ("slots", slots, 1)):
        if value < least:
            raise UsageError(f"--{name} must be at least {least}, not {value}")
    with RunFolder(run) as folder:
        chosen = choose(folder, trajectory, phase, limit, iteration)
        for warning in folder.trajectories.warnings:
            say(f"warning: {warning}")
        recipe = recipe_of(folder)
        trained = folder.model
    env = chosen[0].env
    spec = registry.spec(env)
    require_extra(spec)
    options = settings(option or (), "--option") or (dict(recipe.env.options) if recipe else {})
    if policy is None:
        if model is None and not trained.is_dir():
            raise UsageError(f"{run} has no trained model: name who plays on with --policy (and --model)")
        policy, model = "transformers", model or str(trained)
    dialect = (recipe.env.dialect if recipe else None) or spec.dialect
    arguments = policy_arguments(policy, dialect, model, settings(policy_option or (), "--policy-option"))
    if dry_run:
        lengths = [len(each.turns) for each in chosen]
        most = sum(lengths) * k if budget is None else len(chosen) * budget
        plan = {"env": env, "policy": policy, "trajectories": len(chosen), "continuations_at_most": most}
        if json:
            out_json(plan)
        else:
            pairs([(key.replace("_", " "), str(value)) for key, value in plan.items()], title="would decide")
        return 0
    words = max_tokens or (recipe.sampling.max_tokens if recipe else DEFAULT_MAX_TOKENS)
    cut = turns or (recipe.limits.turns if recipe else None) or spec.max_turns
    player = registry.load("policies", policy)(**arguments)
    try:
        found = after_eval(
            chosen,
            env=env,
            policy=player,
            options=options,
            sampling=Sampling(temperature=temperature, max_tokens=words),
            limits=Limits(turns=cut),
            continuations=k,
            credit_check=credit_check,
            json=json,
            seed=seed,
            system=recipe.env.system if recipe else "",
            dialect=dialect,
            name=policy if model is None else f"{policy} {model}",
            budget=budget,
            slots=slots,
            folder=run,
        )
    finally:
        player.close()
    if json:
        out_json({"run": str(run), "env": env, "policy": policy, **found})
    return 0 if found["trajectories"] else 1


def choose(
    folder: Any, trajectory: str | None, phase: str | None, limit: int, iteration: int | None = None
) -> list[Trajectory]:
    """The trajectories of a run that are meant.

    Raises:
        UsageError: there is none of that id, number, phase or iteration.
    """
    from agentgym.errors import UnknownNameError, UsageError

    last: list[Trajectory] = []
    at, phases = "", set[str]()
    for number, entry in enumerate(folder.trajectories):
        phases.add(entry.phase)
        if iteration not in (None, entry.iteration):
            continue
        if trajectory is not None:
            if trajectory in (entry.trajectory.id, str(number)) and phase in (None, entry.phase):
                last = [entry.trajectory]  # Evaluations of one run repeat ids: the newest is meant.
            continue
        if entry.phase != at and phase in (None, entry.phase):
            at, last = entry.phase, []
        if entry.phase == at and len(last) < limit:
            last.append(entry.trajectory)
    if last:
        return last
    if phase is not None and phase not in phases:
        raise UnknownNameError("phase", phase, phases)
    if trajectory is not None:
        raise UsageError(f"{folder.path} has no trajectory {trajectory!r}: give an id or a number of the log, from 0")
    where = "" if iteration is None else f" of iteration {iteration}"
    raise UsageError(f"{folder.path} has no trajectories{where}")


def recipe_of(folder: Any) -> Any:
    """The recipe of a training run; `None` for a folder of an evaluation or of play."""
    from agentgym import config
    from agentgym.errors import ConfigError
    from agentgym.recipe import Recipe

    try:
        if not folder.config_path.read_text(encoding="utf-8").strip():
            return None
        return config.load(Recipe, folder.config_path)
    except (OSError, ConfigError):
        return None
