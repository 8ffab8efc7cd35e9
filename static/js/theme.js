// Runs before the first paint, so that a chosen theme does not flash.
"use strict";
(function () {
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch (error) {
    // Storage can be switched off; the system's theme applies.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  document.documentElement.classList.add("js");
})();
