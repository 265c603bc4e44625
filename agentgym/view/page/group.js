"use strict";
// A group: the attempts at one task from one beginning, laid over each other where they met the same states.

(() => {
  const ZOOMS = [0.4, 0.55, 0.7, 0.85, 1, 1.25, 1.6];

  function choiceList(group, point) {
    const found = AG.choices(group);
    if (!found.length) return AG.el("p", { class: "soft" }, "No state from which different actions came to different ends.");
    const code = action => AG.el("code", {}, AG.clip(AG.one(action ?? "(unreadable)"), 80));
    const item = c => AG.el("li", {}, AG.el("button", { type: "button", class: "choice", onclick: () => point(c.index, true), onmouseenter: () => point(c.index, false), onfocus: () => point(c.index, false) },
      AG.el("span", { class: "choice-head" }, AG.el("b", {}, `S${c.index + 1}`), AG.el("span", { class: "soft" }, AG.clip(AG.one(group.nodes[c.index].label || group.nodes[c.index].key), 90))),
      AG.el("span", {}, code(c.best.action), " did better than ", code(c.worst.action), " by ", AG.el("b", {}, AG.num(c.gap))),
      AG.el("small", { class: "soft" }, `${AG.num(c.best.value)} over ${c.best.count}, ${AG.num(c.worst.value)} over ${c.worst.count}` + (c.others > 0 ? `; ${AG.count(c.others, "other action")}` : ""))));
    return AG.el("div", {}, AG.el("ol", { class: "choices" }, found.slice(0, 6).map(item)), found.length > 6 ? AG.fold(`${found.length - 6} more`, () => AG.el("ol", { class: "choices" }, found.slice(6, 200).map(item))) : null);
  }

  function stateDialog(group, index) {
    const node = group.nodes[index];
    const out = group.edges.filter(e => e.from === index).sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity));
    const visits = group.trajectories.flatMap(t => t.steps.map((s, step) => [t, s, step])).filter(([, s]) => s === index);
    const dialog = AG.el("dialog", { "aria-labelledby": "state-title", onclose: () => dialog.remove() },
      AG.el("form", { method: "dialog" }, AG.el("button", { class: "icon close", "aria-label": "Close" }, "×")),
      AG.el("h2", { id: "state-title" }, AG.nodeWords(node, index)), AG.block(node.key, 2000, "state key"),
      out.length ? AG.el("table", { class: "plain" }, AG.el("thead", {}, AG.el("tr", {}, ["action", "taken", "value", "advantage"].map((h, i) => AG.el("th", { scope: "col", class: i ? "num" : null }, h)))),
        AG.el("tbody", {}, out.slice(0, 50).map(e => AG.el("tr", {}, AG.el("td", {}, AG.el("code", {}, AG.clip(AG.one(e.action ?? "(unreadable)"), 120))), AG.el("td", { class: "num" }, AG.num(e.count)), AG.el("td", { class: "num" }, AG.num(e.value)),
          AG.el("td", { class: `num ${e.advantage < 0 ? "neg-text" : e.advantage > 0 ? "pos-text" : ""}` }, AG.signed(e.advantage)))))) : null,
      AG.el("h3", {}, "Turns in this state"), AG.el("ul", { class: "visits" }, visits.slice(0, 40).map(([t, , step]) => AG.el("li", {}, AG.el("a", { href: AG.toTrajectory(t.n, { turn: Math.min(step, Math.max(0, t.turns - 1)) }), onclick: () => dialog.close() },
        `attempt ${t.attempt}, ${step < t.turns ? `turn ${step + 1}` : "at the end"}`), " ", AG.ending(t.ending)))),
      visits.length > 40 ? AG.el("p", { class: "soft small" }, `and ${visits.length - 40} more`) : null);
    document.body.append(dialog);
    dialog.showModal();
  }

  AG.views.group = {
    title: "Group",
    async draw(main, known, signal) {
      const r = AG.run(), g = AG.at("g") || "", phase = AG.at("gp"), iteration = AG.at("gi");
      const waiting = AG.waiting("Laying the attempts over each other…");
      main.append(waiting);
      const group = await AG.source.group(r, g, phase, iteration, signal);
      waiting.remove();
      const won = group.trajectories.filter(t => t.success).length;
      main.append(AG.el("div", { class: "title" }, AG.el("p", { class: "crumbs" }, AG.el("a", { href: AG.link("table") }, "Trajectories"), " / ", AG.el("a", { href: AG.link("table", { group: g, phase, iteration, offset: null }) }, "the attempts as a table")),
        AG.el("h1", {}, `Group ${AG.clip(AG.one(group.group), 120)}`),
        AG.el("p", { class: "soft" }, `${AG.count(group.trajectories.length, "attempt")}, ${won} solved it, ${AG.count(group.nodes.length, "state")}` + (phase ? `, ${AG.words(phase)}${iteration ? ` ${Number(iteration) + 1}` : ""}` : "")),
        group.truncated ? AG.el("p", { class: "note" }, "The group is larger than what is shown: the first attempts and states are here.") : null));
      if (!group.nodes.length) return void main.append(AG.empty("No states", "No attempt of this group took a turn."));

      let graph = null, zoom = 4;
      const hold = AG.el("div", { class: "graph-scroll", tabindex: "0", role: "region", "aria-label": "State graph, scrolls" });
      const point = (index, scroll) => graph.point(index, scroll);
      const place = AG.el("div"), less = AG.el("span", { class: "soft small" });
      const set = z => {
        zoom = Math.max(0, Math.min(ZOOMS.length - 1, z));
        graph.shape.setAttribute("width", graph.box.width * ZOOMS[zoom]);
        graph.shape.setAttribute("height", graph.box.height * ZOOMS[zoom]);
      };
      const fit = () => {
        const room = hold.clientWidth - 4;
        let z = ZOOMS.length - 3;
        while (z > 0 && graph.box.width * ZOOMS[z] > room) z--;
        set(z);
      };
      function drawGraph(least) {
        graph = AG.graph(group, index => stateDialog(group, index), least);
        hold.replaceChildren(graph.shape);
        place.replaceChildren(graph.say);
        less.textContent = graph.hidden ? `${AG.count(graph.hidden, "state")} with fewer than ${graph.least} visits left out` : "";
      }
      const button = (words, label, act) => AG.el("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick: act }, words);
      const most = Math.max(...group.nodes.map(n => n.visits));
      drawGraph(null);
      const visits = AG.el("input", { type: "number", min: "1", max: String(most), value: String(graph.least), class: "short", "aria-label": "Least visits of a shown state", onchange: event => { drawGraph(Math.max(1, Number(event.target.value) || 1)); fit(); } });
      const compare = AG.el("button", { type: "button", class: "main", onclick: AG.compare });
      const marked = () => { compare.disabled = AG.marked.length !== 2; compare.textContent = AG.marked.length === 2 ? "Compare the two picked" : `Pick ${2 - AG.marked.length} to compare`; rows.check(); };
      const rows = AG.attempts(group, graph, point, () => marked());
      main.append(AG.el("div", { class: "split group" },
        AG.el("section", { class: "card graph-card", "aria-labelledby": "graph-title" }, AG.el("div", { class: "heat-head" }, AG.el("h2", { id: "graph-title" }, "States and actions"), less,
          group.nodes.length > 20 ? AG.el("label", { class: "small soft" }, "visits from ", visits) : null, button("−", "Smaller", () => set(zoom - 1)), button("⤢", "Fit to the width", fit), button("+", "Larger", () => set(zoom + 1))),
        hold, place, AG.el("div", { class: "scale-key" }, AG.el("span", {}, `value ${AG.num(graph.low)}`), AG.el("i", { class: "ramp value", "aria-hidden": "true" }), AG.el("span", {}, AG.num(graph.high)), AG.el("span", { class: "key-edge neg" }, "worse than others here"), AG.el("span", { class: "key-edge pos" }, "better"), AG.el("span", { class: "soft" }, "circle: visits, line: attempts"))),
        AG.el("section", { class: "card", "aria-labelledby": "choice-title" }, AG.el("h2", { id: "choice-title" }, "Where the choice mattered"), choiceList(group, point))),
      AG.el("section", { class: "card", "aria-labelledby": "attempts-title" }, AG.el("div", { class: "heat-head" }, AG.el("h2", { id: "attempts-title" }, "Attempts by state"), compare), AG.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Attempts, scrolls" }, rows.element)));
      fit();
      marked();
      return { keys: [[["c"], AG.compare, "c", "compare the two picked"], [["+", "="], () => set(zoom + 1), "+", "larger"], [["-"], () => set(zoom - 1), "−", "smaller"], [["0"], fit, "0", "fit the graph"], [["Escape"], () => AG.go("table"), "Esc", "back to the table"]] };
    },
  };
})();
