"""Credit cards: one page a module, of what its docstring claims and of what the lab measured, and an overview."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from agentgym import registry
from agentgym.errors import UsageError
from agentgym.lab.columns import MEANING
from agentgym.lab.findings import against, sentences, verdict
from agentgym.lab.measure import Measured
from agentgym.lab.overview import overview
from agentgym.lab.plot import Panel, Point, svg
from agentgym.lab.results import Results
from agentgym.lab.variants import VARIANTS, Variant, card_name

MADE = "<!-- Made by `agentgym lab --out docs/cards`; changes are lost when it is made again. -->"


def write(folder: Path, results: Results, modules: Sequence[str]) -> list[Path]:
    """Write the cards and plots of modules, and, one folder up, the overview `lab.md` of all that was measured.

    Args:
        folder: of the cards; made if it is not there.
        results: at least of these modules.
        modules: whose cards are written.

    Returns:
        The files.

    Raises:
        UsageError: the folder cannot be written.
    """
    kept = folder / "cards.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        results.write(kept)
        results = Results.read(kept)  # With the digits that are kept: whoever makes a page from them gets the same.
        files: dict[Path, str] = {folder.parent / "lab.md": f"{MADE}\n\n{overview(results, folder.name)}"}
        for module in modules:
            variants = [v for v in VARIANTS if v.module == module and v.label in results.full]
            if variants:
                files[folder / f"{card_name(module)}.svg"] = _plot(results.full[variants[0].label])
                files[folder / f"{card_name(module)}.md"] = f"{MADE}\n\n{card(module, variants, results)}"
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be written: {error}") from error
    return [*files, kept]


def card(module: str, variants: Sequence[Variant], results: Results) -> str:
    """The page of one module, in Markdown.

    Args:
        module: its name.
        variants: pipelines that show what it does; the first one is plotted.
        results: what was measured of them.
    """
    paragraphs = (inspect.getdoc(registry.load("credit", module)) or "").split("\n\n")
    said = [p for p in paragraphs if not p.startswith(">>>")]
    named = {p.partition(":")[0]: p for p in said if p.startswith(("Bias:", "Source:"))}
    parts = [f"# {module}", "```text\n" + said[0] + "\n```"]
    parts += [_joined(p) for p in said[1:] if p.partition(":")[0] not in named]
    parts += [_joined(named[key]) for key in ("Source", "Bias") if key in named]
    parts += ["## Measured", f"![estimate over true gradient, and noise]({card_name(module)}.svg)"]
    for variant in variants:
        rows = results.full[variant.label]
        parts += [f"### {variant.label}", " ".join(sentences(rows)), _compared(variant, rows, results), _table(rows)]
        parts.append(f"Pipeline: `{_pipeline(variant)}`. {_brought(variant)}".strip())
    parts.append(
        "What the columns mean, and how all this is measured: [the Credit Lab](../lab.md). "
        f"Again: `agentgym lab --module {module} --out docs/cards`."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _compared(variant: Variant, rows: Sequence[Measured], results: Results) -> str:
    said = [f"Bias: {verdict(rows)}."]
    times = against(rows, results.full.get("rloo", ()))
    if times is not None and variant.label != "rloo":
        said.append(f"Noise at the largest N: {times:.2f} times that of `rloo` (geometric mean over worlds).")
    seconds = results.cost.get(variant.label)
    if seconds is not None:
        said.append(f"Cost: {seconds:.2g} s of one core for a million turns.")
    return " ".join(said)


def _table(rows: Sequence[Measured]) -> str:
    lines = ["| world | N | ratio | bias | cosine | variance | noise | from |", "|---|---|---|---|---|---|---|---|"]
    for m in rows:
        ratio, bias = f"{m.ratio:.3f}", f"{m.bias:.3f}"
        if not m.exact:
            ratio, bias = f"{ratio} ± {m.ratio_error:.3f}", f"{bias} ± {m.bias_error:.3f}"
        cosine = "-" if m.cosine is None else f"{m.cosine:.3f}"
        noise = "-" if m.noise is None else f"{m.noise:.3g}"
        origin = "all groups" if m.exact else f"{m.groups} groups"
        lines.append(f"| {m.world} | {m.size} | {ratio} | {bias} | {cosine} | {m.variance:.3g} | {noise} | {origin} |")
    return "\n".join(lines)


def _plot(rows: Sequence[Measured]) -> str:
    ratio: dict[str, list[Point]] = {}
    noise: dict[str, list[Point]] = {}
    for m in rows:
        spread = 2.0 * m.ratio_error
        ratio.setdefault(m.world, []).append(Point(m.size, m.ratio, m.ratio - spread, m.ratio + spread))
        if m.noise is not None:
            noise.setdefault(m.world, []).append(Point(m.size, m.noise, m.noise, m.noise))
    first = Panel("estimate / true gradient", "attempts of a group", ratio, level=1.0, log_x=True)
    return svg([first, Panel("noise of a group's estimate", "attempts of a group", noise, log_x=True, log_y=True)])


def _pipeline(variant: Variant) -> str:
    return ", then ".join(str(dict(entry)) for entry in variant.entries)


def _brought(variant: Variant) -> str:
    """What the columns that a scorer would bring hold here."""
    needed = sorted(
        {column for _, module in variant.pipeline().modules for column in module.required() if column in MEANING}
    )
    return " ".join(f"`{column}` is {MEANING[column]}." for column in needed)


def _joined(paragraph: str) -> str:
    return " ".join(paragraph.split())
