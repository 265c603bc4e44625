"use strict";
// The heat strip: a row for every credit module, a column for every turn. Blue did well, orange did badly (a pair that
// colour-blind readers tell apart), and it is a real table: each cell has its number for those who do not see colours.

(() => {
  const ROW = 46;
  // A row whose largest value is below this part of the strip's is next to nothing, and looks so.
  const FAINT = 20;

  const peak = values => Math.max(0, ...values.filter(AG.known).map(Math.abs));

  function paint(cell, value, most) {
    cell.classList.remove("pos", "neg", "strong", "none");
    if (!AG.known(value)) return cell.classList.add("none");
    const k = most > 0 ? Math.min(1, Math.abs(value) / most) : 0;
    cell.classList.add(value < 0 ? "neg" : "pos");
    if (k > 0.68) cell.classList.add("strong");
    cell.style.setProperty("--k", `${(88 * k).toFixed(1)}%`);
  }

  // Rows of the strip: what was recorded, what every module gives, then the rewards themselves.
  function rowsOf(record, credit) {
    const rows = [];
    const turns = record.turns.length;
    const fits = values => Array.isArray(values) && values.length === turns;
    const measured = record.decisive && record.decisive.advantages;
    if (fits(measured)) rows.push({ label: `branched, k = ${AG.num(record.decisive.k)}`, words: "change of value, measured by fresh continuations", values: measured.map(m => m.value), kind: "recorded" });
    if (fits(record.advantages)) rows.push({ label: "as trained", words: "recorded advantage", values: record.advantages, kind: "recorded" });
    for (const module of (credit && credit.modules) || []) {
      if (fits(module.advantages)) rows.push({ label: module.label || module.name, words: `advantage by ${module.label || module.name}`, values: module.advantages, kind: "module", shaped: module.shaped });
      else if (fits(module.shaped)) rows.push({ label: module.label || module.name, words: `shaped reward by ${module.label || module.name}`, values: module.shaped, kind: "module" });
    }
    rows.push({ label: "reward", words: "reward", values: record.turns.map(t => t.reward), kind: "fact" });
    if (fits(record.returns)) rows.push({ label: "return", words: "return to go", values: record.returns, kind: "fact" });
    return rows;
  }

  // Lines under the strip, on the same columns: progress, information gain.
  function lines(record, credit) {
    const found = new Map();
    for (const [name, values] of Object.entries((credit && credit.columns) || {})) if (Array.isArray(values)) found.set(name, values);
    if (!found.has("progress")) {
      const progress = record.turns.map(t => t.info && t.info.progress);
      if (progress.some(AG.known)) found.set("progress", progress);
    }
    const kept = [...found].filter(([, values]) => values.some(AG.known)).slice(0, 4);
    const branched = record.decisive && record.decisive.values;
    if (Array.isArray(branched)) kept.unshift(["branched value", branched.slice(0, record.turns.length).map(v => v.value), branched]);
    return kept;
  }

  function line(name, values, width, intervals) {
    const known = [...values, ...(intervals || []).flatMap(v => [v.low, v.high])].filter(AG.known);
    const low = Math.min(0, ...known), high = Math.max(name === "progress" ? 1 : 0, ...known), span = high - low || 1;
    const all = values.length * (width + 2) - 2;
    const x = i => i * (width + 2) + width / 2, y = v => 5 + (ROW - 10) * (1 - (v - low) / span);
    const points = values.map((v, i) => AG.known(v) ? [x(i), y(v)] : null);
    let path = "", open = false;
    for (const p of points) {
      if (p) path += `${open ? "L" : "M"}${p[0].toFixed(1)} ${p[1].toFixed(1)}`;
      open = p !== null;
    }
    const whiskers = (intervals || []).slice(0, values.length).map((v, i) => AG.known(v.low) && AG.known(v.high) ? AG.svg("line", { class: "whisker", x1: x(i), x2: x(i), y1: y(v.low), y2: y(v.high) }) : null);
    return AG.svg("svg", { class: "spark", width: all, height: ROW, role: "img", "aria-label": `${AG.words(name)} by turn: ${values.map(AG.num).join(", ")}` },
      AG.svg("line", { class: "zero", x1: 0, x2: all, y1: y(0), y2: y(0) }), whiskers, AG.svg("path", { class: "curve", d: path }),
      points.map((p, i) => p ? AG.svg("circle", { class: "dot", cx: p[0], cy: p[1], r: 3, "data-turn": i }, AG.svg("title", {}, `${AG.words(name)}, turn ${i + 1}: ${AG.num(values[i])}`)) : null));
  }

  // The decisive turn as a number from 0, or null where none can be named or nobody has looked (`agentgym eval --decisive`).
  const change = record => (record.decisive && record.decisive.decisive) || null;
  AG.decisive = record => change(record) && AG.known(change(record).turn) ? change(record).turn : null;

  AG.decisiveWords = record => {
    const d = change(record), c = record.decisive && record.decisive.candidate;
    const interval = x => AG.known(x.low) && AG.known(x.high) ? `, 95 % interval ${AG.signed(x.low)} to ${AG.signed(x.high)}` : "";
    if (AG.decisive(record) !== null) return `Turn ${d.turn + 1} ${record.success ? "won" : "lost"} it: ${AG.signed(d.change)}${interval(d)}`;
    return c && AG.known(c.turn) ? `No single turn can be named: turn ${c.turn + 1} changed most (${AG.signed(c.change)}${interval(c)})` : null;
  };

  AG.heat = (record, credit, pick) => {
    const turns = record.turns.length, rows = rowsOf(record, credit), grid = [], decisive = AG.decisive(record);
    const numbers = { on: turns <= 9, shared: false };
    const width = () => numbers.on ? 36 : turns <= 20 ? 24 : 16;
    const readout = AG.el("p", { class: "readout", "aria-live": "off" }, "Point at a cell, or move over it with the arrow keys.");
    let now = 0, row = 0;

    function say(i, t) {
      const v = rows[i].values[t], shaped = rows[i].shaped;
      readout.replaceChildren(AG.el("strong", {}, AG.clip(AG.one(rows[i].label), 70)), ` turn ${t + 1}: `, AG.el("b", { class: v < 0 ? "neg-text" : v > 0 ? "pos-text" : null }, AG.signed(v)),
        shaped && AG.known(shaped[t]) ? ` (shaped reward ${AG.signed(shaped[t])})` : "");
    }
    function focus(i, t) {
      grid[row]?.[now]?.setAttribute("tabindex", "-1");
      [row, now] = [Math.max(0, Math.min(rows.length - 1, i)), Math.max(0, Math.min(turns - 1, t))];
      const cell = grid[row][now];
      cell.setAttribute("tabindex", "0");
      cell.focus();
    }
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] };
    function key(event) {
      const by = moves[event.key];
      if (!by) return;
      event.preventDefault();
      focus(row + by[0], now + by[1]);
      pick(now);
    }
    const shared = Math.max(...rows.filter(r => r.kind !== "fact").map(r => peak(r.values)), 0);
    const head = AG.el("tr", { role: "row" }, AG.el("th", { role: "columnheader", scope: "col", class: "name" }, AG.sr("Module")), record.turns.map((turn, t) => AG.el("th", {
      role: "columnheader", scope: "col", class: t === decisive ? "decisive" : null, "data-turn": t, title: t === decisive ? AG.decisiveWords(record) : turn.info?.fault ? `fault: ${AG.clip(turn.info.fault, 80)}` : null,
      onclick: () => pick(t),
    }, turns <= 20 || t === 0 || (t + 1) % 5 === 0 ? String(t + 1) : "", turn.info?.fault ? AG.el("span", { class: "fault-dot" }, AG.sr("fault")) : null, t === decisive ? AG.sr(" decisive") : null)),
    AG.el("th", { role: "columnheader", scope: "col", class: "scale" }, AG.el("span", { "aria-hidden": "true" }, "±"), AG.sr("Largest")));
    const body = AG.el("tbody", {}, rows.map((r, i) => {
      const most = peak(r.values);
      grid.push(r.values.map((v, t) => AG.el("td", {
        role: "gridcell", tabindex: i === 0 && t === 0 ? "0" : "-1", "data-turn": t, "aria-label": `${AG.clip(AG.one(r.words), 70)}, turn ${t + 1}: ${AG.signed(v)}`,
        onmouseenter: () => say(i, t), onfocus: () => say(i, t), onclick: () => { focus(i, t); pick(t); },
      }, AG.el("span", { "aria-hidden": "true" }, AG.short(v)))));
      return AG.el("tr", { role: "row", class: r.kind }, AG.el("th", { role: "rowheader", scope: "row", class: "name", title: AG.clip(r.words, 200) }, AG.clip(AG.one(r.label), 46)), grid[i], AG.el("td", { role: "gridcell", class: "scale" }, AG.short(most)));
    }));
    const foot = AG.el("tfoot");
    const table = AG.el("table", { class: "heat", role: "grid", "aria-label": "Credit by module and turn; blue is positive, orange negative", onkeydown: key }, AG.el("thead", {}, head), body, foot);

    function repaint() {
      rows.forEach((r, i) => { const most = numbers.shared && r.kind !== "fact" ? shared : Math.max(peak(r.values), r.kind === "fact" ? 0 : shared / FAINT); r.values.forEach((v, t) => paint(grid[i][t], v, most)); });
      table.classList.toggle("numbers", numbers.on);
      table.style.setProperty("--cell", `${width()}px`);
      foot.replaceChildren(...lines(record, credit).map(([name, values, intervals]) => AG.el("tr", { role: "row" }, AG.el("th", { role: "rowheader", scope: "row", class: "name" }, AG.clip(AG.words(name), 46)),
        AG.el("td", { role: "gridcell", class: "line", colspan: turns }, line(name, values, width(), intervals)), AG.el("td", { role: "gridcell", class: "scale" }, AG.short(peak(values))))));
    }
    const toggle = (words, name) => AG.el("button", { type: "button", class: "quiet", "aria-pressed": String(numbers[name]), onclick: event => {
      numbers[name] = !numbers[name];
      event.currentTarget.setAttribute("aria-pressed", String(numbers[name]));
      repaint();
    } }, words);
    repaint();

    const not = ((credit && credit.modules) || []).filter(m => !Array.isArray(m.advantages) && !Array.isArray(m.shaped));
    const element = AG.el("section", { class: "card heat-card", "aria-labelledby": "heat-title" },
      AG.el("div", { class: "heat-head" }, AG.el("h2", { id: "heat-title" }, "Credit by turn"), toggle("Numbers", "on"), toggle("One scale", "shared")),
      credit && credit.basis ? AG.el("p", { class: "soft small" }, `Over ${AG.clip(AG.one(credit.basis), 200)}`) : null,
      AG.decisiveWords(record) ? AG.el("p", { class: "small" }, AG.el("span", { class: "star", "aria-hidden": "true" }, "◆ "), AG.decisiveWords(record)) : null,
      AG.el("div", { class: "heat-scroll" }, table), readout,
      AG.el("div", { class: "scale-key", "aria-hidden": "true" }, AG.el("span", {}, "blamed"), AG.el("i", { class: "ramp" }), AG.el("span", {}, "credited")),
      not.length ? AG.fold(`${AG.count(not.length, "module")} could not be computed here`, () => AG.el("dl", { class: "why" }, not.map(m => [AG.el("dt", {}, AG.clip(AG.one(m.label || m.name), 80)), AG.el("dd", {}, AG.clip(m.why || "it says no reason", 300))]))) : null);
    return {
      element,
      show(t) {
        for (const cell of table.querySelectorAll("[data-turn].now")) cell.classList.remove("now");
        for (const cell of table.querySelectorAll(`[data-turn="${t}"]`)) cell.classList.add("now");
        if (!table.contains(document.activeElement)) { grid[row]?.[now]?.setAttribute("tabindex", "-1"); now = t; grid[row]?.[now]?.setAttribute("tabindex", "0"); }
        const at = head.querySelector(`[data-turn="${t}"]`), hold = table.parentElement, label = head.firstChild.offsetWidth;
        if (at && hold.scrollWidth > hold.clientWidth) hold.scrollLeft = Math.max(0, at.offsetLeft - label - (hold.clientWidth - label) / 2);
      },
    };
  };
})();
