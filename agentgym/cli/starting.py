"""`agentgym init`: a new environment package that works at once: an author begins by changing, not by reading."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

from agentgym.cli.show import say


def init(name: str, /, *, folder: Path | None = None) -> int:
    """Write a new environment package: pyproject.toml with its entry point, env, test and README.

    It works as it is: its test passes, and `agentgym check` accepts it.

    Args:
        name: of the environment, such as number-hunt; its id will be number-hunt-v0.
        folder: where to write it; a new folder of that name if not given.
    """
    from agentgym import registry
    from agentgym.cli.skeleton import files
    from agentgym.errors import UsageError

    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or re.search(r"-v\d+$", name):
        raise UsageError(
            f"init: {name!r} is no name for an environment: lower case letters, digits and single dashes, beginning "
            "with a letter, and without a version"
        )
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module in ("agentgym", "tests"):
        raise UsageError(f"init: a package cannot be called {module!r}; choose another name")
    if f"{name}-v0" in registry.names("envs"):
        raise UsageError(f"init: the environment {name}-v0 is there already; choose another name")
    target = folder or Path(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"init: {target} is there already and not an empty folder; give another with --folder")
    for path, text in files(name).items():
        file = target / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"init: {file} cannot be written: {error.strerror or error}") from error
        print(file)
    say(f"next: cd {target}, agentgym check ./{module}/env.py:SPEC, then change {module}/env.py")
    return 0
