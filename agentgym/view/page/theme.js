"use strict";
// Light, dark, or as the system has it; remembered where the browser lets a page remember.

(() => {
  const NAMES = ["auto", "light", "dark"];
  const SIGNS = { auto: "◐", light: "☀", dark: "☾" };
  let now = "auto";

  function stored() {
    try {
      return localStorage.getItem("agentgym-theme");
    } catch {
      return null; // A file may not remember.
    }
  }

  function set(name) {
    now = NAMES.includes(name) ? name : "auto";
    if (now === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = now;
    document.dispatchEvent(new Event("themed"));
  }

  set(stored());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("themed")));

  AG.themeSwitch = () => {
    const sign = AG.el("span", { "aria-hidden": "true" });
    const button = AG.el("button", { type: "button", class: "icon", id: "theme", onclick: () => {
      set(NAMES[(NAMES.indexOf(now) + 1) % NAMES.length]);
      try {
        localStorage.setItem("agentgym-theme", now);
      } catch { /* It holds for as long as the page is open. */ }
      label();
    } }, sign);
    function label() {
      sign.textContent = SIGNS[now];
      button.setAttribute("aria-label", `Colours: ${now === "auto" ? "as the system" : now}`);
      button.title = button.getAttribute("aria-label");
    }
    label();
    return button;
  };

  // For what is drawn on a canvas, which knows no CSS: the colour as the browser works it out.
  AG.colour = name => {
    const probe = AG.el("i", { hidden: true });
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
})();
