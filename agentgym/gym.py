"""The Gymnasium plug-in: `gymnasium.make("agentgym/keydoor-v0")` for every registered environment.

Gymnasium 1.x loads no plug-ins by itself: a package registers its environments when it is imported. `import agentgym`
must not import Gymnasium, though, so `announce` registers at once where Gymnasium is loaded already, and otherwise
waits for it with an import hook. Naming the environments imports none of them.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from contextlib import suppress
from typing import Any


def announce() -> None:
    """Register every environment with Gymnasium: now if it is loaded, else as soon as it is."""
    if "gymnasium" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _AfterGymnasium())


def register() -> None:
    """Register every environment as `agentgym/<id>`; what is registered already stays. Imports no environment."""
    from gymnasium.envs import registration

    from agentgym import registry
    from agentgym.errors import AgentgymError

    gymnasium: Any = registration
    try:
        ids = registry.names("envs")
    except AgentgymError as error:  # Somebody else's broken plug-in must not break `import gymnasium`.
        warnings.warn(f"agentgym registers no environments: {error}", stacklevel=2)
        return
    for env in ids:
        name = f"agentgym/{env}"
        # Ids that Gymnasium cannot spell are still there for `agentgym.make`.
        if name not in gymnasium.registry and gymnasium.ENV_ID_RE.fullmatch(name):
            gymnasium.register(id=name, entry_point="agentgym.gym:make_env", kwargs={"env": env})


def make_env(env: str, *, max_turns: int | None = None, render_mode: str | None = None, **options: Any) -> Any:
    """What `gymnasium.make` calls.

    Args:
        env: the id, without the namespace.
        max_turns: truncate after so many turns; the environment's own default if not given.
        render_mode: `"ansi"`, the only one there is.
        **options: of the environment and of its task set.

    Returns:
        The environment behind a `TurnLimit`.

    Raises:
        UsageError: as `registry.make`; or an unknown render mode.
    """
    from agentgym import registry
    from agentgym.errors import UsageError
    from agentgym.limits import TurnLimit

    if render_mode not in (None, "ansi"):
        raise UsageError(f"{env}: render_mode must be 'ansi', not {render_mode!r}")
    spec = registry.spec(env)
    return TurnLimit(registry.make(spec, **options), spec.max_turns if max_turns is None else max_turns)


class _AfterGymnasium:
    """An import finder that finds nothing, but sees Gymnasium being imported and registers once that is done."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "gymnasium":
            return None
        with suppress(ValueError):
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: Any) -> None:
                execute(module)
                register()

            spec.loader.exec_module = execute_and_register
        return spec
