// The editor of rules: line numbers, marks beside lines with findings, and the way from a finding to its line. The page
// works without any of it.
"use strict";
(function () {
  const editor = document.querySelector("[data-editor]");
  const text = editor.querySelector("textarea");
  const gutter = editor.querySelector("[data-gutter]");
  const checks = document.getElementById("checks");
  let saved = text.value;

  function number() {
    const wanted = text.value.split("\n").length;
    while (gutter.childElementCount > wanted) gutter.lastElementChild.remove();
    while (gutter.childElementCount < wanted) {
      const line = document.createElement("span");
      line.textContent = String(gutter.childElementCount + 1);
      gutter.append(line);
    }
    gutter.scrollTop = text.scrollTop;
  }

  function mark() {
    for (const line of gutter.querySelectorAll(".error, .warning")) {
      line.className = "";
      line.title = "";
    }
    for (const finding of checks.querySelectorAll("[data-line]")) {
      const line = gutter.children[Number(finding.dataset.line) - 1];
      if (!line) continue;
      const level = finding.classList.contains("error") ? "error" : "warning";
      if (line.className !== "error") line.className = level;
      line.title = finding.textContent.trim();
    }
  }

  function show(line) {
    const lines = text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    text.focus();
    text.setSelectionRange(start, start + (lines[line - 1] || "").length);
    text.scrollTop = Math.max(0, (line - 5) * parseFloat(getComputedStyle(text).lineHeight));
  }

  text.addEventListener("input", number);
  text.addEventListener("scroll", function () {
    gutter.scrollTop = text.scrollTop;
  });
  document.addEventListener("click", function (event) {
    const button = event.target.closest("[data-goto]");
    if (button) show(Number(button.dataset.goto));
  });
  checks.addEventListener("htmx:afterSwap", mark);
  text.form.addEventListener("submit", function () {
    saved = text.value;
  });
  window.addEventListener("beforeunload", function (event) {
    if (text.value !== saved) event.preventDefault();
  });
  number();
  mark();
})();
