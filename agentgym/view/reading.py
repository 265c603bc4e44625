"""One trajectory as text for a terminal: its head, the strips of rewards and credit, and what was said in a turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from agentgym.view.strips import heat, one_line, safe, short

LABEL = 14
"""Characters of a strip's name."""
MODEL, WORLD, MARKED = "cyan", "yellow", "bold"


def headline(record: dict[str, Any], now: int, width: int) -> Text:
    """Which trajectory it is, how it ended, and where one is."""
    turns = len(record["turns"])
    where = f"turn {now + 1}/{turns}" if now < turns else f"end, after {turns} turns"
    how = f"{record['ending']}  score {short(record['score'])}  {record['phase']}"
    made = Text(one_line(record["id"], width))
    made.append("\n" + one_line(f"{where}  {how}", width))
    return made


def strips(record: dict[str, Any], gave: dict[str, Any] | None, now: int, width: int) -> Text:
    """Rewards, returns, and the credit by every module that has any: one line each, one character a turn."""
    lines: list[tuple[str, Sequence[float | None]]] = [
        ("reward", [turn["reward"] for turn in record["turns"]]),
        ("return", record["returns"]),
    ]
    if record["advantages"] is not None:
        lines.append(("recorded", record["advantages"]))
    lacking = flat = 0
    if gave is not None:
        for name, values in gave["columns"].items():
            lines.append((name, values))
        for module in gave["modules"]:
            if module["advantages"] is None:
                lacking += 1
            elif not any(module["advantages"]):
                flat += 1
            else:
                lines.append((module["name"], module["advantages"]))
    room = max(5, width - LABEL - 9)
    made = Text(no_wrap=True, overflow="crop")
    for place, (name, values) in enumerate(lines):
        here = values[now] if now < len(values) else None
        made.append("\n" if place else "")
        made.append(one_line(name, LABEL).ljust(LABEL + 1))
        made.append(short(here).rjust(6) + " ")
        made.append_text(heat(values, now, room))
    if flat:
        made.append(f"\n{one_line(f'{flat} more modules give 0 to every turn', width)}", style="dim")
    if lacking:
        made.append(f"\n{one_line(f'{lacking} more need columns that are not here', width)}", style="dim")
    return made


def conversation(record: dict[str, Any], now: int, gave: dict[str, Any] | None = None) -> Text:
    """What was seen, said and done in one turn; after the last turn, what was seen in the end."""
    made = Text()

    def part(title: str, text: str | None, style: str = "") -> None:
        if text:
            made.append(f"{title}\n", style=f"{MARKED} {style}".strip())
            made.append(safe(text) + "\n\n")

    if now >= len(record["turns"]):
        final = record["final"]
        part("environment, in the end", final["text"] if final else "(nothing)", WORLD)
        part("error", record["error"], "red")
        if record["decisive"]:
            part("decisive turn", str(record["decisive"].get("verdict", "")))
        return made
    if now == 0:
        part("task", record.get("task_prompt"))
    turn = record["turns"][now]
    part(turn["observation"]["role"], turn["observation"]["text"], WORLD)
    said = turn["completion"]
    part("model", said["text"] or "(nothing)", MODEL)
    if turn["action"] is None:
        part("action", "(could not be read)", "red")
    elif turn["action"].strip() != said["text"].strip():
        part("action", turn["action"], MODEL)
    facts = [f"reward {short(turn['reward'])}", f"return {short(record['returns'][now])}"]
    facts += [f"{name} {short(value)}" for name, value in turn["rewards"].items() if isinstance(value, int | float)]
    if record["advantages"] is not None and now < len(record["advantages"]):
        facts.append(f"advantage {short(record['advantages'][now])}")
    facts.append(f"{said['tokens']} tokens")
    if said["finish"] != "stop":
        facts.append(str(said["finish"]))
    part("numbers", ", ".join(facts))
    info = [f"{name}: {value}" for name, value in turn["info"].items()]
    part("info", "\n".join(info))
    actions = turn["observation"]["actions"]
    if actions:
        part("could have done", ", ".join(map(str, actions[:40])))
    if gave is not None and gave["basis"]:
        made.append(f"credit by {safe(gave['basis'])}", style="dim")
    return made
