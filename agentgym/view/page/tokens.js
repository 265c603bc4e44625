"use strict";
// Tokens of a turn with a value each: how likely they were, how far the policy has moved, how unsure it was.

(() => {
  const MOST = 3000;
  AG.TOKEN_KINDS = {
    logprob: ["log-probability", "How likely the sampler found each token; dark is a surprise", v => v <= 0 ? Math.min(1, -v / 5) : 0, "certain", "surprising"],
    entropy: ["entropy", "How many ways the model saw to go on; dark is unsure", (v, high) => high > 0 ? Math.max(0, Math.min(1, v / high)) : 0, "sure", "unsure"],
    ratio: ["ratio", "The policy of now against the one that sampled; blue became likelier, orange less likely", v => v > 0 ? Math.max(-1, Math.min(1, Math.log(v) / Math.log(2))) : -1, "half as likely", "twice as likely"],
  };

  AG.tokenLegend = (by, data) => {
    const [words, hint, , low, high] = AG.TOKEN_KINDS[by];
    return AG.el("p", { class: "token-legend" }, AG.el("span", {}, low), AG.el("i", { class: by === "ratio" ? "ramp" : "ramp one", "aria-hidden": "true" }), AG.el("span", {}, high),
      AG.el("span", { class: "soft" }, `${hint}. ${words}: ${AG.num(data.low)} to ${AG.num(data.high)}` + (data.model ? `, by ${AG.clip(AG.one(data.model), 80)}` : "")));
  };

  function token(one, by, data) {
    const scale = AG.TOKEN_KINDS[by][2], k = AG.known(one.value) ? scale(one.value, data.high) : null;
    const sign = by === "ratio" ? (k < 0 ? "neg" : "pos") : "amount";
    return AG.el("span", { class: k === null ? "tok none" : `tok ${sign}${Math.abs(k) > 0.6 ? " strong" : ""}`, "--k": k === null ? null : `${(100 * Math.abs(k)).toFixed(0)}%`,
      title: `${AG.known(one.value) ? AG.num(one.value) : "no value"} · id ${AG.num(one.id)}` }, AG.text(one.text));
  }

  // What stands in the place of the completion's text; with a list of the numbers for those who do not see colours.
  AG.tokenBlock = (turn, by, data) => {
    if (!turn || !turn.tokens || !turn.tokens.length) return AG.el("p", { class: "soft small" }, `No ${AG.TOKEN_KINDS[by][0]} for this turn: ${AG.clip((turn && turn.why) || "nothing was sampled", 300)}`);
    const some = turn.tokens.slice(0, MOST);
    return AG.el("div", {}, AG.el("pre", { class: "words tokens" }, some.map(one => token(one, by, data))),
      turn.tokens.length > MOST ? AG.el("p", { class: "soft small" }, `The first ${AG.num(MOST)} of ${AG.num(turn.tokens.length)} tokens.`) : null,
      AG.fold("The values as a list", () => AG.el("ol", { class: "token-list" }, some.map(one => AG.el("li", {}, AG.el("code", {}, AG.text(one.text).replaceAll("\n", "⏎")), ` ${AG.num(one.value)}`)))));
  };
})();
