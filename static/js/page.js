// Small behaviours of every page. Each works on a data attribute, and pages are usable without any of them.
"use strict";
(function () {
  const root = document.documentElement;

  function remember(key, value) {
    try {
      if (value) localStorage.setItem(key, value);
      else localStorage.removeItem(key);
    } catch (error) {
      // Not remembered where storage is off.
    }
  }

  const themes = ["system", "light", "dark"];
  const switcher = document.querySelector("[data-theme-switch]");
  function showTheme() {
    const name = document.querySelector("[data-theme-name]");
    if (name) name.textContent = root.dataset.theme || "system";
  }
  if (switcher) {
    showTheme();
    switcher.addEventListener("click", function () {
      const next = themes[(themes.indexOf(root.dataset.theme || "system") + 1) % themes.length];
      if (next === "system") delete root.dataset.theme;
      else root.dataset.theme = next;
      remember("theme", next === "system" ? null : next);
      showTheme();
      document.dispatchEvent(new Event("themechange"));
    });
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    document.dispatchEvent(new Event("themechange"));
  });

  // The rail scrolls sideways on a narrow screen: the page one is on stays in sight.
  const here = document.querySelector(".rail a[aria-current]");
  if (here) here.closest(".rail-pages").scrollLeft = here.offsetLeft - 16;

  // The top bar sends itself when a choice changes, without empty parameters.
  const bar = document.querySelector("[data-state-bar]");
  function send() {
    const chosen = new URLSearchParams();
    const data = new FormData(bar);
    const range = data.get("from") && data.get("to");
    for (const [name, value] of data) {
      if (!value) continue;
      if (range ? name === "period" : name === "from" || name === "to") continue;
      chosen.append(name, value);
    }
    window.location.search = chosen.toString();
  }
  if (bar) {
    // Heads of tables stick below the bar, which takes two lines where it must.
    new ResizeObserver(function () {
      root.style.setProperty("--bar", bar.offsetHeight + "px");
    }).observe(bar);
    bar.addEventListener("change", function (event) {
      if (event.target.name === "period" && bar.elements.from) {
        bar.elements.from.value = "";
        bar.elements.to.value = "";
      }
      if (event.target.type === "date" && !(bar.elements.from.value && bar.elements.to.value)) return;
      send();
    });
    bar.addEventListener("submit", function (event) {
      event.preventDefault();
      send();
    });
    const toggle = bar.querySelector("[data-bar-toggle]");
    toggle.addEventListener("click", function () {
      const open = bar.classList.toggle("open");
      toggle.setAttribute("aria-expanded", String(open));
    });
  }

  // "/" leads to the box that finds; Escape empties and leaves it.
  const finder = document.querySelector("[data-find]");
  function isTyping(element) {
    return element.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(element.tagName);
  }
  document.addEventListener("keydown", function (event) {
    const asked = event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (finder && asked && !isTyping(event.target)) {
      event.preventDefault();
      finder.focus();
    }
    if (event.key === "Escape" && finder && finder.form.contains(event.target)) {
      finder.value = "";
      document.getElementById("found").replaceChildren();
      finder.blur();
    }
  });

  // Explain opens beside the page; Escape or its close button puts it away and gives the focus back.
  const panel = document.getElementById("explain");
  let opener = null;
  function closePanel() {
    panel.replaceChildren();
    panel.classList.remove("open");
    if (opener) opener.focus();
    opener = null;
  }
  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-close-explain]")) closePanel();
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && panel && panel.classList.contains("open")) closePanel();
  });
  document.addEventListener("htmx:beforeRequest", function (event) {
    if (event.detail.target === panel) opener = event.detail.elt;
  });
  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target !== panel) return;
    panel.classList.add("open");
    panel.setAttribute("tabindex", "-1");
    panel.focus();
  });
})();
