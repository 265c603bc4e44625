"use strict";
// The attempts of a group as rows of states, on columns that they share.

(() => {
  const WIDE = 160;

  AG.attempts = (group, range, point, marked) => {
    const rows = group.trajectories.map(t => t.steps);
    const aligned = AG.columns(rows, WIDE);
    const width = aligned ? aligned.width : Math.min(WIDE, Math.max(...rows.map(r => r.length), 0));
    const k = node => AG.known(node.value) && range.high > range.low ? (100 * (node.value - range.low) / (range.high - range.low)).toFixed(0) : "50";

    function cells(t) {
      const at = new Map();
      t.steps.slice(0, aligned ? Infinity : width).forEach((state, step) => at.set(aligned ? aligned.places[t.row][step] : step, [state, step]));
      return Array.from({ length: width }, (_, column) => {
        if (!at.has(column)) return AG.el("td", { class: "gap" });
        const [state, step] = at.get(column), node = group.nodes[state];
        const words = `attempt ${t.attempt}, ${step < t.turns ? `turn ${step + 1}` : "at the end"}, ${AG.nodeWords(node, state)}`;
        return AG.el("td", {}, AG.el("a", {
          class: `state${node.terminal ? " terminal" : ""}${Number(k(node)) > 55 ? " strong" : ""}`, "--k": `${k(node)}%`, href: AG.toTrajectory(t.n, { turn: Math.min(step, Math.max(0, t.turns - 1)) }),
          "aria-label": `${node.terminal ? "" : `${state + 1}, `}${words}`, title: words, tabindex: "-1", onmouseenter: () => point(state, false), onfocus: () => point(state, false),
        }, node.terminal ? (node.terminal === "success" ? "✓" : node.terminal === "failure" ? "✗" : "■") : String(state + 1)));
      });
    }
    const table = AG.el("table", { class: "attempts" },
      AG.el("caption", { class: "sr" }, "Attempts as rows of states; equal states stand in one column"),
      AG.el("tbody", {}, group.trajectories.map((t, row) => {
        t.row = row;
        const box = AG.el("input", { type: "checkbox", "aria-label": `Pick attempt ${t.attempt} to compare`, onchange: () => { AG.mark(t.n); marked(); } });
        box.checked = AG.marked.includes(t.n);
        return AG.el("tr", { "data-n": t.n }, AG.el("td", { class: "pick" }, box), AG.el("th", { scope: "row" }, AG.el("a", { href: AG.toTrajectory(t.n, { turn: null }) }, `attempt ${AG.num(t.attempt)}`)),
          AG.el("td", { class: "end" }, AG.ending(t.ending)), AG.el("td", { class: "num end" }, AG.num(t.score)), cells(t));
      })));
    // One stop of the tab key; the arrows go from cell to cell.
    const links = () => [...table.querySelectorAll("a.state")];
    const first = table.querySelector("a.state");
    if (first) first.tabIndex = 0;
    table.addEventListener("keydown", event => {
      const here = event.target.closest("a.state");
      if (!here) return;
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key], rowBy = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      let next = null;
      if (by) { const all = links(); next = all[all.indexOf(here) + by]; }
      if (rowBy) {
        let row = here.closest("tr")[rowBy > 0 ? "nextElementSibling" : "previousElementSibling"];
        const column = here.parentElement.cellIndex;
        while (row && !next) { next = row.cells[column]?.querySelector("a.state"); row = row[rowBy > 0 ? "nextElementSibling" : "previousElementSibling"]; }
      }
      if (!next) return;
      event.preventDefault();
      here.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
    return { element: table, check: () => { for (const tr of table.querySelectorAll("tr[data-n]")) tr.querySelector("input").checked = AG.marked.includes(Number(tr.dataset.n)); } };
  };
})();
