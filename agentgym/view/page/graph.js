"use strict";
// The group as a graph of anchor states. A circle's area says how often it was visited, its colour what came of it; an
// edge is an action, blue where it did better than the others from the same state, orange where worse.

(() => {
  const SHOWN = 150;

  function thinned(nodes, least) {
    return nodes.filter(node => node.visits >= least || node.terminal);
  }
  function leastVisits(nodes) {
    let least = 1;
    while (thinned(nodes, least).length > SHOWN && least < 1000 && nodes.some(n => n.visits > least && !n.terminal)) least++;
    return least;
  }

  AG.stateName = (node, index) => node.terminal ? AG.words(node.terminal) : `S${index + 1}`;
  const terminalSign = node => node.terminal === "success" ? "✓" : node.terminal === "failure" ? "✗" : "■";
  const share = (value, low, high) => high > low ? Math.max(0, Math.min(1, (value - low) / (high - low))) : 0.5;

  AG.nodeWords = (node, index) => `${AG.stateName(node, index)}: ${AG.count(node.visits, "visit")} by ${AG.count(node.trajectories, "attempt")}, value ${AG.num(node.value)}`;
  AG.edgeWords = (edge, nodes) => `${AG.clip(AG.one(edge.action ?? "(unreadable)"), 160)}, taken ${edge.count} times from ${AG.stateName(nodes[edge.from], edge.from)}, value ${AG.num(edge.value)}` +
    (AG.known(edge.advantage) ? `, advantage ${AG.signed(edge.advantage)}` : "");

  // From one state, which action did better than which, and by how much. The text that says what the graph shows.
  AG.choices = group => {
    const from = new Map();
    for (const edge of group.edges) if (AG.known(edge.value)) (from.get(edge.from) || from.set(edge.from, new Map()).get(edge.from)).set(edge.action, [...(from.get(edge.from).get(edge.action) || []), edge]);
    const found = [];
    for (const [index, actions] of from) {
      if (actions.size < 2) continue;
      const sides = [...actions].map(([action, edges]) => {
        const count = edges.reduce((s, e) => s + e.count, 0);
        return { action, count, value: edges.reduce((s, e) => s + e.value * e.count, 0) / count };
      }).sort((a, b) => b.value - a.value);
      const [best, worst] = [sides[0], sides[sides.length - 1]];
      if (best.value - worst.value < 1e-9) continue;
      found.push({ index, best, worst, gap: best.value - worst.value, weight: (best.value - worst.value) * Math.sqrt(Math.min(best.count, worst.count)), others: sides.length - 2 });
    }
    return found.sort((a, b) => b.weight - a.weight);
  };

  // Names of actions that would lie on each other move apart, up or down.
  function apart(placed, x, y, words) {
    const half = 3.4 * words.length + 3;
    const shift = [0, -13, 13, -26, 26, -39, 39].find(by => placed.every(p => Math.abs(p.x - x) > p.half + half || Math.abs(p.y - y - by) > 11.5)) ?? 0;
    placed.push({ x, y: y + shift, half });
    return y + shift;
  }

  AG.graph = (group, onNode, least = null) => {
    group.nodes.forEach((node, index) => { node.index = index; });
    const limit = least ?? leastVisits(group.nodes);
    const nodes = thinned(group.nodes, limit), there = new Set(nodes.map(n => n.index));
    const edges = group.edges.filter(e => there.has(e.from) && there.has(e.to));
    const values = group.nodes.map(n => n.value).filter(AG.known), low = Math.min(...values), high = Math.max(...values);
    const most = Math.max(...nodes.map(n => n.visits), 1), busiest = Math.max(...edges.map(e => e.count), 1);
    const strongest = Math.max(...edges.map(e => Math.abs(e.advantage ?? 0)), 1e-9);
    const small = nodes.length > 60;
    const loops = new Map();
    for (const e of edges) if (e.from === e.to) loops.set(e.from, (loops.get(e.from) || 0) + 1);
    const box = AG.layout(nodes, edges, { across: small ? 96 : 124, gap: small ? 14 : 24, margin: 30, head: n => loops.has(n.index) ? 14 + 18 * loops.get(n.index) : 0, radius: n => 9 + (small ? 10 : 15) * Math.sqrt(n.visits / most) });
    const say = AG.el("p", { class: "readout", "aria-live": "off" }, "Point at a state or an edge for its numbers.");
    const marks = new Map();
    const lanes = new Map(), placed = [];
    const shape = AG.svg("svg", { class: "graph", width: Math.ceil(box.width), height: Math.ceil(box.height), viewBox: `0 0 ${Math.ceil(box.width)} ${Math.ceil(box.height)}`, role: "group", "aria-label": `Graph of ${nodes.length} states; the list of choices says the same in words` });
    shape.append(AG.svg("defs", {}, ["pos", "neg", "plain"].map(kind => AG.svg("marker", { id: `arrow-${kind}`, viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" }, AG.svg("path", { class: `arrow ${kind}`, d: "M0 0L8 4L0 8z" })))));
    const lines = AG.svg("g", {}), names = AG.svg("g", {}), circles = AG.svg("g", {});
    const choosing = new Map();
    for (const e of edges) choosing.set(e.from, (choosing.get(e.from) || new Set()).add(e.action));

    for (const edge of [...edges].sort((a, b) => a.count - b.count)) {
      const from = group.nodes[edge.from], to = group.nodes[edge.to];
      const key = `${Math.min(edge.from, edge.to)} ${Math.max(edge.from, edge.to)} ${edge.from < edge.to}`, lane = lanes.get(key) || 0;
      lanes.set(key, lane + 1);
      const way = AG.route(from, to, lane, box.ways.get(`${edge.from} ${edge.to}`)), kind = !AG.known(edge.advantage) || Math.abs(edge.advantage) < 1e-9 ? "plain" : edge.advantage < 0 ? "neg" : "pos";
      const words = AG.edgeWords(edge, group.nodes);
      const path = AG.svg("path", { class: `edge ${kind}`, d: way.d, "stroke-width": (1.2 + 4.5 * Math.sqrt(edge.count / busiest)).toFixed(1), "--k": `${(35 + 65 * Math.abs(edge.advantage ?? 0) / strongest).toFixed(0)}%`, "marker-end": `url(#arrow-${kind})` });
      const named = (choosing.get(edge.from).size > 1 || edge.count > busiest / 3) && nodes.length < 80, name = AG.clip(AG.one(edge.action ?? "(unreadable)"), small ? 10 : 16);
      const label = AG.svg("text", { class: `edge-name ${kind}${named ? " named" : ""}`, "data-from": edge.from, "data-to": edge.to, x: way.x, y: named ? apart(placed, way.x, way.y - 4, name) : way.y - 4, "text-anchor": "middle" }, name);
      const part = AG.svg("g", { class: named ? "edge-part named" : "edge-part", "data-from": edge.from, "data-to": edge.to, 
        onmouseenter: () => { say.textContent = words; label.classList.add("lit"); }, onmouseleave: () => label.classList.remove("lit"),
      }, AG.svg("title", {}, words), AG.svg("path", { class: "reach", d: way.d }), path);
      lines.append(part);
      names.append(label);
    }
    nodes.forEach((node, place) => {
      const words = AG.nodeWords(node, node.index), k = share(node.value, low, high);
      const text = AG.svg("text", { x: node.x, y: node.y, dy: "0.36em", "text-anchor": "middle", "aria-hidden": "true", class: AG.known(node.value) && k > 0.55 ? "on strong" : "on" }, node.terminal ? terminalSign(node) : String(node.index + 1));
      const part = AG.svg("g", {
        class: `node${node.terminal ? " terminal" : ""}`, role: "button", tabindex: place === 0 ? "0" : "-1", "data-node": node.index, "aria-label": `${node.terminal ? "" : `${node.index + 1}, `}${words}. ${AG.clip(AG.one(node.label || node.key), 200)}`,
        onmouseenter: () => point(node.index, false), onfocus: () => point(node.index, false), onclick: () => onNode(node.index),
        onkeydown: event => {
          if (event.key === "Enter" || event.key === " ") { event.preventDefault(); onNode(node.index); return; }
          const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
          if (!by) return;
          event.preventDefault();
          const next = marks.get(nodes[(place + by + nodes.length) % nodes.length].index);
          part.setAttribute("tabindex", "-1");
          next.setAttribute("tabindex", "0");
          next.focus();
        },
      }, node.terminal ? AG.svg("rect", { class: "dot", x: node.x - node.r, y: node.y - node.r, width: 2 * node.r, height: 2 * node.r, rx: 4, "--k": `${(100 * k).toFixed(0)}%` })
        : AG.svg("circle", { class: "dot", cx: node.x, cy: node.y, r: node.r, "--k": `${(100 * k).toFixed(0)}%` }), text);
      marks.set(node.index, part);
      circles.append(part);
    });
    shape.append(lines, names, circles);

    function point(index, scroll) {
      for (const part of shape.querySelectorAll(".lit")) part.classList.remove("lit");
      shape.classList.toggle("pointing", index !== null);
      if (index === null) return;
      const node = group.nodes[index];
      say.replaceChildren(AG.el("strong", {}, AG.nodeWords(node, index)), ` · ${AG.clip(AG.one(node.label || node.key), 240)}`);
      marks.get(index)?.classList.add("lit");
      for (const part of shape.querySelectorAll(`[data-from="${index}"], [data-to="${index}"]`)) part.classList.add("lit");
      if (scroll) marks.get(index)?.scrollIntoView({ block: "nearest", inline: "center" });
    }
    shape.addEventListener("mouseleave", () => point(null));
    return { shape, say, point, hidden: group.nodes.length - nodes.length, least: limit, box, low, high };
  };
})();
