"use strict";
// Elements and words. Everything from a model or an environment goes through `text` or textContent: nothing of it is
// ever markup, and what could hide or reorder it (control characters, bidi marks, ANSI) is shown as a visible sign.

const AG = { views: {} };

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function put(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") node.addEventListener(name.slice(2), value);
      else if (name.startsWith("--")) node.style.setProperty(name, value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(3)) if (child !== null && child !== undefined && child !== false) node.append(child);
    return node;
  }

  // `--k` attributes become CSS variables: the page's policy allows no style attribute.
  AG.el = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);
  AG.svg = (tag, attributes, ...children) => put(document.createElementNS(SVG, tag), attributes, children);
  AG.sr = words => AG.el("span", { class: "sr" }, words);

  // eslint-disable-next-line no-control-regex
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

  function sign(character) {
    const code = character.charCodeAt(0);
    if (code < 32) return String.fromCharCode(0x2400 + code);
    if (code === 127) return "\u2421";
    return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  }

  AG.text = value => String(value ?? "").replace(UNSEEN, sign);
  AG.clip = (value, length) => {
    const all = AG.text(value);
    return all.length > length ? all.slice(0, length - 1) + "\u2026" : all;
  };
  AG.words = value => AG.text(value).replaceAll("_", " ");
  AG.one = value => AG.text(value).replace(/\s+/g, " ").trim();

  AG.known = v => typeof v === "number" && Number.isFinite(v);
  AG.num = v => {
    if (typeof v === "boolean") return v ? "yes" : "no";
    if (!AG.known(v)) return v === null || v === undefined ? "–" : AG.text(v);
    const a = Math.abs(v);
    if (Number.isInteger(v)) return v.toLocaleString("en-US").replace("-", "−");
    if (a < 1e-3 || a >= 1e6) return v.toExponential(1).replace("-", "−");
    return v.toFixed(a < 1 ? 3 : a < 100 ? 2 : 0).replace("-", "−");
  };
  AG.short = v => AG.known(v) ? (Math.abs(v) < 10 ? v.toFixed(2) : v.toFixed(0)).replace(/^-(?=0\.00$)/, "").replace("-", "−") : "–";
  AG.signed = v => AG.known(v) ? (v > 0 ? "+" : "") + AG.num(v) : "–";
  AG.percent = v => AG.known(v) ? `${(100 * v).toFixed(1)} %` : "–";
  AG.count = (n, one, many) => `${AG.num(n)} ${n === 1 ? one : many || one + "s"}`;
  AG.plural = AG.count;

  // A long text is cut, with a button for the rest: a page with ten thousand lines helps nobody.
  AG.block = (value, limit = 4000, name = "text") => {
    const all = AG.text(value);
    const pre = AG.el("pre", { class: "words" }, all === "" ? AG.el("span", { class: "faint" }, "(nothing)") : all.slice(0, limit));
    if (all.length <= limit) return pre;
    const more = AG.el("button", {
      class: "quiet", type: "button",
      onclick: () => { pre.textContent = all; more.remove(); },
    }, `Show all ${AG.num(all.length)} characters of the ${name}`);
    return AG.el("div", {}, pre, more);
  };

  AG.fold = (title, make) => {
    const body = AG.el("div", { class: "folded" });
    return AG.el("details", { ontoggle: event => {
      if (event.target.open && !body.childNodes.length) body.append(make());
    } }, AG.el("summary", {}, title), body);
  };

  AG.announce = words => { document.getElementById("announce").textContent = words; };

  const GLYPHS = { success: "✓", failure: "✗", infra_error: "!" };
  AG.glyph = ending => GLYPHS[ending] || "◦";
  AG.tone = ending => ending === "success" ? "good" : ending === "failure" ? "bad" : ending === "infra_error" ? "warn" : "cut";
  AG.ending = ending => AG.el("span", { class: `ending ${AG.tone(ending)}` },
    AG.el("span", { "aria-hidden": "true" }, AG.glyph(ending) + " "), AG.words(ending));

  AG.phase = row => AG.words(row.phase) + (row.iteration === null || row.iteration === undefined ? "" : ` ${row.iteration + 1}`);

  // Keeps what is shown while something is on its way, and says what went wrong in the place where it was expected.
  AG.problem = (error, retry) => AG.el("div", { class: "problem", role: "alert" },
    AG.el("p", {}, AG.clip(error.message || error, 600)),
    retry ? AG.el("button", { type: "button", onclick: retry }, "Try again") : null);
  AG.waiting = words => AG.el("p", { class: "empty waiting" }, words || "Loading…");
  AG.empty = (title, words) => AG.el("div", { class: "empty" }, AG.el("strong", {}, title), words ? AG.el("p", {}, words) : null);
})();
