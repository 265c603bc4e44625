"""The overview of the lab: how it measures, and one line for every pipeline."""

from __future__ import annotations

from agentgym.lab.findings import against, verdict
from agentgym.lab.measure import MOST_EXACT, measure
from agentgym.lab.results import Results
from agentgym.lab.variants import NOT_MEASURED, VARIANTS, card_name
from agentgym.lab.worlds import WORLDS, stop_or_continue

KNOWN = (
    "rloo",
    "dr-grpo",
    "anchor-state (step_weight = 0.0, episode_statistics = rows)",
    "turn-group",
    "turn-group (gamma = 0.0)",
)
"""Pipelines whose bias on stop-or-continue is known from elsewhere, or should be seen beside it."""

HOW = f"""\
What does a credit module do to the gradient? In a real task nobody can say, because nobody knows the true gradient.
In the lab's worlds it is known: they are so small that all trajectories can be written down with their probabilities,
and the policy is a softmax with one logit for each state and action. The true gradient is

```text
g = sum over trajectories of P(trajectory) * outcome * grad log P(trajectory)
```

and a group of N attempts estimates it by

```text
1/N * sum over the group's turns of advantage * grad log pi(action | state).
```

Groups are enumerated where there are at most {MOST_EXACT:,} of them (numbers without an error are exact), else drawn,
the same ones for all modules. Pipelines with statistics of the batch (`reinforce++`, `entropy-modulated`) see all
groups as one very large batch; their errors take groups as independent, which they then nearly are. One group's
attempts share a task. Columns that a scorer would bring are exact, except `implicit_reward`: a module is shown at its
best, and a real scorer's errors come on top.

- **ratio**: the expected estimate's part along the true gradient. 1 is right; a constant factor is harmless.
- **bias**: size of (expected estimate - true gradient), over the true gradient's size. A wrong scale counts.
- **cosine**: direction of the expected estimate; 1 is right whatever the scale.
- **variance**: of one group's estimate, over the squared size of the true gradient.
- **noise**: variance over ratio squared, which does not depend on the scale of advantages.
- ± is one standard error of the draw; the bias has what the draw adds to it taken out already.

A module that pays for something of its own (format, length, information) is *meant* to leave the gradient of the
outcome: here the price is seen, not whether it is worth it. Whether lower noise or a shaped reward helps learning is
the business of `agentgym lab --learning` ([what it found](cards/learning.md))."""


def overview(results: Results, cards: str) -> str:
    """The page, in Markdown.

    Args:
        results: all that was measured.
        cards: folder of the cards, as seen from the page.
    """
    parts = ["# The Credit Lab", HOW, "## Worlds"]
    parts.append("\n".join(f"- **{w.name}**: {w.summary}." for w in WORLDS.values()))
    lines = ["| pipeline | bias | ratio | lowest cosine | noise against rloo | s per million turns |"]
    lines.append("|---|---|---|---|---|---|")
    reference = results.full.get("rloo", [])
    for variant in VARIANTS:
        rows = results.full.get(variant.label)
        if not rows:
            continue
        cosines = [m.cosine for m in rows if m.cosine is not None]
        times, seconds = against(rows, reference), results.cost.get(variant.label)
        cells = [
            f"[{variant.label}]({cards}/{card_name(variant.module)}.md)",
            verdict(rows),
            f"{min(m.ratio for m in rows):.2f} to {max(m.ratio for m in rows):.2f}",
            f"{min(cosines):.3f}" if cosines else "-",
            "-" if times is None else f"{times:.2f}",
            "-" if seconds is None else f"{seconds:.2g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    parts += ["## All pipelines", "\n".join(lines), "## Known numbers", known()]
    if NOT_MEASURED:
        parts += ["## Not measured", "\n".join(f"- `{name}`: {why}" for name, why in NOT_MEASURED.items())]
    return "\n\n".join(parts) + "\n"


def known() -> str:
    """A table of exact ratios on stop-or-continue at N = 8, over the probability of going on."""
    chances = (0.1, 0.5, 0.9)
    by_label = {variant.label: variant for variant in VARIANTS}
    head = " | ".join(f"p = {p:g}" for p in chances)
    lines = [f"| estimate / true gradient, N = 8, exact | {head} |", "|---" * (len(chances) + 1) + "|"]
    worlds = [stop_or_continue(p) for p in chances]
    for label in KNOWN:
        cells = [f"{measure(world, by_label[label], 8).ratio + 0.0:.3f}" for world in worlds]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    note = (
        "`turn-group` with gamma = 0 compares immediate rewards only: every attempt that reached the turn got the "
        "same, and nothing is left. With returns (gamma = 1) it has the baseline of `dr-grpo` here, since all attempts "
        "make the one decision that there is; for worlds with several decisions see its card."
    )
    return "\n".join(lines) + "\n\n" + note
