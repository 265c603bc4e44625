"""`agentgym decide`, and what `agentgym eval --decisive K` and `--credit-check` do once the attempts are played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from agentgym.cli.show import console, out_json, pairs, say, settings, table

if TYPE_CHECKING:
    from agentgym.branch import Branched, CreditCheck, Refused
    from agentgym.limits import Limits
    from agentgym.policy import Policy, Sampling
    from agentgym.types import Trajectory

Flag = Annotated[bool, Parameter(negative="")]
Options = Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="")]
PolicyOptions = Annotated[list[str] | None, Parameter(name=["--policy-option", "-p"], negative="")]

SHOWN = 48
"""Characters of an action in the table of turns."""
BAR = 10
"""Cells of a value's bar."""
IN_FULL = 3
"""Trajectories whose turns are shown one by one; of the others the verdict."""
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
    from dataclasses import replace

    from agentgym import registry
    from agentgym.branch import Branched, Continuations, Refused, branch, write_decisive
    from agentgym.branch import credit_check as check
    from agentgym.branch.values import to_mapping
    from agentgym.cli.bars import Bars

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


def show(played: Sequence[Trajectory], found: Sequence[Branched | Refused], checked: CreditCheck | None) -> None:
    """Print what was found for a person."""
    from agentgym.branch import Branched

    by_id = {each.id: each for each in played}
    good = [each for each in found if isinstance(each, Branched)]
    for each in good[:IN_FULL]:
        show_turns(by_id[each.id], each)
    width = console().width
    if len(good) > 1:
        title = f"the decisive turn of {len(good)} trajectories"
        rows = [(b.id, "won" if b.success else "lost", str(len(b.advantages)), b.verdict) for b in good]
        table(("trajectory", "ending", "turns", "verdict"), rows, title=title if width > 60 else None)
    refused = [each for each in found if not isinstance(each, Branched)]
    for each in refused:
        say(f"not branched: {each.id}: {each.why}")
    if checked is not None:
        show_check(checked)


def show_turns(trajectory: Trajectory, found: Branched) -> None:
    """One trajectory, turn by turn."""
    low = min(0.0, *(v.value for v in found.values))
    high = max(1.0, *(v.value for v in found.values))
    rows: list[tuple[str, ...]] = []
    for turn, value, change in zip(trajectory.turns, found.values, found.advantages, strict=False):
        mark = "<" if found.decisive is not None and found.decisive.turn == change.turn else ""
        said = " ".join((turn.action if turn.action is not None else turn.completion.text).split())
        rows.append(
            (
                str(value.turn + 1),
                said if len(said) <= SHOWN else said[: SHOWN - 3] + "...",
                f"{value.value:.2f} {_bar(value.value, low, high)}",
                f"{change.change:+.2f}",
                f"{change.low:+.2f} to {change.high:+.2f}",
                mark,
            )
        )
    rows.append(("", f"({trajectory.ending.value})", f"{found.score:.2f} (the score)", "", "", ""))
    table(("turn", "action", "value before", "change", "95 %", ""), rows, title=f"{found.id}: {found.verdict}")


def show_check(checked: CreditCheck) -> None:
    """The credit modules, the best first."""
    rows: list[tuple[str, ...]] = []
    for row in checked.rows:
        if row.needs is None:
            spread = "-" if row.low is None or row.high is None else f"{row.low:+.2f} to {row.high:+.2f}"
            rows.append(
                (row.label, _signed(row.correlation), spread, _signed(row.within), *map(_share, (row.signs, row.top)))
            )
    titles = ("credit module", "rank correlation", "95 %", "within", "signs", "decisive")
    about = f"{checked.trajectories} trajectories of {checked.tasks} tasks, {checked.turns} turns"
    table(titles, rows, title=f"credit against branched values: {about}")
    if checked.ceiling is not None:
        print(f"the branched values are estimates: about {checked.ceiling:.2f} is the most to expect")
    missing: dict[str, list[str]] = {}
    for row in checked.rows:
        if row.needs is not None:
            missing.setdefault(row.needs, []).append(row.label)
    for column, labels in sorted(missing.items()):
        print(f"needs {column}: {'; '.join(labels)}")


def _bar(value: float, low: float, high: float) -> str:
    filled = round(BAR * (value - low) / (high - low)) if high > low else 0
    return "█" * filled + "·" * (BAR - filled)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
