"use strict";
// Two attempts side by side: where they went the same way, the first turn where they parted, and how each went on.

(() => {
  const state = o => o ? o.state ?? o.text : null;
  const did = turn => turn.action ?? `(unreadable) ${turn.completion.text}`;

  // What the two are compared by: the states where an action was chosen, and the one at the end.
  function pairs(a, b) {
    const keys = record => record.turns.map(t => state(t.observation));
    return AG.align(keys(a), keys(b)).map(([i, j]) => {
      const [x, y] = [i === null ? null : a.turns[i], j === null ? null : b.turns[j]];
      return { i, j, kind: x && y ? (did(x) === did(y) ? "same" : "parted") : "alone" };
    });
  }

  function side(record, t, words) {
    if (t === null) return AG.el("div", { class: "half gap" }, AG.sr(`${words}: no turn here`));
    const turn = record.turns[t], credit = record.advantages ? record.advantages[t] : null;
    return AG.el("div", { class: "half" }, AG.el("p", { class: "who" }, AG.el("a", { href: AG.toTrajectory(record.n, { turn: t }) }, `${words}, turn ${t + 1}`)),
      AG.el("pre", { class: "words clamp" }, AG.clip(turn.observation.text, 1200)),
      AG.el("p", { class: "acted" }, AG.el("span", { class: "arrow", "aria-hidden": "true" }, "→ "), AG.el("code", {}, AG.clip(did(turn), 1200))),
      AG.el("p", { class: "facts" }, [["reward", turn.reward], ["return", record.returns ? record.returns[t] : null], ["advantage", credit]].filter(([, v]) => AG.known(v)).map(([k, v]) =>
        AG.el("span", { class: "fact" }, AG.el("span", { class: "soft" }, `${k} `), AG.el("b", { class: v < 0 ? "neg-text" : v > 0 ? "pos-text" : null }, AG.signed(v))))));
  }

  function row(a, b, pair, first) {
    return AG.el("div", { class: `pair ${pair.kind}${first ? " first" : ""}`, id: first ? "parting" : null }, first ? AG.el("p", { class: "parting" }, pair.kind === "parted" ? "Same state, different action: here they part" : "Here they part") : null, side(a, pair.i, "A"), side(b, pair.j, "B"));
  }

  function verdict(a, b, all, at) {
    if (at < 0) return "Both attempts took the same actions in the same states.";
    const pair = all[at], same = all.slice(0, at).length;
    const head = same ? `The same for ${AG.count(same, "turn")}. ` : "They part at once. ", then = same ? "Then, from" : "From";
    if (pair.kind === "parted") return [head, `${then} the same state, A did `, AG.el("code", {}, AG.clip(AG.one(did(a.turns[pair.i])), 120)), " and B did ", AG.el("code", {}, AG.clip(AG.one(did(b.turns[pair.j])), 120)), "."];
    return [head, `${same ? "Then only" : "Only"} ${pair.i === null ? "B" : "A"} went on from there in this way.`];
  }

  const card = (record, words) => AG.el("div", { class: "half card" }, AG.el("p", { class: "who" }, `Attempt ${words}`), AG.el("h2", {}, AG.el("a", { href: AG.toTrajectory(record.n, { turn: null }) }, AG.clip(AG.one(record.id), 120))),
    AG.el("p", { class: "facts" }, AG.ending(record.ending), AG.el("span", { class: "fact" }, AG.el("span", { class: "soft" }, "score "), AG.el("b", {}, AG.num(record.score))), AG.el("span", { class: "fact" }, AG.el("span", { class: "soft" }, "turns "), AG.el("b", {}, AG.num(record.turns.length))), AG.el("span", { class: "fact soft" }, AG.phase(record))));

  AG.views.diff = {
    title: "Compare",
    async draw(main, known, signal) {
      const r = AG.run(), [n, m] = ["a", "b"].map(name => Number(AG.at(name)));
      const waiting = AG.waiting("Laying the two beside each other…");
      main.append(waiting);
      const [a, b] = await Promise.all([n, m].map(i => AG.source.trajectory(r, i, false, signal)));
      waiting.remove();
      const all = pairs(a, b), at = all.findIndex(p => p.kind !== "same");
      main.append(AG.el("div", { class: "title" }, AG.el("p", { class: "crumbs" }, AG.el("a", { href: AG.link("table") }, "Trajectories"), a.group === b.group ? [" / ", AG.el("a", { href: AG.toGroup(a) }, `group ${AG.clip(AG.one(a.group), 60)}`)] : ""),
        AG.el("h1", {}, "Two attempts"), AG.el("p", { class: "verdict" }, verdict(a, b, all, at)), a.task_id === b.task_id ? null : AG.el("p", { class: "note" }, "They are attempts at different tasks.")),
      AG.el("div", { class: "pair head" }, card(a, "A"), card(b, "B")));
      const before = at < 0 ? all : all.slice(0, at), after = at < 0 ? [] : all.slice(at);
      const list = AG.el("div", { class: "pairs-list" });
      if (before.length > 1) list.append(AG.fold(`${AG.count(before.length - (at < 0 ? 0 : 1), "turn")} the same`, () => AG.el("div", { class: "pairs-list" }, before.slice(0, at < 0 ? undefined : -1).map(p => row(a, b, p, false)))));
      if (at >= 0 && before.length) list.append(row(a, b, before[before.length - 1], false));
      after.slice(0, 500).forEach((p, i) => list.append(row(a, b, p, i === 0)));
      if (after.length > 500) list.append(AG.el("p", { class: "note" }, `${after.length - 500} more turns are not drawn.`));
      list.append(AG.el("div", { class: "pair end" }, [[a, "A"], [b, "B"]].map(([x, words]) => AG.el("div", { class: "half" }, AG.el("p", { class: "who" }, `${words}, at the end`), AG.el("p", {}, AG.ending(x.ending)), x.final ? AG.el("pre", { class: "words clamp" }, AG.clip(x.final.text, 1200)) : null))));
      main.append(list);
      return { keys: [[["d"], () => document.getElementById("parting")?.scrollIntoView({ block: "center" }), "d", "where they part"], [["s"], () => AG.go("diff", { a: m, b: n }), "s", "swap the sides"],
        [["g"], () => { location.hash = AG.toGroup(a); }, "g", "the group"], [["Escape"], () => AG.go("table"), "Esc", "back to the table"]] };
    },
  };
})();
