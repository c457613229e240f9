"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";

  // All text goes in as text: nothing a model wrote is ever parsed as HTML.
  function el(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
    for (const child of children) node.append(child instanceof Node ? child : String(child));
    return node;
  }
  function draw(name, attributes = {}, ...children) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    for (const child of children) node.append(child instanceof Node ? child : String(child));
    return node;
  }
  const count = (n) => (n === null || n === undefined ? "–" : Number(n).toLocaleString("en-US"));
  const percent = (x) => (Number.isFinite(x) ? (100 * x).toFixed(1) + " %" : "–");
  const sum = (list) => list.reduce((a, b) => a + b, 0);
  const colour = (i) => `var(--c${i % 6})`;
  const AUTHORS = ["teacher", "student"];
  const authorClass = (author) => (AUTHORS.includes(author) ? author : "other");

  // --- overview -------------------------------------------------------------------------------

  function duration(seconds) {
    if (!Number.isFinite(seconds)) return "–";
    const h = Math.floor(seconds / 3600), m = Math.floor((seconds % 3600) / 60), s = Math.floor(seconds % 60);
    return h ? `${h} h ${m} min` : m ? `${m} min ${s} s` : `${seconds.toFixed(1)} s`;
  }

  function overviewOf(run) {
    const f = run.figures, lines = [];
    const add = (name, value) => lines.push([name, value]);
    const by = (list, key, value) => Object.fromEntries((list || []).map((x) => [x[key], x[value]]));
    const rows = f ? by(f.rows, "status", "rows") : { done: run.table.id.length };
    add("finished rows", count(rows.done || 0));
    add("failed rows", count(rows.failed || 0));
    add("still to be written", count(rows.pending || 0) + (run.going ? " (a run is going on)" : ""));
    add("failures by reason", f && f.failures.length ? f.failures.map((x) => `${x.reason} ${count(x.rows)}`).join(", ") : "none");
    const tokens = { teacher: sum(run.table.teacher), student: sum(run.table.student) };
    const kept = tokens.teacher + tokens.student;
    add("tokens of finished rows", count(kept));
    add("by the teacher", `${count(tokens.teacher)} (${percent(tokens.teacher / kept)})`);
    add("by the student", `${count(tokens.student)} (${percent(tokens.student / kept)})`);
    add("changes of author", count(sum(run.table.switches)));
    add("how they ended", Object.entries(tally(run.table.finish)).map(([k, n]) => `${k} ${count(n)}`).join(", ") || "–");
    if (f) {
      const turns = f.usage.filter((u) => u.purpose === "turn");
      const all = (name) => sum(f.usage.map((u) => u[name]));
      const keptNow = sum(turns.map((u) => u.kept));
      add("generated, all attempts", count(all("generated")));
      add("discarded", `${count(all("discarded"))} (${percent(all("discarded") / all("generated"))})`);
      add("discarded for 1,000 kept", keptNow ? (1000 * all("discarded") / keptNow).toFixed(1) : "–");
      add("requests", count(all("requests")));
      add("requests for 1,000 kept", keptNow ? (1000 * all("requests") / keptNow).toFixed(1) : "–");
      add("prompt tokens, of these cached", `${count(all("prompt"))}, ${percent(all("cached") / all("prompt"))}`);
      add("time written", duration(f.seconds.length ? Number(f.seconds[0].value) : NaN));
      add("cost", run.cost === null ? "no prices given" : run.cost.toFixed(4));
    }
    if (run.scores) for (const name of run.scores.names) {
      const known = run.scores.values[name].filter((x) => x !== null);
      add(`score ${name}, mean`, known.length ? (sum(known) / known.length).toPrecision(4) : "–");
    }
    return lines;
  }
  function tally(list) {
    const found = {};
    for (const x of list) found[x] = (found[x] || 0) + 1;
    return found;
  }

  function overview() {
    const columns = data.runs.map(overviewOf);
    const names = [...new Set(columns.flatMap((c) => c.map(([name]) => name)))];
    const head = el("tr", {}, el("th", { scope: "col" }, "run"), ...data.runs.map((r) => el("th", { scope: "col" }, r.name)));
    const body = names.map((name) =>
      el("tr", {}, el("th", { scope: "row" }, name), ...columns.map((c) => el("td", {}, (c.find(([n]) => n === name) || [0, "–"])[1]))));
    $("overview-table").append(el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
    for (const run of data.runs)
      $("settings").append(el("details", {}, el("summary", {}, `Models and settings of ${run.name}`), el("pre", {}, JSON.stringify(run.settings, null, 2))));
    const legend = $("legend");
    for (const author of AUTHORS) legend.append(el("span", {}, el("span", { class: `s ${author}` }, author)));
    legend.append(el("span", { class: "s style" }, "style"), el("span", { class: "m" }, "marks"));
  }

  // --- the list of rows -----------------------------------------------------------------------

  const HEIGHT = 52;
  const state = { rows: [], chosen: -1, span: -1 };
  const textOf = data.runs.map((run) => new Map(run.texts.map((t) => [t.id, t])));
  const run = () => data.runs[Number($("f-run").value)];
  const texts = () => textOf[Number($("f-run").value)];

  function fillFilters() {
    data.runs.forEach((r, i) => $("f-run").append(el("option", { value: i }, r.name)));
    const ways = new Set(data.runs.flatMap((r) => [...new Set(r.table.finish)]));
    for (const way of [...ways].sort()) $("f-finish").append(el("option", { value: way }, way));
    if (data.runs.every((r) => r.table.id.length === 0)) $("f-kind").value = "failures";
  }
  const said = (t) => t.prompt.map((m) => m.content).join("\n") + "\n" + (t.content ?? t.message + "\n" + t.thinking + "\n" + t.answer);

  function select() {
    const r = run(), kind = $("f-kind").value, finish = $("f-finish").value;
    const least = Number($("f-share").value || 0) / 100, wanted = $("f-text").value.toLowerCase().trim();
    const found = [];
    if (kind === "failures") {
      r.failures.forEach((failure) => {
        if (!wanted || `${failure.id} ${failure.reason} ${said(failure)}`.toLowerCase().includes(wanted)) found.push({ failure, id: failure.id });
      });
    } else {
      r.table.id.forEach((id, i) => {
        const tokens = r.table.teacher[i] + r.table.student[i], share = tokens ? r.table.teacher[i] / tokens : 0;
        if ((finish && r.table.finish[i] !== finish) || share < least) return;
        const text = texts().get(id);
        if (kind === "texts" && !text) return;
        if (wanted && !String(id).toLowerCase().includes(wanted) && !(text && said(text).toLowerCase().includes(wanted))) return;
        found.push({ id, i, tokens, share, switches: r.table.switches[i], text });
      });
      const by = $("f-sort").value;
      if (by) found.sort((a, b) => b[by] - a[by]);
    }
    state.rows = found;
    const all = kind === "failures" ? r.failures.length : r.table.id.length;
    $("count").textContent = `${count(found.length)} of ${count(all)} ${kind === "failures" ? "failures shown here" : "rows"}; ${count(r.texts.length)} rows are here with their text, tessy show has all.`;
    $("spacer").style.height = `${found.length * HEIGHT}px`;
    $("list").scrollTop = 0;
    choose(found.length ? Math.max(0, found.findIndex((x) => x.text || x.failure)) : -1, false);
  }

  function paint() {
    const list = $("list"), first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 5);
    const last = Math.min(state.rows.length, first + Math.ceil(list.clientHeight / HEIGHT) + 10);
    const nodes = [];
    for (let i = first; i < last; i++) {
      const row = state.rows[i];
      const small = row.failure
        ? row.failure.reason
        : `${count(row.tokens)} tokens, ${percent(row.share)} teacher, ${count(row.switches)} switches${row.text ? ", text" : ""}`;
      const node = el("button", { type: "button", class: "row", "data-i": i, "aria-current": String(i === state.chosen), tabindex: "-1" },
        el("b", {}, row.id), el("small", {}, small));
      node.style.top = `${i * HEIGHT}px`;
      nodes.push(node);
    }
    $("spacer").replaceChildren(...nodes);
  }

  function choose(i, scroll = true) {
    state.chosen = i;
    state.span = -1;
    if (scroll && i >= 0) {
      const list = $("list"), top = i * HEIGHT;
      if (top < list.scrollTop) list.scrollTop = top;
      if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
    }
    paint();
    trace(i < 0 ? null : state.rows[i]);
  }

  // --- one trace ------------------------------------------------------------------------------

  // For a shell: an id comes with the prompts, and what is copied from here is run.
  const quoted = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

  function trace(row) {
    const box = $("trace");
    box.replaceChildren();
    box.scrollTop = 0;
    if (!row) return void box.append(el("p", {}, "No row fits."));
    box.append(el("h3", {}, row.id));
    const shown = row.failure || row.text;
    if (!shown) {
      return void box.append(el("p", {}, "Its text is not in this page. In a terminal: "), el("pre", {}, `tessy show ${quoted(run().folder)} ${quoted(row.id)}`));
    }
    for (const message of shown.prompt) box.append(el("div", { class: "prompt" }, `${message.role}: ${message.content}`));
    if (row.failure) {
      box.append(el("p", {}, el("strong", {}, shown.reason), `: ${shown.message}`));
      for (const [name, text] of [["Thinking", shown.thinking], ["Answer", shown.answer]])
        if (text) box.append(el("h4", {}, `${name} so far`), el("div", { class: "text" }, text));
      return;
    }
    const text = el("div", { class: "text" });
    // Offsets count characters as Python does; JavaScript's strings count some of them twice.
    const characters = [...shown.content].length === shown.content.length ? null : [...shown.content];
    const cut = (a, b) => (characters ? characters.slice(a, b).join("") : shown.content.slice(a, b));
    let at = 0;
    shown.spans.forEach((span, k) => {
      const [author, phase, kind, start, end] = span;
      if (at < start) text.append(el("span", { class: "m" }, cut(at, start)));
      text.append(el("span", { class: `s ${authorClass(author)} ${kind === "style" ? "style" : ""}`, "data-k": k }, cut(start, end)));
      at = end;
    });
    if (cut(at)) text.append(el("span", { class: "m" }, cut(at)));
    box.append(text);
  }

  function describe(k) {
    const row = state.rows[state.chosen];
    if (!row || !row.text || !row.text.spans[k]) return;
    const [author, phase, kind, start, end, tokens, via] = row.text.spans[k];
    $("span").textContent =
      `Span ${k + 1} of ${row.text.spans.length}: ${author}, ${phase === "think" ? "thinking" : "answer"}, ${kind || "not labelled"}, ` +
      `${count(tokens)} tokens, characters ${count(start)} to ${count(end)}${via ? `, via ${via}` : ""}`;
  }
  function goToSpan(step) {
    const nodes = $("trace").querySelectorAll(".s");
    if (!nodes.length) return;
    if (nodes[state.span]) nodes[state.span].classList.remove("here");
    state.span = Math.min(nodes.length - 1, Math.max(0, state.span + step));
    nodes[state.span].classList.add("here");
    nodes[state.span].scrollIntoView({ block: "nearest" });
    describe(state.span);
  }

  // --- pictures -------------------------------------------------------------------------------

  const W = 420, H = 230, LEFT = 48, BOTTOM = 36, TOP = 12;
  function figure(title, note, ...content) {
    $("charts").append(el("figure", {}, el("figcaption", {}, title), ...content, el("p", {}, note)));
  }
  function frame(label, most, { low = "", high = "", unit = "" } = {}) {
    const svg = draw("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
    svg.append(draw("line", { x1: LEFT, y1: H - BOTTOM, x2: W - 8, y2: H - BOTTOM, class: "axis" }),
      draw("line", { x1: LEFT, y1: TOP, x2: LEFT, y2: H - BOTTOM, class: "axis" }));
    if (most !== null) for (const part of [0, 0.5, 1])
      svg.append(draw("text", { x: LEFT - 5, y: y(part) + 4, "text-anchor": "end" }, short(most * part) + unit));
    svg.append(draw("text", { x: LEFT, y: H - 6 }, low), draw("text", { x: W - 8, y: H - 6, "text-anchor": "end" }, high));
    return svg;
  }
  const y = (part) => H - BOTTOM - part * (H - BOTTOM - TOP);
  const short = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : n >= 1e4 ? `${(n / 1e3).toFixed(0)}k` : n >= 10 || Number.isInteger(n) ? n.toFixed(0) : n.toFixed(2));
  function key(names) {
    return el("p", { class: "legend" }, ...names.map((name, i) => {
      const box = draw("svg", { viewBox: "0 0 12 12", class: "swatch", "aria-hidden": "true" });
      box.append(draw("rect", { width: 12, height: 12, fill: colour(i) }));
      return el("span", {}, box, name);
    }));
  }
  function groups(title, note, classes, series, { unit = "", low = "", high = "" } = {}) {
    const most = Math.max(1e-9, ...series.flatMap((s) => s.values));
    const svg = frame(`${title}: ${series.map((s) => `${s.name} ${s.values.map((v) => short(v)).join(" ")}`).join("; ")}`, most, { unit, low, high });
    const step = (W - LEFT - 12) / classes.length, wide = (step * 0.86) / series.length;
    series.forEach((s, i) => s.values.forEach((value, k) => {
      const bar = draw("rect", { x: LEFT + 4 + k * step + i * wide, y: y(value / most), width: Math.max(0.5, wide - 0.5), height: (value / most) * (H - BOTTOM - TOP), fill: colour(i) });
      bar.append(draw("title", {}, `${s.name}, ${classes[k]}: ${short(value)}${unit}`));
      svg.append(bar);
    }));
    classes.forEach((name, k) => {
      if (classes.length <= 14 && (classes.length < 9 || k % 2 === 0))
        svg.append(draw("text", { x: LEFT + 4 + (k + 0.43) * step, y: H - BOTTOM + 15, "text-anchor": "middle" }, String(name).slice(0, 14)));
    });
    figure(title, note, key(series.map((s) => s.name)), svg);
  }

  function pictures() {
    const runs = data.runs.filter((r) => r.table.id.length);
    if (!runs.length) return;
    const many = runs.length > 1;
    groups("Tokens of a row, mean", "Of finished rows, each in its author's own tokens.", runs.map((r) => r.name),
      AUTHORS.map((a) => ({ name: a, values: runs.map((r) => sum(r.table[a]) / r.table.id.length) })));
    groups("Share by author", "Of all tokens of finished rows.", runs.map((r) => r.name),
      AUTHORS.map((a) => ({ name: a, values: runs.map((r) => (100 * sum(r.table[a])) / Math.max(1, sum(r.table.teacher) + sum(r.table.student))) })), { unit: " %" });
    const lengths = runs.map((r) => r.table.id.map((_, i) => r.table.teacher[i] + r.table.student[i]));
    const top = Math.max(1, ...lengths.map((l) => l.reduce((a, b) => Math.max(a, b), 0))), bins = 12;
    groups("Tokens of a row, distribution", "Rows by the length of their trace.", Array.from({ length: bins }, (_, k) => short((top * k) / bins)),
      lengths.map((l, i) => {
        const values = Array(bins).fill(0);
        for (const n of l) values[Math.min(bins - 1, Math.floor((bins * n) / top))]++;
        return { name: runs[i].name, values };
      }));
    for (const r of runs) {
      groups(`Span lengths${many ? `: ${r.name}` : ""}`, "Spans by their tokens; classes from the number given to the next.", data.lengths,
        Object.keys(r.lengths).sort().reverse().map((a) => ({ name: a, values: r.lengths[a] })));
      groups(`Who writes where${many ? `: ${r.name}` : ""}`, `Share of the thinking's characters in ${data.positions} equal parts, from its beginning to its end.`,
        r.positions.map((_, k) => `part ${k + 1}`),
        AUTHORS.map((a) => ({ name: a, values: r.positions.map((p) => (100 * (p[a] || 0)) / Math.max(1, sum(Object.values(p)))) })), { unit: " %", low: "beginning", high: "end" });
      frequentWords(r, many);
    }
    map(data.runs);
    matrix(data.runs);
  }

  function frequentWords(r, many) {
    const { words, rates } = r.frequent, authors = Object.keys(rates).reverse();
    if (!words.length) return;
    const head = el("tr", {}, el("th", { scope: "col" }, "word"), ...authors.map((a) => el("th", { scope: "col", class: "n" }, a)));
    const body = words.map((word, i) => el("tr", {}, el("th", { scope: "row" }, word), ...authors.map((a) => el("td", { class: "n" }, rates[a][i].toFixed(1)))));
    figure(`Frequent words${many ? `: ${r.name}` : ""}`, "For 1,000 words that the author wrote, in a sample of the rows.", el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
  }

  function map(runs) {
    const { points, centroids, explained } = data.compared;
    const all = points.flat();
    if (!all.length) return;
    const range = (k) => [Math.min(...all.map((p) => p[k])), Math.max(...all.map((p) => p[k]))];
    const [x0, x1] = range(0), [y0, y1] = range(1);
    const px = (p) => LEFT + 8 + ((p[0] - x0) / (x1 - x0 || 1)) * (W - LEFT - 24), py = (p) => y((p[1] - y0) / (y1 - y0 || 1));
    const svg = frame("Principal components of the TF-IDF vectors of responses", null, { high: `first component, ${percent(explained[0])} of the variance` });
    points.forEach((cloud, i) => cloud.forEach((p) => svg.append(draw("circle", { cx: px(p), cy: py(p), r: 2.4, fill: colour(i), "fill-opacity": 0.45 }))));
    centroids.forEach((p, i) => {
      if (!p) return;
      svg.append(draw("circle", { cx: px(p), cy: py(p), r: 7, fill: colour(i), stroke: "var(--fore)", "stroke-width": 2 }),
        draw("text", { x: Math.min(px(p) + 10, W - 60), y: py(p) + 4, "font-weight": "bold" }, runs[i].name));
    });
    figure("Map of responses", `TF-IDF vectors of a sample of responses, first two principal components (second: ${percent(explained[1])}); large dots are centroids.`, key(runs.map((r) => r.name)), svg);
  }

  function matrix(runs) {
    const { similarity } = data.compared;
    if (runs.length < 2 || !similarity.length) return;
    const head = el("tr", {}, el("td", {}), ...runs.map((r) => el("th", { scope: "col", class: "n" }, r.name)));
    const body = runs.map((r, i) => el("tr", {}, el("th", { scope: "row" }, r.name), ...similarity[i].map((v) => el("td", { class: "n" }, v === null ? "–" : v.toFixed(3)))));
    figure("Similarity", "Mean cosine of TF-IDF vectors over the prompts that both runs answered; of runs without a common prompt, of their mean vectors.", el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
  }

  function queries() {
    for (const q of data.queries) {
      const values = data.runs.map((r) => (r.figures ? `${r.name}: ${JSON.stringify(r.figures[q.name])}` : `${r.name}: its journal is not there`));
      $("queries").append(el("details", {}, el("summary", {}, `${q.name}: ${q.says}`), el("pre", {}, q.sql + ";"), el("pre", {}, values.join("\n"))));
    }
  }

  // --- start ----------------------------------------------------------------------------------

  overview();
  fillFilters();
  queries();
  for (const id of ["f-run", "f-kind", "f-finish", "f-share", "f-sort"]) $(id).addEventListener("change", select);
  let waiting = 0;
  $("f-text").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(select, 150); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("list").addEventListener("scroll", () => requestAnimationFrame(paint), { passive: true });
  new ResizeObserver(paint).observe($("list"));
  $("spacer").addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) choose(Number(row.dataset.i), false);
  });
  $("trace").addEventListener("pointermove", (event) => {
    const span = event.target.closest(".s");
    if (span) describe(Number(span.dataset.k));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === "j") choose(Math.min(state.rows.length - 1, state.chosen + 1));
    else if (event.key === "k") choose(Math.max(0, state.chosen - 1));
    else if (event.key === "]") goToSpan(1);
    else if (event.key === "[") goToSpan(-1);
    else if (event.key === "/") $("f-text").focus();
    else return;
    event.preventDefault();
  });
  select();
  // Below the fold; the first view does not wait for it.
  requestAnimationFrame(() => requestAnimationFrame(pictures));
})();
