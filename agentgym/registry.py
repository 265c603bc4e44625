"""Names to plug-ins: environments, policies and credit modules, found through entry points.

Listing names imports nothing; loading imports only what is named. The parts that ship with the suite are found the
same way as a third party's. `./file.py:Attr` names what is not installed.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata as metadata
import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentgym.errors import MissingExtraError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from agentgym.env import EnvSpec, TextEnv
    from agentgym.tasks import TaskSet

Kind = Literal["envs", "policies", "credit", "scorers", "selection"]
SINGULAR = {
    "envs": "environment",
    "policies": "policy",
    "credit": "credit module",
    "scorers": "scorer",
    "selection": "selection module",
    "suites": "suite",
}


@functools.cache
def _entry_points(kind: str) -> dict[str, metadata.EntryPoint]:
    found: dict[str, metadata.EntryPoint] = {}
    for point in metadata.entry_points(group=f"agentgym.{kind}"):
        other = found.get(point.name)
        # The same distribution can be seen twice, once per place on the path.
        if other is not None and (other.value, _owner(other)) != (point.value, _owner(point)):
            raise UsageError(
                f"two distributions register the {SINGULAR[kind]} {point.name!r}: {_owner(other)} ({other.value}) and "
                f"{_owner(point)} ({point.value}); uninstall one of them"
            )
        found[point.name] = point
    return found


def _owner(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


def refresh() -> None:
    """Look for plug-ins again: what was installed since the first look is found."""
    _entry_points.cache_clear()


def names(kind: Kind) -> list[str]:
    """All registered names of a kind, sorted. Imports no plug-in.

    Raises:
        UsageError: two distributions register the same name.
    """
    return sorted(_entry_points(kind))


def load(kind: Kind, name: str) -> Any:
    """What is registered under a name, or what `./file.py:Attr` names. Imports only that.

    Raises:
        UnknownNameError: nothing has that name; the message has the nearest one.
        UsageError: the file or its attribute is not there, or importing it fails.
    """
    if ".py:" in name:
        return _from_file(name)
    points = _entry_points(kind)
    if name not in points:
        if kind == "envs" and (suite := _suite_of(name)) is not None:
            return suite.find(name)
        versions = [n for n in points if re.fullmatch(re.escape(name) + r"-v\d+", n)]
        if versions:
            newest = max(versions, key=lambda n: int(n.rsplit("-v", 1)[1]))
            raise UnknownNameError(SINGULAR[kind], name, [newest], " (ids carry a version)")
        raise UnknownNameError(SINGULAR[kind], name, points)
    point, what = points[name], f"{SINGULAR[kind]} {name!r}"
    try:
        return point.load()
    except ModuleNotFoundError as error:
        raise missing_module(what, error) from error
    except Exception as error:
        raise UsageError(
            f"{what} ({point.value}, from {_owner(point)}) cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _suite_of(name: str) -> Any:
    """The suite of others that an id belongs to by its prefix (`textarena-...`, `textarena:...`); `None` if none."""
    points = _entry_points("suites")
    owners = [prefix for prefix in points if name.startswith((f"{prefix}-", f"{prefix}:"))]
    if not owners:
        return None
    point = points[max(owners, key=len)]
    try:
        return point.load()
    except Exception as error:
        raise UsageError(
            f"the suite of {name!r} ({point.value}, from {_owner(point)}) cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error


def missing_module(what: str, error: ModuleNotFoundError, extra: str | None = None) -> UsageError:
    """The error for a module that an optional extra would have installed; names the command."""
    root = (error.name or "").partition(".")[0]
    by_module = {
        **dict.fromkeys(("torch", "transformers", "gguf"), "train"),
        **dict.fromkeys(("bm25s", "Stemmer", "rapidfuzz"), "webshop"),
        **dict.fromkeys(("starlette", "uvicorn", "textual"), "view"),
        **{name: name for name in ("textworld", "trl", "ray")},
    }
    known = extra or by_module.get(root)
    if known is not None:
        return MissingExtraError(what, known)
    return UsageError(f"{what} needs the module {root!r}, which is not installed")


def _from_file(name: str) -> Any:
    file, _, attribute = name.rpartition(":")
    path = Path(file).resolve()
    if not path.is_file():
        raise UsageError(f"{name}: there is no file {path}")
    # One module per file, under a name of its own, so that what it defines can be pickled by reference.
    module_name = f"agentgym_file_{path.stem}_{hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()}"
    module = sys.modules.get(module_name)
    if module is None:
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise UsageError(f"{name}: {path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise UsageError(f"{name}: {path} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        known = [n for n in vars(module) if not n.startswith("_")]
        raise UnknownNameError(f"attribute of {path.name}", attribute, known)
    return getattr(module, attribute)


def resolve(reference: str, extra: str | None = None) -> Any:
    """What `"module:attribute"` (or `"file.py:attribute"`) of a spec names.

    Args:
        reference: what to import.
        extra: the optional extra that installs what it needs.

    Raises:
        UsageError: the module or the attribute does not exist, or importing it fails.
        MissingExtraError: it needs a module that an extra would have installed.
    """
    if ".py:" in reference:
        return _from_file(reference)
    module_name, _, attribute = reference.partition(":")
    try:
        module = sys.modules.get(module_name) or importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        own = (error.name or "").partition(".")[0] == module_name.partition(".")[0]
        raise missing_module(reference, error, None if own else extra) from error
    except Exception as error:
        raise UsageError(f"{reference} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise UsageError(f"{reference}: module {module_name} has no {attribute!r}")
    return getattr(module, attribute)


def spec(env: str | EnvSpec) -> EnvSpec:
    """The spec of an environment.

    Raises:
        UnknownNameError: no environment has that id.
        UsageError: what is registered is no `EnvSpec`.
    """
    from agentgym.env import EnvSpec

    if isinstance(env, EnvSpec):
        return env
    found = load("envs", env)
    if not isinstance(found, EnvSpec):
        kind = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise UsageError(f"environment {env!r}: expected an EnvSpec, found {kind}")
    return found


def make(env: str | EnvSpec, **options: Any) -> TextEnv:
    """An environment, ready for `reset`.

    Args:
        env: id, `./file.py:SPEC`, or a spec.
        **options: over the spec's own; the class and the task set take what they have parameters for.

    Raises:
        UnknownNameError: no environment has that id.
        MissingExtraError: its optional part is not installed.
        UsageError: an option that neither the class nor its task set has.
    """
    found = spec(env)
    cls = resolve(found.entry, found.extra)
    function = resolve(found.tasks, found.extra)
    merged = {**found.options, **options}
    _refuse_unknown(found, merged, cls, function)
    try:
        made: TextEnv = cls(**accepted(cls, merged))
    except ModuleNotFoundError as error:
        raise missing_module(f"environment {found.id!r}", error, found.extra) from error
    made.env_spec = found
    made.default_tasks = lambda: tasks(found, "train", **options)
    return made


def tasks(env: str | EnvSpec, split: str = "train", **options: Any) -> TaskSet:
    """The tasks of an environment. What is an option of the environment's class alone is passed over.

    Raises:
        UnknownNameError: no environment has that id, or neither the class nor its task set has an option.
        UsageError: an unknown split, or an option of the wrong kind.
    """
    found = spec(env)
    function = resolve(found.tasks, found.extra)
    merged = {**found.options, **options}
    mine = accepted(function, merged)
    if len(mine) < len(merged):
        _refuse_unknown(found, merged, resolve(found.entry, found.extra), function)
    try:
        made: TaskSet = function(split, **mine)
    except ModuleNotFoundError as error:
        raise missing_module(f"environment {found.id!r}", error, found.extra) from error
    except (TypeError, ValueError) as error:
        shown = ", ".join(f"{k} = {v!r}" for k, v in mine.items()) or "no options"
        raise UsageError(f"environment {found.id!r}: no tasks from {shown}: {error}") from error
    return made


def _refuse_unknown(found: EnvSpec, options: dict[str, Any], *functions: Any) -> None:
    known = [name for function in functions for name in parameters(function) if name != "split"]
    for name in sorted(options):
        if name not in known:
            raise UnknownNameError(f"option of {found.id}", name, known)


def parameters(function: Any) -> list[str]:
    """Names of the parameters of a function or class."""
    import inspect

    return [n for n, p in inspect.signature(function).parameters.items() if p.kind is not p.VAR_KEYWORD]


def accepted(function: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that the function has parameters for."""
    known = set(parameters(function))
    return {k: v for k, v in options.items() if k in known}
