"use strict";
// Curves: a line for the mean, a band for its 95 % interval, one colour a set of seeds. Drawn by uPlot (MIT), which
// stands beside this file. A table with the same numbers is one click away, for those who do not see the drawing.

(() => {
  const TALL = 190;
  // What tells most, in this order; everything else is folded away.
  const FIRST = ["success", "eval/success", "train/success", "score", "eval/score", "train/score", "learn/loss", "learn/entropy", "train/turns", "train/fault_rate", "eval/turns", "learn/grad_norm"];
  const RATES = /(^|[/_.])(success|fault_rate|clip_fraction|clipped|valid|invalid|accuracy)(\/|$)|pass[@^]/;
  const rate = name => RATES.test(name) && !/ending\//.test(name);
  const say = (name, v) => rate(name) ? AG.percent(v) : AG.num(v);
  const rank = name => FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length;

  // A t interval of two seeds can reach far beyond what a rate can be: it is cut there, and says so by touching the edge.
  const within = (name, v) => rate(name) && AG.known(v) ? Math.max(0, Math.min(1, v)) : v;

  AG.within = within;

  function columns(name, series) {
    const steps = [...new Set(series.flatMap(s => s.points.map(p => p.step)))].sort((a, b) => a - b);
    const place = new Map(steps.map((step, i) => [step, i]));
    const data = [steps];
    for (const one of series) {
      const [mean, low, high] = [0, 1, 2].map(() => new Array(steps.length).fill(null));
      for (const p of one.points) {
        const at = place.get(p.step);
        [mean[at], low[at], high[at]] = [p.mean, within(name, p.low ?? p.mean), within(name, p.high ?? p.mean)];
      }
      data.push(mean, low, high);
    }
    return data;
  }

  function options(name, series, data, width, moved) {
    const ink = AG.colour("--soft"), line = AG.colour("--line");
    const lines = series.flatMap((one, i) => {
      const stroke = AG.colour(`--series-${i % 6}`);
      const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true };
      return [{ label: AG.one(one.label), stroke, width: 2, spanGaps: true, points: { show: one.points.length <= 30, size: 6, fill: stroke } }, edge, edge];
    });
    const bands = series.map((_, i) => ({ series: [3 * i + 3, 3 * i + 2], fill: AG.colour(`--series-${i % 6}-soft`) }));
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 }, font: "11px system-ui, sans-serif" };
    // The means set the scale: one interval as wide as the world would press every line flat.
    const seen = series.flatMap(s => s.points.map(p => p.mean)).filter(AG.known);
    const edges = data.slice(1).flat().filter(AG.known);
    const low = seen.reduce((a, b) => Math.min(a, b), Infinity), high = seen.reduce((a, b) => Math.max(a, b), -Infinity), pad = (high - low) * 0.3 || Math.abs(high) * 0.1 || 0.1;
    const range = rate(name) ? [Math.min(0, low), Math.max(1, high)]
      : [Math.max(low - pad, edges.reduce((a, b) => Math.min(a, b), low) - pad / 5), Math.min(high + pad, edges.reduce((a, b) => Math.max(a, b), high) + pad / 5)];
    const [a, b] = [data[0][0], data[0][data[0].length - 1]];
    return {
      width, height: TALL, padding: [8, 12, 0, 0],
      scales: { x: { time: false, range: a === b ? [a - 1, b + 1] : [a, b] }, y: { range } },
      series: [{}, ...lines], bands, legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      axes: [
        { ...axis, size: 26, space: 60, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] },
        { ...axis, size: 46, space: 36, values: (_, at) => at.map(v => rate(name) ? `${Math.round(100 * v)} %` : AG.num(Number(v.toPrecision(6)))) },
      ],
      hooks: { setCursor: [u => moved(u.cursor.idx)] },
    };
  }

  function table(name, series) {
    const row = (one, p) => AG.el("tr", {}, AG.el("td", {}, AG.one(one.label)), ...[AG.num(p.step), say(name, p.mean), p.low === null || p.low === undefined ? "–"
      : `${say(name, within(name, p.low))} to ${say(name, within(name, p.high))}`, AG.num(p.n)].map(v => AG.el("td", { class: "num" }, v)));
    return AG.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${AG.one(name)}: the numbers` }, AG.el("table", { class: "plain" },
      AG.el("thead", {}, AG.el("tr", {}, ["runs", "step", "mean", "95 % interval", "n"].map((h, i) => AG.el("th", { class: i ? "num" : null, scope: "col" }, h)))),
      AG.el("tbody", {}, series.flatMap(one => one.points.slice(-500).map(p => row(one, p))))));
  }

  // One curve card. Gives the element and a way to take it down.
  AG.curve = (name, series) => {
    const data = columns(name, series), last = series.map(s => s.points[s.points.length - 1]);
    const values = series.map(() => AG.el("span", { class: "value" }));
    const at = AG.el("span", { class: "faint at" });
    const shown = series.map(() => true);
    let plot = null;
    function read(index) {
      const fixed = index === null || index === undefined;
      at.textContent = fixed ? "last" : `step ${AG.num(data[0][index])}`;
      series.forEach((_, i) => {
        const [mean, low, high] = fixed ? [last[i].mean, within(name, last[i].low), within(name, last[i].high)] : [1, 2, 3].map(k => data[3 * i + k][index]);
        const wide = AG.known(low) && AG.known(high) && low !== high;
        values[i].textContent = say(name, mean) + (wide ? `  (${say(name, low)} to ${say(name, high)})` : "");
      });
    }
    const legend = AG.el("ul", { class: "legend" }, series.map((one, i) => AG.el("li", {}, AG.el("button", {
      type: "button", "aria-pressed": "true", onclick: event => {
        shown[i] = !shown[i];
        event.currentTarget.setAttribute("aria-pressed", String(shown[i]));
        for (const k of [1, 2, 3]) plot?.setSeries(3 * i + k, { show: shown[i] });
      },
    }, AG.el("span", { class: "swatch", "--c": `var(--series-${i % 6})` }), AG.clip(AG.one(one.label), 80)), values[i])));
    const words = series.map((one, i) => `${AG.one(one.label)}: ${say(name, last[i].mean)} at step ${last[i].step}`).join("; ");
    const hold = AG.el("div", {
      class: "plot", tabindex: "0", role: "img", "aria-label": `Curve of ${AG.one(name)}. ${words}. Left and right move the cursor.`,
      onkeydown: event => {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!by || !plot) return;
        event.preventDefault();
        const index = Math.max(0, Math.min(data[0].length - 1, (plot.cursor.idx ?? (by > 0 ? -1 : data[0].length)) + by));
        plot.setCursor({ left: plot.valToPos(data[0][index], "x"), top: 0 });
      },
    });
    function draw() {
      plot?.destroy();
      const width = Math.max(200, hold.clientWidth || 300);
      plot = new uPlot(options(name, series, data, width, read), data, hold);
      shown.forEach((yes, i) => { if (!yes) for (const k of [1, 2, 3]) plot.setSeries(3 * i + k, { show: false }); });
      read(null);
    }
    let wide = 0;
    const sizes = new ResizeObserver(() => {
      if (Math.abs(hold.clientWidth - wide) < 2) return;
      wide = hold.clientWidth;
      if (plot) plot.setSize({ width: Math.max(200, wide), height: TALL });
      else if (wide) draw();
    });
    sizes.observe(hold);
    const themed = () => { if (plot) draw(); };
    document.addEventListener("themed", themed);
    const card = AG.el("article", { class: "card curve" },
      AG.el("h3", {}, AG.el("span", {}, AG.words(AG.one(name))), at), hold, legend, AG.fold("The numbers", () => table(name, series)));
    return { card, stop: () => { sizes.disconnect(); document.removeEventListener("themed", themed); plot?.destroy(); } };
  };

  // All curves by name: the ones that matter first, the others folded away.
  AG.curves = (series, stops) => {
    const names = new Map();
    for (const one of series) {
      if (!one.points.length) continue;
      if (!names.has(one.name)) names.set(one.name, []);
      names.get(one.name).push(one);
    }
    const sorted = [...names.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    const make = name => {
      const { card, stop } = AG.curve(name, names.get(name));
      stops.push(stop);
      return card;
    };
    const grid = AG.el("div", { class: "grid curves" }, sorted.slice(0, 6).map(make));
    const rest = sorted.slice(6);
    return AG.el("div", {}, sorted.length ? grid : AG.empty("No curves yet", "They begin with the first evaluation or iteration."),
      rest.length ? AG.fold(`${rest.length} more curves`, () => AG.el("div", { class: "grid curves" }, rest.map(make))) : null);
  };
})();
