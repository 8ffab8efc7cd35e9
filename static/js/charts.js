// Draws the page's charts after its figures: plotly.js is fetched once the page has loaded.
"use strict";
(function () {
  const nonce = document.currentScript.nonce;
  const source = document.currentScript.dataset.plotly;

  // Plotly sets some styles by attribute and inserts one style element, which a strict style-src refuses. The same
  // styles through the CSSOM are allowed, and a style element may carry the page's nonce.
  function suitContentPolicy() {
    const setAttribute = Element.prototype.setAttribute;
    Element.prototype.setAttribute = function (name, value) {
      if (name === "style" && this.style) this.style.cssText = value;
      else setAttribute.call(this, name, value);
    };
    const createElement = document.createElement;
    document.createElement = function (name, options) {
      const element = createElement.call(document, name, options);
      if (element.localName === "style") element.nonce = nonce;
      return element;
    };
  }

  // Colours of the current theme. Custom properties with light-dark() resolve only when used, hence the probe.
  function themeColours() {
    const probe = document.createElement("span");
    document.body.append(probe);
    const read = function (name) {
      probe.style.color = "var(" + name + ")";
      return getComputedStyle(probe).color;
    };
    const colours = { ink: read("--ink"), muted: read("--muted"), grid: read("--grid"), paper: read("--paper"), surface: read("--surface") };
    probe.remove();
    return colours;
  }

  function themed(figure, colours) {
    const layout = structuredClone(figure.layout || {});
    delete layout.template;
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: colours.ink };
    layout.hoverlabel = { bgcolor: colours.surface, bordercolor: colours.grid, font: { color: colours.ink, size: 12 }, namelength: -1 };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const lines = name.startsWith("y") ? { gridcolor: colours.grid } : { showgrid: false };
      layout[name] = { ...lines, zerolinecolor: colours.muted, linecolor: colours.muted, tickfont: { color: colours.muted }, ...layout[name] };
    }
    const stacked = layout.barmode === "relative";
    const data = figure.data.map(function (trace) {
      // Neighbours in a stack are parted by a line of paper: their colours may be of one family.
      if (stacked && trace.type === "bar") trace = { ...trace, marker: { ...trace.marker, line: { color: colours.paper, width: 0.75 } } };
      const pattern = trace.marker && trace.marker.pattern;
      if (!pattern || !pattern.shape) return trace;
      return { ...trace, marker: { ...trace.marker, pattern: { ...pattern, fgcolor: colours.paper } } };
    });
    return { data: data, layout: layout };
  }

  function narrowed(layout, width) {
    if (width >= 560) return layout;
    layout.font.size = 11;
    return layout;
  }

  const quiet = { displayModeBar: false, responsive: false, showTips: false, doubleClick: false };
  let colours = null;

  function draw(holder) {
    const figure = JSON.parse(document.getElementById(holder.dataset.chart).textContent);
    const prepared = themed(figure, colours);
    narrowed(prepared.layout, holder.clientWidth);
    prepared.layout.height = holder.clientHeight;
    prepared.layout.width = holder.clientWidth;
    const skeleton = holder.querySelector(".skeleton");
    if (skeleton) skeleton.remove();
    window.Plotly.react(holder, prepared.data, prepared.layout, quiet);
  }

  function drawAll() {
    colours = themeColours();
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  function start() {
    if (!document.querySelector("[data-chart]")) return;
    suitContentPolicy();
    const script = document.createElement("script");
    script.src = source;
    script.addEventListener("load", drawAll);
    script.addEventListener("error", function () {
      document.querySelectorAll("[data-chart] .skeleton").forEach(function (skeleton) {
        skeleton.textContent = "The chart could not be drawn. Its numbers are in the table.";
      });
    });
    document.head.append(script);
    const redraw = function () {
      if (window.Plotly) drawAll();
    };
    document.addEventListener("themechange", redraw);
    window.addEventListener("resize", redraw);
    window.matchMedia("print").addEventListener("change", redraw); // paper is light, and of another width
  }
  if (document.readyState === "complete") start();
  else window.addEventListener("load", start);
})();
