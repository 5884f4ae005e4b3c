"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const FIRST_ROWS = 300;
  const MANY = 1500; // rows from which a plot is drawn on a canvas, which is faster
  const ERRORS = 1; // the level of Vega that logs errors alone
  const form = document.getElementById("switches");
  const workload = document.getElementById("workload");
  const theme = document.getElementById("theme");

  /** Rows of a plot from its columns. */
  const unpacked = (data) => {
    const names = Object.keys(data);
    const columns = names.map((name) => (Array.isArray(data[name]) ? data[name] : data[name].at.map((at) => data[name].words[at])));
    return (columns[0] || []).map((_, row) => Object.fromEntries(names.map((name, at) => [name, columns[at][row]])));
  };
  const plots = content.plots.map((plot) => ({ ...plot, all: unpacked(plot.data), shown: [], view: null, section: document.getElementById(`plot-${plot.name}`) }));

  const element = (name, text, kind) => {
    const found = document.createElement(name);
    if (text !== undefined) found.textContent = text;
    if (kind) found.className = kind;
    return found;
  };

  const fillWorkloads = () => {
    for (const group of content.workloads) {
      const parent = content.workloads.length > 1 ? workload.appendChild(Object.assign(element("optgroup"), { label: group.family })) : workload;
      for (const name of group.workloads) parent.append(Object.assign(element("option", name), { value: name }));
    }
    workload.closest("label").hidden = workload.options.length < 2;
  };

  /** What is switched on: a set of values for each column. */
  const switchedOn = () =>
    Object.fromEntries(
      [...form.querySelectorAll("fieldset")].map((one) => [one.dataset.column, new Set([...one.querySelectorAll("input:checked")].map((box) => box.value))]),
    );
  const narrowed = (plot, on) =>
    plot.all.filter(
      (row) =>
        (!plot.one_workload || row.curve === workload.value) &&
        Object.entries(on).every(([column, values]) => !(column in row) || row[column] === "" || values.has(row[column])),
    );

  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const config = (width) => {
    const style = getComputedStyle(document.documentElement);
    const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
    const narrow = width < 520;
    const text = { labelColor: ink, titleColor: soft, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: "transparent",
      font: getComputedStyle(document.body).fontFamily,
      view: { stroke: null },
      mark: { color: ink },
      rule: { color: ink },
      text: { color: ink },
      axis: { ...text, gridColor: line, domainColor: soft, tickColor: soft, labelOverlap: true, labelFlush: true },
      axisY: { labelLimit: narrow ? 170 : width < 700 ? 220 : 300 },
      legend: { ...text, orient: "bottom", columns: Math.max(1, Math.floor((width - 130) / 140)), labelLimit: narrow ? 200 : 260, layout: { bottom: { direction: "vertical", anchor: "start" } } },
    };
  };

  const draw = async (plot) => {
    const place = plot.section.querySelector(".drawing");
    const width = Math.max(place.clientWidth, plot.least_width);
    if (plot.view) plot.view.finalize();
    const spec = structuredClone(plot.spec);
    spec.width = width;
    spec.datasets = { ...spec.datasets, [content.rows]: plot.shown.length ? plot.shown : plot.all.slice(0, 1) };
    const options = { actions: false, renderer: plot.all.length > MANY ? "canvas" : "svg", logLevel: ERRORS, config: config(width), tooltip: { theme: isDark() ? "dark" : "light" } };
    const found = await vegaEmbed(place, spec, options);
    plot.view = found.view;
    plot.section.dataset.drawn = plot.shown.length;
  };

  const number = (value) => (value === null || value === undefined ? "" : typeof value === "number" ? Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 }) : value);
  const headings = (names) => {
    const line = element("tr");
    for (const { heading, numeric } of names) line.append(Object.assign(element("th", heading, numeric ? "number" : ""), { scope: "col" }));
    const head = element("thead");
    head.append(line);
    return head;
  };
  const table = (plot, most) => {
    const rows = plot.shown.slice(0, most);
    const columns = plot.columns.map((one) => ({ ...one, numeric: Array.isArray(plot.data[one.name]) }));
    const body = element("tbody");
    for (const row of rows) {
      const line = element("tr");
      for (const { name, numeric } of columns) line.append(element("td", number(row[name]), numeric ? "number" : ""));
      body.append(line);
    }
    plot.section.querySelector("table").replaceChildren(headings(columns), body);
    plot.section.querySelector(".count").textContent = `${rows.length.toLocaleString("en")} of ${plot.shown.length.toLocaleString("en")} rows`;
    plot.section.querySelector(".more").hidden = rows.length === plot.shown.length;
  };
  const csv = (plot) => {
    const quoted = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
    const names = plot.columns.map((one) => one.name);
    const lines = [plot.columns.map((one) => quoted(one.heading)), ...plot.shown.map((row) => names.map((name) => quoted(row[name] ?? "")))];
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([lines.map((line) => line.join(",")).join("\n") + "\n"], { type: "text/csv" }));
    link.download = `${plot.name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  /** Milliseconds in the unit that suits them. */
  const time = (ms) => (ms >= 1000 ? `${+(ms / 1000).toPrecision(3)} s` : ms >= 1 ? `${+ms.toPrecision(3)} ms` : `${+(ms * 1000).toPrecision(3)} us`);
  /** Whether the interval of their ratio excludes 1, of two platforms, whose errors have nothing in common. */
  const told = (slower, faster) => Math.log(slower.predicted_ms / faster.predicted_ms) > Math.hypot(Math.log(slower.predicted_ms / slower.low_ms), Math.log(faster.high_ms / faster.predicted_ms), content.noise);
  const best = () => {
    const latency = plots.find((plot) => plot.name === "latency");
    const section = document.getElementById("best");
    section.hidden = !latency;
    if (!latency) return;
    const devices = [...new Set(latency.shown.map((row) => row.device))];
    const columns = [["batch size", 1], ["fastest", 0], ["latency", 1], ["predicted interval", 0], ["samples/s", 1], ["regime", 0], ["next", 0]];
    if (devices.length > 1) columns.unshift(["device", 0]);
    const body = element("tbody");
    for (const device of devices) {
      const groups = Map.groupBy ? Map.groupBy(latency.shown.filter((row) => row.device === device), (row) => row.batch_size) : grouped(latency.shown.filter((row) => row.device === device));
      for (const size of [...groups.keys()].sort((one, other) => one - other)) {
        const value = (row) => row.measured_ms ?? row.predicted_ms;
        const [first, second] = groups.get(size).sort((one, other) => value(one) - value(other));
        const apart = second && (first.measured_ms !== null || told(second, first));
        const next = second ? `${second.framework}, ${(value(second) / value(first)).toPrecision(3)} times as long${apart ? "" : ", tied"}` : "";
        const interval = first.low_ms === null ? "" : `${time(first.low_ms)} to ${time(first.high_ms)}`;
        const cells = [size, first.framework, time(value(first)), interval, number((1000 * size) / value(first)), first.regime, next];
        if (devices.length > 1) cells.unshift(device);
        const line = element("tr");
        cells.forEach((cell, at) => line.append(element("td", cell, columns[at][1] ? "number" : "")));
        body.append(line);
      }
    }
    section.querySelector("table").replaceChildren(headings(columns.map(([heading, numeric]) => ({ heading, numeric }))), body);
  };
  const grouped = (rows) => rows.reduce((found, row) => found.set(row.batch_size, [...(found.get(row.batch_size) || []), row]), new Map());

  const update = async () => {
    const on = switchedOn();
    for (const plot of plots) {
      plot.shown = narrowed(plot, on);
      const none = !plot.shown.length;
      plot.section.querySelector(".drawing").hidden = none;
      plot.section.querySelector(".empty").hidden = !none;
      const of = plot.section.querySelector(".of");
      if (of) of.textContent = workload.value;
      if (plot.section.querySelector("details[open] table")) table(plot, FIRST_ROWS);
      if (plot.view && !none) {
        plot.section.dataset.drawn = plot.shown.length;
        await plot.view.data(content.rows, plot.shown).runAsync();
      }
    }
    best();
  };
  const redraw = async () => {
    for (const plot of plots) if (plot.shown.length || !plot.view) await draw(plot);
    document.documentElement.dataset.ready = "yes";
  };

  for (const plot of plots) {
    const details = [...plot.section.children].find((one) => one.tagName === "DETAILS");
    details.addEventListener("toggle", () => details.open && table(plot, FIRST_ROWS));
    plot.section.querySelector(".more").addEventListener("click", () => table(plot, Infinity));
    plot.section.querySelector(".csv").addEventListener("click", () => csv(plot));
  }
  const named = () => {
    theme.textContent = isDark() ? "light" : "dark";
    theme.setAttribute("aria-pressed", String(isDark()));
  };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    named();
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (named(), redraw()));
  form.addEventListener("change", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  let width = innerWidth;
  let timer = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(redraw, 150);
  });
  fillWorkloads();
  named();
  update().then(redraw);
})();
