"use strict";
// One attempt as a conversation: what the environment said, what the model answered, what it got for it.

(() => {
  function fact(words, value, tone) {
    return AG.el("span", { class: "fact" }, AG.el("span", { class: "soft" }, words + " "), AG.el("b", { class: tone || null }, value));
  }
  const tone = v => v < 0 ? "neg-text" : v > 0 ? "pos-text" : null;

  AG.observation = (o, words) => AG.el("div", { class: "said env" }, AG.el("p", { class: "who" }, words, o.role && o.role !== "user" ? AG.el("small", {}, AG.clip(o.role, 20)) : null), AG.block(o.text, 4000, "observation"),
    AG.el("div", { class: "folds" }, o.actions && o.actions.length ? AG.fold(AG.count(o.actions.length, "admissible action"), () => AG.block(o.actions.join("\n"), 4000, "actions")) : null,
      o.tools && o.tools.length ? AG.fold(AG.count(o.tools.length, "tool"), () => AG.block(JSON.stringify(o.tools, null, 1), 8000, "tools")) : null,
      o.state && o.state !== o.text ? AG.fold("State key", () => AG.block(o.state, 4000, "state key")) : null));

  function rewards(turn) {
    const parts = Object.entries(turn.rewards || {});
    if (!parts.length) return null;
    const most = Math.max(...parts.map(([, v]) => Math.abs(v) || 0), 1e-9);
    return AG.el("ul", { class: "components", "aria-label": "Reward components" }, parts.map(([name, v]) => AG.el("li", {}, AG.el("span", {}, AG.clip(AG.words(name), 60)),
      AG.el("span", { class: `meter ${v < 0 ? "neg" : "pos"}`, "--share": AG.known(v) ? Math.abs(v) / most : 0, "aria-hidden": "true" }), AG.el("b", { class: tone(v) }, AG.signed(v)))));
  }

  function details(turn) {
    const c = turn.completion;
    const rows = [["sampled tokens", AG.num(c.tokens)], ["prompt tokens", AG.num(c.prompt_tokens)], ["of them from the cache", AG.num(c.cached_tokens)], ["model seconds", AG.num(c.seconds)], ["environment seconds", AG.num(turn.env_seconds)], ["weights", AG.num(c.version)], ["finished by", AG.text(c.finish)]];
    return AG.el("div", {}, AG.el("dl", { class: "pairs" }, rows.map(([k, v]) => [AG.el("dt", {}, k), AG.el("dd", {}, v)])),
      Object.keys(turn.info || {}).length ? AG.block(JSON.stringify(turn.info, null, 1), 8000, "info") : null);
  }

  // A turn: the observation it answered, and the answer. `body` is where coloured tokens replace the text.
  AG.turn = (record, t, pick) => {
    const turn = record.turns[t], c = turn.completion, decisive = AG.decisive(record) === t;
    const body = AG.el("div", { class: "body" }, AG.block(c.text, 8000, "answer"));
    const advantage = record.advantages ? record.advantages[t] : null, back = record.returns ? record.returns[t] : null;
    const info = turn.info || {};
    const element = AG.el("article", { class: `turn${decisive ? " decisive" : ""}`, id: `turn-${t}`, "aria-label": `Turn ${t + 1}`, onclick: event => { if (!event.target.closest("button, a, summary, details") && !String(getSelection())) pick(t); } },
      AG.observation(turn.observation, t === 0 ? "Environment, to begin" : "Environment"),
      AG.el("div", { class: "said model" },
        AG.el("p", { class: "who" }, AG.el("span", { class: "turn-number" }, `Turn ${t + 1}`), decisive ? AG.el("span", { class: "badge star" }, "◆ decisive") : null,
          info.fault ? AG.el("span", { class: "badge warn" }, `fault: ${AG.clip(AG.one(info.fault), 80)}`) : null, c.finish !== "stop" ? AG.el("span", { class: "badge warn" }, `ended by ${AG.clip(c.finish, 20)}`) : null),
        body,
        turn.action === null || turn.action === undefined ? AG.el("p", { class: "warn-text small" }, "No action could be read from this.")
          : AG.one(turn.action) !== AG.one(c.text) ? AG.el("p", { class: "acted" }, AG.el("span", { class: "soft" }, "executed "), AG.el("code", {}, AG.clip(turn.action, 2000))) : null,
        AG.el("p", { class: "facts" }, fact("reward", AG.signed(turn.reward), tone(turn.reward)), AG.known(back) ? fact("return", AG.signed(back), tone(back)) : null, AG.known(advantage) ? fact("advantage", AG.signed(advantage), tone(advantage)) : null,
          AG.known(info.progress) ? fact("progress", AG.percent(info.progress)) : null, AG.known(info.score) ? fact("points", AG.num(info.score)) : null),
        rewards(turn), AG.fold("Details", () => details(turn))));
    return { element, body, plain: () => AG.block(c.text, 8000, "answer") };
  };
})();
