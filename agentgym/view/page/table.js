"use strict";
// The table of trajectories: pages of a hundred rows, whatever the run's size. New rows never move what one reads: they
// fill the page's end, or wait behind a button.

(() => {
  const PAGE = 100;
  const COLUMNS = [
    ["n", "#", "num"], ["id", "Trajectory", "id"], ["task", "Task", "id"], ["phase", "Phase", ""], ["ending", "Ending", ""], ["score", "Score", "num"], ["reward", "Reward", "num"],
    ["turns", "Turns", "num"], ["faults", "Faults", "num"], ["credit_sum", "Credit", "num"], ["credit_min", "Worst turn", "num"], ["credit_max", "Best turn", "num"],
    ["tokens", "Tokens", "num"], ["seconds", "Seconds", "num"],
  ];
  const CELLS = {
    phase: AG.phase,
    ending: row => AG.ending(row.ending),
    id: row => AG.el("a", { href: AG.toTrajectory(row.n, { turn: null }), title: AG.clip(row.id, 300), tabindex: "-1" }, AG.clip(AG.one(row.id), 120)),
    task: row => AG.el("span", { title: AG.clip(row.task, 300) }, AG.clip(AG.one(row.task), 120)),
    faults: row => row.faults ? AG.el("span", { class: "warn-text", title: AG.clip((row.fault_kinds || []).join(", "), 200) }, AG.num(row.faults)) : "0",
    credit_sum: row => AG.signed(row.credit_sum),
    credit_min: row => credit(row.credit_min, row.credit_worst_turn),
    credit_max: row => credit(row.credit_max, row.credit_best_turn),
  };
  function credit(value, turn) {
    if (!AG.known(value)) return "–";
    return [AG.el("span", { class: value < 0 ? "neg-text" : value > 0 ? "pos-text" : null }, AG.signed(value)), AG.known(turn) ? AG.el("small", {}, ` t${turn + 1}`) : ""];
  }

  AG.views.table = {
    title: "Trajectories",
    async draw(main, known, signal) {
      const r = AG.run();
      let page = { total: 0, rows: [] }, cursor = 0, asked = 0, seen = 0;
      const filters = AG.filters(() => load());
      const count = AG.el("p", { class: "count", "aria-live": "polite" }), fresh = AG.el("span"), compare = AG.el("span");
      const head = AG.el("tr"), body = AG.el("tbody");
      const place = AG.el("div", { class: "card scroll list", tabindex: "0", role: "region", "aria-label": "Trajectories, use j and k to move and Enter to open" },
        AG.el("table", { class: "rows" }, AG.el("thead", {}, head), body));
      const below = AG.el("nav", { class: "pager", "aria-label": "Pages" });
      main.append(AG.el("h1", { class: "sr" }, `Trajectories of ${AG.clip(AG.one(known.runs[r].name), 100)}`), filters.element, AG.el("div", { class: "status" }, count, fresh, compare), place, below);

      const offset = () => Math.max(0, Number(AG.at("offset")) || 0);
      const sorted = () => [AG.at("sort") || "n", AG.at("desc") === "1"];

      function drawHead() {
        const [by, down] = sorted();
        head.replaceChildren(AG.el("th", { scope: "col", class: "pick" }, AG.sr("Pick to compare")), ...COLUMNS.map(([name, words, kind]) => AG.el("th", {
          scope: "col", class: kind, "aria-sort": by === name ? (down ? "descending" : "ascending") : "none",
        }, AG.el("button", { type: "button", "aria-label": name === "n" ? "Row number" : null, onclick: () => {
          const numbers = kind === "num" && name !== "n";
          AG.swap("table", { sort: name, desc: by === name ? (down ? null : "1") : numbers ? "1" : null, offset: null });
          load();
        } }, words, AG.el("span", { class: "arrow", "aria-hidden": "true" }, by === name ? (down ? " ↓" : " ↑") : "")))));
      }
      function drawRow(row, i) {
        const box = AG.el("input", { type: "checkbox", tabindex: "-1", "aria-label": `Pick ${AG.clip(AG.one(row.id), 80)} to compare`, onchange: () => { cursor = i; AG.mark(row.n); drawMarks(); } });
        box.checked = AG.marked.includes(row.n);
        return AG.el("tr", { "data-n": row.n, onclick: event => {
          if (event.target.closest("a, input, td.pick")) return;
          AG.go("trajectory", { n: row.n, turn: null });
        } }, AG.el("td", { class: "pick" }, box), COLUMNS.map(([name, , kind]) => AG.el("td", { class: kind }, CELLS[name] ? CELLS[name](row) : AG.num(row[name]))));
      }
      function drawMarks() {
        [...body.children].forEach((tr, i) => { const box = tr.querySelector("input"); if (box && page.rows[i]) box.checked = AG.marked.includes(page.rows[i].n); });
        compare.replaceChildren(AG.marked.length === 2 ? AG.el("button", { type: "button", class: "main", onclick: AG.compare }, `Compare #${AG.marked[0]} with #${AG.marked[1]}`)
          : AG.marked.length === 1 ? AG.el("span", { class: "soft" }, `#${AG.marked[0]} picked: pick another one to compare`) : "");
      }
      function point(to, focus) {
        cursor = Math.max(0, Math.min(to, page.rows.length - 1));
        [...body.children].forEach((tr, i) => {
          if (i === cursor) tr.setAttribute("aria-selected", "true");
          else tr.removeAttribute("aria-selected");
        });
        const tr = body.children[cursor];
        if (!tr || !focus) return;
        tr.scrollIntoView({ block: "nearest" });
        tr.querySelector("a")?.focus({ preventScroll: true });
      }
      function drawPager() {
        const from = offset(), to = from + page.rows.length;
        const whole = known.runs[r];
        count.textContent = page.total ? `${AG.num(from + 1)}–${AG.num(to)} of ${AG.num(page.total)}` + (page.total < whole.indexed ? `, filtered from ${AG.num(whole.indexed)}` : "") +
          (whole.indexing ? ` (reading the log: ${AG.num(whole.indexed)} of ${AG.num(whole.total)})` : "") : "";
        const button = (words, where, key) => AG.el("button", { type: "button", disabled: where === null, title: `key ${key}`, onclick: () => turn(where) }, words);
        below.replaceChildren(...(page.total > PAGE ? [button("← Previous", from > 0 ? from - PAGE : null, "["), AG.el("span", { class: "soft" }, `page ${Math.floor(from / PAGE) + 1} of ${Math.ceil(page.total / PAGE)}`),
          button("Next →", to < page.total ? from + PAGE : null, "]")] : []));
      }
      function turn(where) {
        if (where === null || where < 0 || where >= page.total) return;
        AG.swap("table", { offset: where || null });
        load().then(() => { place.scrollTop = 0; point(0, true); });
      }
      async function load() {
        const mine = ++asked;
        drawHead();
        try {
          const found = await AG.source.rows(r, { ...AG.wanted(), offset: offset() || null, limit: PAGE }, signal);
          if (mine !== asked) return;
          page = found;
          seen = found.total;
          fresh.replaceChildren();
          filters.refresh(found.facets);
          body.replaceChildren(...found.rows.map(drawRow));
          if (!found.rows.length) {
            const some = known.runs[r].total > 0;
            body.append(AG.el("tr", { class: "none" }, AG.el("td", { colspan: COLUMNS.length + 1 }, AG.empty(some ? "Nothing matches" : "No trajectories yet",
              some ? "Take a filter away, or press / and look for another name." : "They appear here as soon as the first one ends."))));
          }
          drawPager();
          drawMarks();
          point(Math.max(0, found.rows.findIndex(row => String(row.n) === AG.at("n"))), false);
        } catch (error) {
          if (error.name !== "AbortError" && mine === asked) body.replaceChildren(AG.el("tr", { class: "none" }, AG.el("td", { colspan: COLUMNS.length + 1 }, AG.problem(error, load))));
        }
      }
      async function live() {
        const [by, down] = sorted(), mine = asked;
        const found = await AG.source.rows(r, { ...AG.wanted(), offset: offset() || null, limit: PAGE }, signal);
        if (mine !== asked || found.total === seen) return drawPager();
        if (by === "n" && !down && found.rows.slice(0, page.rows.length).every((row, i) => row.n === page.rows[i].n)) {
          if (!page.rows.length) body.replaceChildren();
          for (const row of found.rows.slice(page.rows.length)) body.append(drawRow(row, body.children.length));
          page = found;
          seen = found.total;
          filters.refresh(found.facets);
          drawPager();
        } else {
          fresh.replaceChildren(AG.el("button", { type: "button", class: "main", onclick: load }, `Show ${AG.num(found.total - seen)} new`));
        }
      }
      await load();
      const row = () => page.rows[cursor];
      const go = by => () => {
        if (by > 0 && cursor === page.rows.length - 1 && offset() + page.rows.length < page.total) return turn(offset() + PAGE);
        point(body.querySelector("[aria-selected]") && document.activeElement?.closest("tr") !== body.children[cursor] ? cursor : cursor + by, true);
      };
      return {
        keys: [
          [["j", "ArrowDown"], go(1), "j ↓", "next trajectory"], [["k", "ArrowUp"], go(-1), "k ↑", "previous trajectory"],
          [["Enter", "o"], () => { if (row()) AG.go("trajectory", { n: row().n, turn: null }); }, "Enter", "open the trajectory"],
          [["g"], () => { if (row()) location.hash = AG.toGroup(row()); }, "g", "open its group"],
          [["x"], () => { if (row()) { AG.mark(row().n); drawMarks(); } }, "x", "pick it to compare"], [["c"], AG.compare, "c", "compare the two picked"],
          [["/"], filters.focus, "/", "find"], [["]"], () => turn(offset() + PAGE), "]", "next page"], [["["], () => turn(offset() - PAGE), "[", "previous page"],
        ],
        live, stop: filters.stop,
      };
    },
  };
})();
