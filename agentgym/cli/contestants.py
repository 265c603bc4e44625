"""Who plays an evaluation: policies and models from the command line, each with a label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentgym.cli.show import settings

if TYPE_CHECKING:
    from agentgym.evaluate.plan import Entrant
    from agentgym.evaluate.prices import Price


def entrants(policies: Sequence[str], models: Sequence[str], given: Sequence[str]) -> tuple[Entrant, ...]:
    """One contestant for each policy, or for each model of one policy.

    Args:
        policies: registered names.
        models: references; several are for one policy, one goes to every policy that takes one.
        given: options, `name=value` for every policy that has it, or `label.name=value` for one contestant.

    Raises:
        UsageError: several policies and several models, or a policy that takes no model.
        UnknownNameError: an option that no contestant has, or no such policy.
    """
    from agentgym.errors import UnknownNameError, UsageError
    from agentgym.evaluate.plan import Entrant

    if len(policies) > 1 and len(models) > 1:
        raise UsageError("give several policies, or several models for one policy, not both")
    known = {name: _parameters(name) for name in policies}
    takers = [name for name in policies if "model" in known[name]]
    if models and not takers:
        raise UsageError(f"the policy {policies[0]!r} takes no --model")
    if len(models) > 1:
        pairs = [(policies[0], model) for model in models]
        labels = unique(model_labels(models))
    else:
        pairs = [(name, models[0] if models and name in takers else None) for name in policies]
        labels = unique([name.rpartition(":")[2] if ".py:" in name else name for name in policies])
    everyone, own = _scoped(given, labels)
    for key in everyone:
        if not any(key in known[name] for name, _ in pairs):
            every = [option for name in policies for option in known[name]]
            raise UnknownNameError(f"option of the policy {policies[0]}", key, every)
    made: list[Entrant] = []
    for label, (name, model) in zip(labels, pairs, strict=True):
        options = {**{k: v for k, v in everyone.items() if k in known[name]}, **own.get(label, {})}
        for key in options:
            if key not in known[name]:
                raise UnknownNameError(f"option of the policy {name}", key, known[name])
        made.append(Entrant(label=label, policy=name, model=model, options=options))
    return tuple(made)


def arguments_of(entrant: Entrant, dialect: str) -> dict[str, Any]:
    """The keyword arguments that a contestant's policy is made with; raises as `policy_arguments` does."""
    from agentgym.cli.evaluating import policy_arguments

    return policy_arguments(entrant.policy, dialect, entrant.model, entrant.options)


def prices_of(made: Sequence[Entrant], path: Any) -> dict[str, Price]:
    """The price of each contestant that has a model, from a table in a file.

    Raises:
        ConfigError: the file is no such table.
        UnknownNameError: the table has no such model.
    """
    from agentgym.evaluate.prices import load_prices

    table = load_prices(path)
    found: dict[str, Price] = {}
    for entrant in made:
        model = entrant.model or entrant.options.get("model") or _default_model(entrant.policy)
        if model is not None:
            found[entrant.label] = table.of(str(model), str(path))
        elif entrant.policy in table.models:
            found[entrant.label] = table.models[entrant.policy]
    return found


def model_labels(models: Sequence[str]) -> list[str]:
    """Short names for models: what their references do not have in common.

    >>> model_labels(["runs/one/model", "runs/two/model"]), model_labels(["small", "org/large"])
    (['one', 'two'], ['small', 'org-large'])
    """
    parts = [[part for part in re.split(r"[/\\\\]+", model) if part] or [model] for model in models]
    if len({tuple(p) for p in parts}) > 1:
        while all(len(p) > 1 for p in parts) and len({p[0] for p in parts}) == 1:
            parts = [p[1:] for p in parts]
        while all(len(p) > 1 for p in parts) and len({p[-1] for p in parts}) == 1:
            parts = [p[:-1] for p in parts]
    return [re.sub(r"[^\w.+-]+", "-", "-".join(p)) for p in parts]


def unique(labels: Sequence[str]) -> list[str]:
    """The labels, those that come again with a number.

    >>> unique(["a", "b", "a"])
    ['a', 'b', 'a-2']
    """
    found: list[str] = []
    for label in labels:
        name, number = label, 1
        while name in found:
            number += 1
            name = f"{label}-{number}"
        found.append(name)
    return found


def _scoped(given: Sequence[str], labels: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Options for everyone, and those for one contestant by its label."""
    everyone: list[str] = []
    own: dict[str, list[str]] = {}
    for option in given:
        mine = [label for label in labels if option.startswith(f"{label}.")]
        if mine:
            label = max(mine, key=len)
            own.setdefault(label, []).append(option[len(label) + 1 :])
        else:
            everyone.append(option)
    found = {label: settings(options, "--policy-option") for label, options in own.items()}
    return settings(everyone, "--policy-option"), found


def _parameters(policy: str) -> list[str]:
    from agentgym import registry

    return registry.parameters(registry.load("policies", policy))


def _default_model(policy: str) -> str | None:
    """The model that a policy takes where none is named; `None` for one that has no model."""
    import inspect

    from agentgym import registry

    known = inspect.signature(registry.load("policies", policy)).parameters
    if "model" not in known:
        return None
    default = known["model"].default
    return default if isinstance(default, str) else policy
