"""Pages of the docs site about environments: facts from the registry, and an episode that is really played.

Facts that are written by hand grow stale, so nothing of this is kept in the tree: `scripts/docs.py` calls it whenever
the site is built. What the facts mean is in each environment's README, which stands on the same page.
"""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentgym import registry
from agentgym.cli.listing import declared, sizes
from agentgym.env import Ability, EnvSpec
from agentgym.errors import AgentgymError

ROOT = Path(__file__).resolve().parents[1]
TURNS, LINES, CHARACTERS = 8, 14, 900
"""Of an episode are shown so many turns; of an observation so many lines and characters."""
OWN_PART = {
    "search-world-v0": "envs/agentgym_envs/search/world/README.md",
    "swe-mutants-v0": "envs/agentgym_envs/swe/mutants/README.md",
}
"""READMEs about a part that one id of a family plays."""


def readme(env: EnvSpec) -> Path:
    """The README nearest to an environment's class, in this repository."""
    folder = ROOT / "envs" / Path(*env.entry.partition(":")[0].split(".")).parent
    while not (folder / "README.md").exists():
        folder = folder.parent
    return folder / "README.md"


def families() -> dict[Path, list[EnvSpec]]:
    """The environments of this repository by their README."""
    found: dict[Path, list[EnvSpec]] = defaultdict(list)
    for name in registry.names("envs"):
        env = registry.spec(name)
        if env.entry.startswith("agentgym_envs."):
            found[readme(env)].append(env)
    return found


def pages() -> Iterator[tuple[str, str, Path | None]]:
    """Address, text and source of every page: one an id, one more for each family, and one that lists them all."""
    listed: list[tuple[str, EnvSpec]] = []
    for source, specs in sorted(families().items(), key=lambda family: family[0].parent.name):
        text, family = source.read_text(encoding="utf-8"), source.parent.name
        if len(specs) > 1:
            links = "\n".join(f"- [`{env.id}`]({env.id}.md): {env.summary}" for env in specs)
            yield f"environments/{family}.md", f"{text}\n\n## Ids\n\n{links}\n", source
        for env in specs:
            listed.append((family, env))
            if len(specs) == 1:
                yield f"environments/{env.id}.md", f"{text}\n\n{facts(env)}\n\n{episode(env)}", source
                continue
            head = f"# {env.id}\n\n{env.summary}. What it shares with its family is on [{family}]({family}.md)."
            own = ROOT / OWN_PART[env.id] if env.id in OWN_PART else None
            more = "" if own is None else "\n\n" + _lower(own.read_text(encoding="utf-8"))
            yield f"environments/{env.id}.md", f"{head}\n\n{facts(env)}\n\n{episode(env)}{more}", own
    yield "environments/index-of-all.md", overview(listed), None


def overview(listed: list[tuple[str, EnvSpec]]) -> str:
    """The page that lists every environment."""
    rows = ["| id | what it is | train | held out | steps/s | needs |", "|---|---|---|---|---|---|"]
    for _, env in sorted(listed, key=lambda one: one[1].id):
        speed, counts = declared(env.id, env.entry), sizes(env.id)
        cells = [
            f"[`{env.id}`]({env.id}.md)",
            _cell(env.summary),
            *(_count(counts[split]) for split in ("train", "heldout")),
            _count(None if speed is None else round(speed)),
            f"`{env.extra}`" if env.extra else "",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return (
        "# Environments\n\n`agentgym list envs` prints this table. *Steps/s* is what its author measured on one core: "
        "an order of magnitude. *Needs* is the extra that installs its engine. A dash: the tasks are files of yours, "
        "or come with a package that was not there when this page was built.\n\n"
        + "\n".join(rows)
        + "\n\nEnvironments of other suites have ids here, too: [other suites](../suites.md). To write your own: "
        "[in ten minutes](../environments.md).\n"
    )


def facts(env: EnvSpec) -> str:
    """What the registry knows about one environment, as a table."""
    counts = sizes(env.id)
    rows = {
        "tasks": ", ".join(f"{split} {_count(count)}" for split, count in counts.items()),
        "turns at most": str(env.max_turns),
        "abilities": ", ".join(str(ability) for ability in sorted(env.abilities)) or "none",
        "dialect": f"`{env.dialect}`",
        "reward components": ", ".join(f"`{name}`" for name in env.components) or "none",
        "runs": "in a process of its own" if env.host == "process" else "inline",
        "options": options(env),
    }
    if env.extra:
        rows["needs"] = f"`pip install 'agentgym-suite[{env.extra}]'`"
    table = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows.items())
    return f"## Facts\n\n| `{env.id}` | |\n|---|---|\n{table}"


