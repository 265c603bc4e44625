"use strict";
// What a run came to, at a glance: its figures, its curves with their seeds, how attempts ended, what went wrong.

(() => {
  const ENDINGS = ["success", "failure", "out_of_turns", "out_of_tokens", "out_of_time", "infra_error"];
  const PHASES = 8;

  function tile(words, value, more) {
    return AG.el("div", { class: "tile" }, AG.el("dt", {}, words), AG.el("dd", {}, value, more ? AG.el("small", {}, more) : null));
  }

  const sum = counts => Object.values(counts || {}).reduce((a, b) => a + b, 0);
  const when = text => text ? AG.text(text).replace("T", " ").replace("Z", " UTC") : "–";

  function choosePhases(run) {
    const all = Object.entries(run.phases || {}).filter(([name]) => name !== "demo");
    return all.slice(-PHASES);
  }

  function bar(phase, found, r) {
    const total = sum(found.facets.ending) || 1;
    const names = [...ENDINGS, ...Object.keys(found.facets.ending)].filter((name, i, all) => found.facets.ending[name] && all.indexOf(name) === i);
    const parts = names.map(name => {
      const count = found.facets.ending[name], share = count / total;
      const words = `${AG.words(name)}: ${AG.num(count)} of ${AG.num(total)} (${AG.percent(share)})`;
      return AG.el("a", {
        class: `part ${AG.tone(name)} ${name === "out_of_tokens" || name === "out_of_time" ? "other" : ""}`, "--share": share, title: words,
        href: AG.link("table", { r, phase, ending: name, offset: null }),
      }, share > 0.12 ? AG.el("span", {}, `${AG.glyph(name)} ${Math.round(100 * share)} %`) : "", AG.sr(` ${AG.words(phase)}, ${words}`));
    });
    return AG.el("li", {}, AG.el("span", { class: "bar-name" }, AG.words(phase), AG.el("small", {}, AG.num(total))), AG.el("span", { class: "stack" }, parts));
  }

  function endings(found, r) {
    const seen = new Set(found.flatMap(([, f]) => Object.keys(f.facets.ending)));
    return AG.el("article", { class: "card" }, AG.el("h3", {}, "How attempts ended"),
      AG.el("ul", { class: "bars" }, found.map(([phase, f]) => bar(phase, f, r))),
      AG.el("ul", { class: "legend flat" }, ENDINGS.filter(e => seen.has(e)).map(e =>
        AG.el("li", {}, AG.el("span", { class: `swatch part ${AG.tone(e)} ${e === "out_of_tokens" || e === "out_of_time" ? "other" : ""}` }), `${AG.glyph(e)} ${AG.words(e)}`))));
  }

  function faults(found, r) {
    const kinds = {};
    for (const [, f] of found) for (const [kind, n] of Object.entries(f.facets.fault)) kinds[kind] = (kinds[kind] || 0) + n;
    const sorted = Object.entries(kinds).sort((a, b) => b[1] - a[1]).slice(0, 10);
    const most = sorted.length ? sorted[0][1] : 1;
    return AG.el("article", { class: "card" }, AG.el("h3", {}, "Faults of the model", AG.el("small", {}, "attempts with at least one")),
      sorted.length ? AG.el("ul", { class: "bars" }, sorted.map(([kind, n]) => AG.el("li", {},
        AG.el("a", { class: "bar-name", href: AG.link("table", { r, fault: kind, phase: null, ending: null, offset: null }) }, AG.clip(AG.words(kind), 60), AG.el("small", {}, AG.num(n))),
        AG.el("span", { class: "stack thin" }, AG.el("span", { class: "part warn", "--share": n / most })))))
        : AG.el("p", { class: "soft" }, "None: every action could be read and executed."));
  }

  function several(runs) {
    const head = ["run", "environment", "seed", "trajectories", "started", ""];
    return AG.el("section", {}, AG.el("h2", {}, "Runs"), AG.el("div", { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Runs" }, AG.el("table", { class: "plain" },
      AG.el("thead", {}, AG.el("tr", {}, head.map((h, i) => AG.el("th", { scope: "col", class: i === 2 || i === 3 ? "num" : null }, h || AG.sr("state"))))),
      AG.el("tbody", {}, runs.map(run => AG.el("tr", { class: run.n === AG.run() ? "here" : null },
        AG.el("th", { scope: "row" }, AG.el("a", { href: AG.link("overview", { r: run.n }) }, AG.clip(AG.one(run.name), 80))),
        AG.el("td", {}, AG.clip(AG.one(run.env), 60)), AG.el("td", { class: "num" }, AG.num(run.seed)), AG.el("td", { class: "num" }, AG.num(run.total)),
        AG.el("td", {}, when((run.meta || {}).created)), AG.el("td", {}, run.live ? AG.el("span", { class: "live" }, "live") : "")))))));
  }

  function figures(run, curves) {
    const success = curves.series.find(s => /success$/.test(s.name) && s.name.startsWith("eval") && s.runs.includes(run.n)) ||
      curves.series.find(s => /success$/.test(s.name) && s.runs.includes(run.n));
    const last = success && success.points.length ? success.points[success.points.length - 1] : null;
    const interval = last && AG.known(last.low) ? [last.low, last.high].map(v => AG.percent(AG.within("success", v))).join(" to ") : "";
    const over = last && last.n > 1 ? ` over ${AG.count(last.n, "seed")}` : "";
    return AG.el("dl", { class: "tiles" },
      last ? tile("success, last", AG.percent(last.mean), interval + over) : null,
      tile("trajectories", AG.num(run.total), run.indexing ? `${AG.num(run.indexed)} read so far` : Object.keys(run.phases || {}).length ? `in ${AG.count(Object.keys(run.phases).length, "phase")}` : ""),
      tile("environment", AG.clip(AG.one(run.env || "–"), 40), (run.abilities || []).length ? AG.clip(run.abilities.map(AG.one).join(", "), 90) : ""),
      tile("seed", AG.num(run.seed)),
      tile("started", when((run.meta || {}).created).slice(0, 10), `${when((run.meta || {}).created).slice(11)} · agentgym ${AG.one((run.meta || {}).agentgym || "?")}`));
  }

  AG.views.overview = {
    title: "Overview",
    async draw(main, known, signal) {
      const run = known.runs[AG.run()];
      const stops = [];
      const curvesPlace = AG.el("div", {}, AG.waiting()), figuresPlace = AG.el("div"), counts = AG.el("div", { class: "grid two" }, AG.waiting());
      main.append(
        AG.el("div", { class: "title" }, AG.el("h1", {}, AG.clip(AG.one(run.name), 200)), AG.el("p", { class: "soft" }, AG.clip(AG.one(run.path), 300))),
        figuresPlace, AG.el("div", {}, (run.warnings || []).slice(0, 10).map(w => AG.el("p", { class: "note" }, AG.clip(w, 500)))),
        AG.source.limits ? AG.el("p", { class: "note" }, AG.text(AG.source.limits)) : "",
        known.runs.length > 1 ? several(known.runs) : "",
        AG.el("section", {}, AG.el("h2", {}, "Curves", known.runs.length > 1 ? AG.el("small", {}, "runs that differ only by their seed are one line; bands are 95 % intervals") : null), curvesPlace),
        AG.el("section", {}, AG.el("h2", {}, "Endings and faults"), counts),
        run.config ? AG.el("section", {}, AG.el("h2", {}, "Configuration"), AG.el("div", { class: "card" }, AG.fold("The resolved recipe", () => AG.block(run.config, 20000, "recipe")))) : "");

      async function drawCurves() {
        try {
          const curves = await AG.source.curves(signal);
          const open = curvesPlace.querySelector("details[open]") !== null;
          stops.splice(0).forEach(stop => stop());
          figuresPlace.replaceChildren(figures(known.runs[AG.run()], curves));
          const made = AG.curves(curves.series, stops);
          curvesPlace.replaceChildren(made);
          if (open) { const folded = made.querySelector(":scope > details"); if (folded) folded.open = true; }
        } catch (error) {
          if (error.name !== "AbortError") curvesPlace.replaceChildren(AG.problem(error, drawCurves));
        }
      }
      async function drawCounts() {
        try {
          const now = known.runs[AG.run()];
          const found = await Promise.all(choosePhases(now).map(async ([phase]) => [phase, await AG.source.rows(now.n, { phase, limit: 1 }, signal)]));
          counts.replaceChildren(...(found.length ? [endings(found, now.n), faults(found, now.n)] : [AG.empty("No trajectories yet", "They appear here as soon as the first one ends.")]));
        } catch (error) {
          if (error.name !== "AbortError") counts.replaceChildren(AG.problem(error, drawCounts));
        }
      }
      await Promise.all([drawCurves(), drawCounts()]);
      return {
        keys: [[["Enter"], () => AG.go("table", { offset: null }), "Enter", "the table of trajectories"]],
        live: () => Promise.all([drawCurves(), drawCounts()]),
        stop: () => stops.forEach(stop => stop()),
      };
    },
  };
})();
