"use strict";
// One trajectory, step by step with keys, its credit beside it.

(() => {
  const AROUND = 400;

  async function neighbour(r, n, by, signal) {
    const wanted = AG.wanted(), from = Math.max(0, Number(AG.at("offset")) || 0);
    // The row stands on the page of the list that one came from; one row more on either side is asked for.
    const start = Math.max(0, from - 1);
    const found = await AG.source.rows(r, { ...wanted, offset: start || null, limit: 102 }, signal);
    const at = found.rows.findIndex(row => row.n === n);
    if (at < 0) return by > 0 ? found.rows.find(row => row.n > n) : found.rows.findLast(row => row.n < n);
    const next = found.rows[at + by];
    if (next) AG.swap("trajectory", { offset: Math.floor((start + at + by) / 100) * 100 || null });
    return next;
  }

  function header(record, r) {
    const place = { group: record.group, phase: record.phase, iteration: record.iteration };
    return AG.el("div", { class: "title" },
      AG.el("p", { class: "crumbs" }, AG.el("a", { href: AG.link("table", { n: record.n }) }, "Trajectories"), " / ", AG.el("a", { href: AG.toGroup(place) }, `group ${AG.clip(AG.one(record.group), 60)}`), ` / attempt ${AG.num(record.attempt)}`),
      AG.el("h1", {}, AG.clip(AG.one(record.id), 200), " ", AG.ending(record.ending)),
      AG.el("p", { class: "facts" }, [["score", AG.num(record.score)], ["turns", AG.num(record.turns.length)], ["phase", AG.phase(record)], ["task", AG.clip(AG.one(record.task_id), 80)], ["seed", AG.text(record.seed)], ["split", AG.text(record.split)],
        ["seconds", AG.num(record.seconds)], record.retries ? ["retries", AG.num(record.retries)] : null].filter(Boolean).map(([k, v]) => AG.el("span", { class: "fact" }, AG.el("span", { class: "soft" }, `${k} `), AG.el("b", {}, v)))),
      record.error ? AG.el("p", { class: "note" }, AG.clip(record.error, 2000)) : null,
      record.clipped ? AG.el("p", { class: "note" }, `${AG.count(record.clipped, "very long text")} of it ${record.clipped === 1 ? "is" : "are"} clipped. `, AG.source.live ? AG.el("button", { type: "button", class: "quiet", id: "full" }, "Load the whole") : null) : null);
  }

  AG.views.trajectory = {
    title: "Trajectory",
    async draw(main, known, signal) {
      const r = AG.run(), n = Number(AG.at("n") || 0);
      const waiting = AG.waiting("Loading the trajectory…");
      main.append(waiting);
      const record = await AG.source.trajectory(r, n, AG.at("full") === "1", signal);
      waiting.remove();
      const last = record.turns.length - 1;
      let now = 0, heat = null, by = "", wantedTokens = 0;
      const panel = AG.el("aside", { class: "side", "aria-label": "Credit" }), talk = AG.el("div", { class: "talk" });
      const bits = record.turns.map((_, t) => AG.turn(record, t, t => show(t, false)));
      const colours = AG.el("select", { "aria-label": "Colour tokens by", onchange: event => colour(event.target.value) }, AG.el("option", { value: "" }, "Plain text"),
        Object.entries(AG.TOKEN_KINDS).map(([value, [words]]) => AG.el("option", { value }, `Tokens by ${words}`)));
      const legend = AG.el("div", { class: "legend-row" }), position = AG.el("span", { class: "position", "aria-live": "polite" });
      const step = (words, by, label) => AG.el("button", { type: "button", "aria-label": label, onclick: () => show(now + by, true) }, words);
      const bar = AG.el("div", { class: "stepper", role: "toolbar", "aria-label": "Steps" }, step("←", -1, "Previous turn"), position, step("→", 1, "Next turn"), colours,
        AG.el("button", { type: "button", "aria-pressed": String(AG.marked.includes(n)), id: "pick", onclick: mark }, "Pick to compare"), AG.el("a", { class: "button", href: AG.toGroup({ group: record.group, phase: record.phase, iteration: record.iteration }) }, "Group"), legend);
      talk.append(record.task_prompt ? AG.el("article", { class: "turn" }, AG.el("div", { class: "said task" }, AG.el("p", { class: "who" }, "Task"), AG.block(record.task_prompt, 6000, "task"))) : "",
        ...(bits.length > AROUND ? bits.slice(0, AROUND) : bits).map(b => b.element),
        bits.length > AROUND ? AG.el("p", { class: "note" }, `The first ${AROUND} of ${AG.num(bits.length)} turns are drawn; stepping on draws more.`) : "",
        record.turns.length ? "" : AG.empty("No turns", record.error ? "The world broke before the first one." : "The attempt ended before the first one."),
        record.final ? AG.el("article", { class: "turn" }, AG.observation(record.final, `Environment, at the end: ${AG.words(record.ending)}`)) : "");
      main.append(header(record, r), bar, AG.el("div", { class: "split" }, talk, panel));
      document.getElementById("full")?.addEventListener("click", () => AG.go("trajectory", { n, full: 1 }));

      function show(t, move) {
        if (last < 0) { position.textContent = "no turns"; return; }
        now = Math.max(0, Math.min(last, t));
        if (!bits[now].element.isConnected) talk.append(bits[now].element);
        talk.querySelector(".turn.now")?.classList.remove("now");
        bits[now].element.classList.add("now");
        position.textContent = `turn ${now + 1} of ${last + 1}`;
        AG.swap("trajectory", { n, turn: now });
        heat?.show(now);
        if (move) bits[now].element.scrollIntoView({ block: "nearest", behavior: "auto" });
      }
      function mark() {
        AG.mark(n);
        document.getElementById("pick").setAttribute("aria-pressed", String(AG.marked.includes(n)));
        if (AG.marked.length === 2) AG.compare();
      }
      async function colour(kind) {
        const mine = ++wantedTokens;
        by = kind;
        colours.value = kind;
        legend.replaceChildren();
        if (!kind) return bits.forEach(b => b.body.replaceChildren(b.plain()));
        legend.replaceChildren(AG.waiting(kind === "logprob" ? "Reading tokens…" : "The run's model reads the tokens…"));
        try {
          const data = await AG.source.tokens(r, n, kind, signal);
          if (mine !== wantedTokens) return;
          legend.replaceChildren(AG.tokenLegend(kind, data));
          bits.forEach((b, t) => b.body.replaceChildren(...(data.turns[t] && data.turns[t].tokens && data.turns[t].tokens.length ? [] : [b.plain()]), AG.tokenBlock(data.turns[t], kind, data)));
        } catch (error) {
          if (error.name === "AbortError" || mine !== wantedTokens) return;
          colours.value = "";
          bits.forEach(b => b.body.replaceChildren(b.plain()));
          legend.replaceChildren(AG.problem(error, AG.source.live ? () => colour(kind) : null));
        }
      }
      async function drawCredit() {
        const put = credit => {
          heat = AG.heat(record, credit, t => show(t, true));
          panel.replaceChildren(heat.element);
          heat.show(now);
        };
        if (last < 0) return;
        put(null);
        panel.append(AG.waiting("Computing every module…"));
        try {
          put(await AG.source.credit(r, n, signal));
        } catch (error) {
          if (error.name === "AbortError") return;
          put(null);
          panel.append(AG.problem(error, AG.source.live ? drawCredit : null));
        }
      }
      show(Number(AG.at("turn") || 0), Boolean(AG.at("turn")));
      drawCredit();
      const other = move => async () => {
        const row = await neighbour(r, n, move, signal).catch(() => null);
        if (row) AG.go("trajectory", { n: row.n, turn: null, full: null });
        else AG.announce("The list ends here");
      };
      const kinds = ["", ...Object.keys(AG.TOKEN_KINDS)];
      return {
        keys: [
          [["ArrowRight", "n"], () => show(now + 1, true), "n →", "next turn"], [["ArrowLeft", "p"], () => show(now - 1, true), "p ←", "previous turn"],
          [["Home"], () => show(0, true), "Home", "first turn"], [["End"], () => show(last, true), "End", "last turn"],
          [["d"], () => { if (AG.decisive(record) !== null) show(AG.decisive(record), true); }, "d", "the decisive turn"],
          [["j"], other(1), "j", "next trajectory of the list"], [["k"], other(-1), "k", "previous trajectory"],
          [["t"], () => colour(kinds[(kinds.indexOf(by) + 1) % kinds.length]), "t", "colour tokens by the next value"],
          [["g"], () => { location.hash = AG.toGroup({ group: record.group, phase: record.phase, iteration: record.iteration }); }, "g", "its group"],
          [["x"], mark, "x", "pick it to compare"], [["c"], AG.compare, "c", "compare the two picked"],
          [["Escape"], () => AG.go("table", { n }), "Esc", "back to the table"],
        ],
      };
    },
  };
})();
