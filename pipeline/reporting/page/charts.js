// Draws each picture into its figure, at the width that the figure has. The figures stand in a table beneath it in any case.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const DASHES = ["", "7 4", "2 3", "9 3 2 3", "4 2", "1 2"];
  const count = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
  const colour = (chart, name) => `var(--c${(Math.max(0, chart.series.indexOf(name)) % 6) + 1})`;
  const shown = (axis, value) => (axis.share ? `${(100 * value).toFixed(1)} %` : count.format(value));
  const records = (chart) => chart.points.map(([x, y, series]) => ({ x, y, series }));
  const longest = (names) => Math.max(0, ...names.map((name) => String(name).length));
  const ticks = (axis, width) => ({ ticks: width < 420 ? 4 : 6, tickFormat: axis.share ? (v) => `${Math.round(100 * v)} %` : (v) => count.format(v) });
  const look = (chart, width) => ({
    width, style: { fontSize: "12.5px", background: "none", fontFamily: "inherit" },
    ariaLabel: `${chart.title}. ${chart.note}`, ariaDescription: "The figures are in the table beneath.",
  });
  // names stand above their bars: at 400 px a margin wide enough for them would leave no room for the bars
  const bars = (chart, width) => {
    const rows = records(chart);
    const names = [...new Set(rows.map((row) => row.y))];
    const total = new Map(names.map((name) => [name, rows.filter((row) => row.y === name).reduce((sum, row) => sum + row.x, 0)]));
    const margin = Math.min(7.2 * longest(names) + 12, width * 0.46);
    const tip = (row) => `${row.y}${row.series ? `, ${row.series}` : ""}: ${count.format(row.x)} ${chart.x.label}`;
    return Plot.plot({
      ...look(chart, width), height: 34 * names.length + 20, marginLeft: margin, marginRight: 52, marginTop: 4, marginBottom: 12,
      x: { axis: null, domain: [0, Math.max(1, ...total.values())] }, y: { domain: names, label: null, padding: 0.28, tickSize: 0 },
      marks: [
        Plot.barX(rows, { x: "x", y: "y", fill: (row) => row.series, order: chart.series.length ? chart.series : null, inset: 0.5, title: tip, tip: { format: { x: false, y: false, fill: false } } }),
        Plot.text(names, { x: (name) => total.get(name), y: (name) => name, text: (name) => count.format(total.get(name)), textAnchor: "start", dx: 6, fill: "currentColor" }),
        Plot.ruleX([0]),
      ],
      color: { domain: chart.series.length ? chart.series : [""], range: chart.series.length ? chart.series.map((name) => colour(chart, name)) : ["var(--c1)"] },
    });
  };
  const columns = (chart, width) => {
    const rows = records(chart).map((row, at) => ({ ...row, from: chart.edges[at], to: chart.edges[at + 1] }));
    const over = chart.edges.length > 1;
    const tip = (row) => `${row.x} ${chart.x.label}: ${count.format(row.y)} ${chart.y.label}`;
    const common = { y: "y", fill: "var(--c1)", title: tip, tip: { format: { x: false, x1: false, x2: false, y: false, fill: false } } };
    return Plot.plot({
      ...look(chart, width), height: 240, marginLeft: 52, marginBottom: 42, marginTop: 24,
      x: over ? { label: chart.x.label, labelAnchor: "center", ...ticks(chart.x, width) } : { label: chart.x.label, labelAnchor: "center", domain: rows.map((row) => row.x), padding: 0.2, type: "band" },
      y: { label: `↑ ${chart.y.label}`, grid: true, ticks: 5, tickFormat: (v) => count.format(v), domain: [0, Math.max(1, ...rows.map((row) => row.y))], nice: true },
      marks: [
        over ? Plot.rectY(rows, { ...common, x1: "from", x2: "to", insetLeft: 0.5, insetRight: 0.5 }) : Plot.barY(rows, { ...common, x: "x" }),
        ...(over ? [] : [Plot.text(rows, { x: "x", y: "y", text: (row) => count.format(row.y), dy: -8, fill: "currentColor" })]),
        Plot.ruleY([0]),
      ],
    });
  };
  const dots = (chart, width) => {
    const rows = records(chart);
    const names = [...new Set(rows.map((row) => row.y))];
    const lowest = Math.min(0.5, ...rows.map((row) => row.x));
    const spans = names.map((name) => { const own = rows.filter((row) => row.y === name).map((row) => row.x); return { y: name, low: Math.min(...own), high: Math.max(...own) }; });
    return Plot.plot({
      ...look(chart, width), height: 36 * names.length + 56, marginLeft: Math.min(7.6 * longest(names) + 12, width * 0.44), marginRight: 16, marginTop: 8, marginBottom: 42,
      x: { label: chart.x.label, labelAnchor: "center", domain: [Math.floor(lowest * 10) / 10, 1], grid: true, ticks: width < 420 ? 4 : 6 },
      y: { domain: names, label: null, tickSize: 0, type: "point" },
      marks: [
        ...(chart.reference === "chance" ? [Plot.ruleX([0.5], { stroke: "currentColor", strokeDasharray: "3 3" })] : []),
        Plot.link(spans, { x1: "low", x2: "high", y: "y", stroke: "var(--line)", strokeWidth: 3 }),
        ...chart.series.map((name, at) => Plot.dot(rows.filter((row) => row.series === name), { x: "x", y: "y", r: 6.5, fill: colour(chart, name), symbol: ["circle", "diamond2", "square2"][at % 3], title: (row) => `${row.y}, ${row.series}: ${row.x.toFixed(3)}`, tip: { format: { x: false, y: false, fill: false, symbol: false } } })),
      ],
    });
  };
  const lines = (chart, width) => {
    const rows = records(chart);
    const scale = (axis, values) => ({ domain: axis.top === null ? undefined : [Math.min(0, ...values), Math.max(axis.top, ...values)], nice: axis.top === null });
    const tip = (row) => `${row.series}\n${chart.x.label}: ${shown(chart.x, row.x)}\n${chart.y.label}: ${shown(chart.y, row.y)}`;
    return Plot.plot({
      ...look(chart, width), height: Math.min(320, Math.max(240, width * 0.72)), marginLeft: 56, marginBottom: 42, marginTop: 26, marginRight: 18,
      x: { label: chart.x.label, labelAnchor: "center", grid: true, ...ticks(chart.x, width), ...scale(chart.x, rows.map((row) => row.x)) },
      y: { label: `↑ ${chart.y.label}`, grid: true, ...ticks(chart.y, width), ...scale(chart.y, rows.map((row) => row.y)) },
      marks: [
        ...(chart.reference === "diagonal" ? [Plot.line([[0, 0], [1, 1]], { stroke: "currentColor", strokeOpacity: 0.55, strokeDasharray: "3 3" })] : []),
        ...chart.series.map((name, at) => Plot.line(rows.filter((row) => row.series === name), { x: "x", y: "y", stroke: colour(chart, name), strokeWidth: 2.4, strokeDasharray: DASHES[at % DASHES.length] })),
        ...chart.series.map((name) => rows.filter((row) => row.series === name)).filter((own) => own.length === 1 || (own.length <= 24 && !chart.x.share)).map((own) => Plot.dot(own, { x: "x", y: "y", r: 3.5, fill: (row) => colour(chart, row.series) })),
        Plot.tip(rows, Plot.pointer({ x: "x", y: "y", title: tip })),
      ],
    });
  };
  const KINDS = { bars, columns, dots, lines };
  const legend = (chart, place) => {
    if (chart.series.length < 2 && chart.kind !== "lines") return;
    for (const [at, name] of chart.series.entries()) {
      const item = document.createElement("span");
      const swatch = document.createElement("i");
      swatch.className = chart.kind === "lines" ? "" : "block";
      swatch.style.setProperty("--c1", colour(chart, name) === "var(--c1)" ? "" : colour(chart, name));
      if (chart.kind === "lines" && at % DASHES.length) swatch.style.borderTopStyle = at % 2 ? "dashed" : "dotted";
      if (chart.kind === "dots") swatch.style.borderRadius = at ? "0" : "50%";
      if (chart.kind === "dots" && at) swatch.style.transform = "rotate(45deg) scale(.85)";
      item.append(swatch, name);
      place.append(item);
    }
  };
  const draw = (chart, place, width) => {
    const drawn = KINDS[chart.kind](chart, width);
    const svg = drawn.tagName === "svg" ? drawn : drawn.querySelector("svg");
    svg.setAttribute("role", "img");
    svg.classList.add("plot");
    for (const part of svg.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label"); // a mark's name on a plain group is none
    place.replaceChildren(drawn);
  };
  const observer = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const width = Math.round(contentRect.width);
      if (width > 60 && target.drawnAt !== width) { target.drawnAt = width; draw(target.chart, target, width); }
    }
  });
  for (const chart of data) {
    const figure = document.getElementById(`chart-${chart.id}`);
    if (!figure) continue;
    const place = figure.querySelector(".drawing");
    place.chart = chart;
    legend(chart, figure.querySelector(".legend"));
    observer.observe(place);
  }
})();