def options(env: EnvSpec) -> str:
    """Options of the tasks and of the class with their defaults, as the code has them."""
    found: dict[str, str] = {}
    for reference in (env.tasks, env.entry):
        try:
            signature = inspect.signature(registry.resolve(reference, env.extra))
        except AgentgymError:
            continue
        for name, parameter in signature.parameters.items():
            if name != "split" and parameter.kind is not parameter.VAR_KEYWORD:
                default = env.options.get(name, parameter.default)
                plain = default is parameter.empty or callable(default)
                found.setdefault(name, f"`{name}`" if plain else f"`{name}={_short(default)}`")
    return ", ".join(found.values()) or "none"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 and str(ROOT) not in text and " at 0x" not in text else "..."


def episode(env: EnvSpec) -> str:
    """One training task, played by the oracle while the page is built."""
    title = "## An episode\n\n"
    if Ability.ORACLE not in env.abilities:
        return f"{title}It has no oracle to play it.\n"
    try:
        lines = list(_played(env))
    except Exception as error:
        # An engine that is not installed, a folder of data that is not there, a machine without a sandbox: said on the
        # page, for the rest of it holds.
        reason = str(error) if isinstance(error, AgentgymError) else f"{type(error).__name__}: {error}"
        print(f"docs: {env.id} was not played: {' '.join(reason.split())}", file=sys.stderr)
        return f"{title}None was played when this page was built: {_reason(reason)}\n"
    body = "\n".join(lines)
    fence = "`" * 3
    while fence in body:
        fence += "`"
    return (
        f"{title}The oracle plays the first training task; long texts are cut.\n\n{fence}text\n{body}\n{fence}\n\n"
        f"Play it yourself: `agentgym play {env.id}`.\n"
    )


def _played(env: EnvSpec) -> Iterator[str]:
    made = registry.make(env.id)
    try:
        observation, _ = made.reset(seed=0, options={"task": registry.tasks(env.id)[0]})
        yield _cut(observation.text)
        total = 0.0
        for turn in range(env.max_turns):
            action = made.oracle()
            if action is None:
                raise AgentgymError("its oracle found no way")
            step = made.step(action)
            total += step.reward
            ended = step.terminated or step.truncated
            if turn < TURNS or ended:
                yield from ("", f"> {_cut(action)}", "", _cut(step.observation.text))
            elif turn == TURNS:
                yield from ("", "[...]")
            if ended:
                yield from ("", f"[{turn + 1} turns, rewards sum to {total:g}]")
                return
        raise AgentgymError("its oracle did not come to an end")
    finally:
        made.close()


def _cut(text: str) -> str:
    lines = text.strip().splitlines()
    kept = "\n".join(lines[:LINES])[:CHARACTERS]
    return kept if kept == "\n".join(lines) else f"{kept.rstrip()} [...]"


def _reason(text: str) -> str:
    return _cell(" ".join(text.replace(str(ROOT), ".").replace(str(Path.home()), "~").split())).replace("<", "&lt;")


def _lower(text: str) -> str:
    """A document one level down, to stand on another page."""
    fenced, out = False, []
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        out.append(f"#{line}" if line.startswith("#") and not fenced else line)
    return "\n".join(out) + "\n"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
