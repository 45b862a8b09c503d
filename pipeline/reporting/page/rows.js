// The browser of rows. Text of pages and models is set as textContent alone; nothing here makes markup of it.
"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);
  const HEIGHT = 92, SPARE = 6, WAIT = 120;
  const REFUSAL = "No sufficient context for answering the question";
  const make = (tag, about = {}, ...children) => {
    const { dataset, aria, ...rest } = about;
    const element = Object.assign(document.createElement(tag), rest);
    for (const [name, value] of Object.entries(aria ?? {})) element.setAttribute(`aria-${name}`, value);
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  };
  const unpack = async () => {
    while (!$("row-data")) await new Promise((resolve) => document.addEventListener("readystatechange", resolve, { once: true })); // it stands last in the page
    if (!$("row-data").textContent) return { fields: [], sections: [], qa: [], rows: [] };
    const bytes = Uint8Array.from(atob($("row-data").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  let data;
  try { data = await unpack(); } catch (error) {
    $("browser").replaceChildren(make("p", {}, `This browser cannot unpack the rows (${error.message}): one of 2023 or newer is needed.`));
    $("browser").hidden = false;
    return;
  }
  const sections = data.sections.map(([title, path, url, revisionUrl, revision, context]) => ({ title, path, url, revisionUrl, revision, context }));
  const asked = data.qa.map(([id, section, question, answer, evidence, source, model, style, roundTrip]) => ({ id, section: sections[section], question, answer, evidence, source, model, style, roundTrip }));
  const nowhere = { title: "a page that is not in this run", path: "", url: "", revisionUrl: "", revision: null, context: "" };
  const rows = data.rows.map((values, place) => {
    const row = Object.fromEntries(data.fields.map((name, at) => [name, values[at]]));
    row.place = place;
    row.qa = asked[row.qa] ?? null;
    row.section = sections[row.section] ?? nowhere;
    for (const name of ["question", "answer", "evidence"]) row[name] ??= row.qa?.[name] ?? "";
    row.context ??= row.section.context;
    return row;
  });
  const { verdicts } = Review;
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  // ---- filters ----
  const field = (name) => $(`f-${name}`);
  const options = (name, first, values) => field(name).replaceChildren(...[first, ...values].map((v) => (Array.isArray(v) ? v : [v, v])).map(([value, text]) => make("option", { value, textContent: text })));
  const counted = (pick) => {
    const found = new Map();
    for (const row of rows) { const value = pick(row); if (value) found.set(value, (found.get(value) ?? 0) + 1); }
    return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([value, n]) => [value, `${value} (${n.toLocaleString("en")})`]);
  };
  options("group", ["", "everything"], [["example", "examples"], ["rejected", "rejected questions"], ["not made", "negatives not made"]].filter(([group]) => rows.some((row) => row.group === group)));
  options("kind", ["", "any"], counted((row) => row.kind));
  options("split", ["", "any"], counted((row) => row.split));
  options("outcome", ["", "any"], counted((row) => row.outcome));
  options("verdict", ["", "any"], [["none", "not reviewed"], "keep", "fix", "drop"]);
  options("page", ["", "any"], counted((row) => row.section.title));
  options("order", ["", "as in the wiki"], [["random", "random"], ["score", "check's score, high first"], ...(rows.some((row) => row.p !== null) ? [["p", "p(answerable), high first"], ["wrong", "discriminator most wrong first"]] : [])]);
  $("p-range").hidden = !rows.some((row) => row.p !== null);
  $("audit-box").hidden = !rows.some((row) => row.audit);
  const first = rows.some((row) => row.group === "example") ? "example" : "";
  field("group").value = first;
  const scatter = (row) => { let hash = 2166136261; for (const c of row.id) hash = Math.imul(hash ^ c.charCodeAt(0), 16777619); return hash >>> 0; };
  const wrongness = (row) => (row.p === null ? -1 : row.answerable ? 1 - row.p : row.p);
  const ORDERS = { random: (a, b) => scatter(a) - scatter(b), score: (a, b) => (b.score ?? -1) - (a.score ?? -1), p: (a, b) => (b.p ?? -1) - (a.p ?? -1), wrong: (a, b) => wrongness(b) - wrongness(a) };
  const folded = new Map(); // contexts are long and shared: each is folded once
  const has = (row, words) => {
    row.folded ??= fold(`${row.question}\n${row.answer}\n${row.section.title}\n${row.section.path}\n${row.id}`);
    const missing = words.filter((word) => !row.folded.includes(word));
    if (!missing.length) return true;
    if (!folded.has(row.context)) folded.set(row.context, fold(row.context));
    return missing.every((word) => folded.get(row.context).includes(word));
  };
  const between = (value, low, high) => (low === "" || (value !== null && value >= Number(low))) && (high === "" || (value !== null && value <= Number(high)));
  let shown = [], at = -1;
  const chosen = () => shown[at] ?? null;
  const filter = ({ stay = true } = {}) => {
    const before = chosen(), words = fold(field("search").value).split(/\s+/).filter(Boolean);
    const want = Object.fromEntries(["group", "kind", "split", "outcome", "page"].map((name) => [name, field(name).value]));
    const verdict = field("verdict").value, audit = field("audit").checked;
    shown = rows.filter((row) =>
      (!want.group || row.group === want.group) && (!want.kind || row.kind === want.kind) && (!want.split || row.split === want.split) &&
      (!want.outcome || row.outcome === want.outcome) && (!want.page || row.section.title === want.page) && (!audit || row.audit) &&
      (!verdict || (verdicts.get(row.id)?.verdict ?? (row.group === "example" ? "none" : "")) === verdict) &&
      between(row.score, field("score-low").value, field("score-high").value) && between(row.p, field("p-low").value, field("p-high").value) &&
      (!words.length || has(row, words)));
    const order = ORDERS[field("order").value];
    if (order) shown.sort((a, b) => order(a, b) || a.place - b.place);
    const kept = before ? shown.indexOf(before) : -1;
    $("status").textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
    choose(kept >= 0 ? kept : stay ? Math.min(Math.max(at, 0), shown.length - 1) : Math.min(0, shown.length - 1), { scroll: kept < 0 });
  };

  // ---- the list: only what is seen is in the document ----
  const list = $("list"), spacer = $("spacer");
  const paint = () => {
    spacer.style.height = `${shown.length * HEIGHT}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - SPARE), last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / HEIGHT) + SPARE);
    const seen = [];
    for (let place = first; place < last; place += 1) seen.push(item(shown[place], place));
    if (at >= 0 && (at < first || at >= last)) seen.push(item(shown[at], at)); // aria-activedescendant must point at something
    spacer.replaceChildren(...seen);
    if (at >= 0) list.setAttribute("aria-activedescendant", `row-${at}`); else list.removeAttribute("aria-activedescendant");
  };
  const item = (row, place) => {
    const verdict = verdicts.get(row.id)?.verdict;
    const element = make("div", { className: "row", id: `row-${place}`, role: "option", aria: { selected: String(place === at), setsize: shown.length, posinset: place + 1 } },
      make("span", { className: "q", textContent: row.question.slice(0, 300) }),
      make("span", { className: "m", textContent: [row.kind, row.split, row.outcome === "kept" ? "" : row.outcome, row.section.title].filter(Boolean).join(" · ").slice(0, 200) }),
      verdict ? make("span", { className: `v ${verdict}`, textContent: { keep: "✓ keep", fix: "✎ fix", drop: "✗ drop" }[verdict] }) : null);
    element.style.top = `${place * HEIGHT}px`;
    element.addEventListener("click", () => { choose(place); list.focus({ preventScroll: true }); });
    return element;
  };
  const choose = (place, { scroll = true } = {}) => {
    at = shown.length ? Math.max(0, Math.min(place, shown.length - 1)) : -1;
    if (scroll && at >= 0) {
      if (at * HEIGHT < list.scrollTop) list.scrollTop = at * HEIGHT;
      else if ((at + 1) * HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = (at + 1) * HEIGHT - list.clientHeight;
    }
    spacer.style.height = `${shown.length * HEIGHT}px`;
    paint();
    detail();
  };

  // ---- one row ----
  const link = (url, text) => (url ? make("a", { href: url, rel: "noopener noreferrer", target: "_blank", textContent: text }) : text);
  const where = (section) => make("p", { className: "muted" }, make("bdi", { textContent: [section.title, section.path].filter(Boolean).join(" – ") }),
    section.revisionUrl ? " · " : "", section.revisionUrl ? link(section.revisionUrl, section.revision ? `revision ${section.revision}` : "the page") : "");
  const marked = (context, evidence) => {
    const start = evidence ? context.indexOf(evidence) : -1;
    if (start < 0) return [context];
    return [context.slice(0, start), make("mark", { textContent: evidence }), context.slice(start + evidence.length)];
  };
  const part = (head, ...body) => [make("h4", { textContent: head }), ...body];
  const text = (value) => make("p", { className: "text", textContent: value });
  const said = (row) => {
    if (row.p === null && row.said === null) return [];
    const judged = row.p === null ? "" : `The discriminator gives p(answerable) ${row.p.toFixed(3)}.`;
    const answered = row.said === null ? "" : row.said === "" ? "It was declined." : "It was answered: ";
    return part("What the models said", make("p", {}, judged, judged && " ", answered, row.said ? make("bdi", { textContent: row.said }) : ""));
  };
  const LABELS = { example: (row) => (row.answerable ? "should be answered" : "should be declined"), rejected: () => "rejected", "not made": () => "not made" };
  const detail = () => {
    const row = chosen(), pane = $("detail");
    pane.scrollTop = 0;
    if (!row) { pane.replaceChildren(make("p", { className: "muted", textContent: "No row has all of that. Take a filter away." })); return; }
    const verdict = verdicts.get(row.id);
    const tags = [row.kind, row.split, LABELS[row.group](row), row.qa?.source, row.qa?.model, row.audit ? "audit sample" : ""].filter(Boolean);
    const home = row.qa && !row.answerable && row.qa.section ? part("Its own section answers", make("p", { className: "text" }, make("bdi", { textContent: row.qa.answer })), row.qa.evidence ? make("p", { className: "context", textContent: row.qa.evidence }) : null, where(row.qa.section)) : [];
    const checks = [row.group === "example" ? row.verified : `${row.outcome}${row.verified ? `: ${row.verified}` : ""}`, row.score === null ? "" : `score ${row.score}`].filter(Boolean).join("; ");
    pane.replaceChildren(...[
      make("div", { className: "tags" }, ...tags.map((tag) => make("span", {}, make("bdi", { textContent: tag })))),
      make("h3", { textContent: row.question }),
      ...part(row.group === "example" ? "Answer to learn" : "Answer", text(row.answer || "–")),
      ...(row.plausible ? part("What one might wrongly answer", text(row.plausible)) : []),
      ...(row.group === "example" ? [buttons(row, verdict), verdict?.verdict === "fix" || fixing === row.id ? mend(row, verdict) : null] : []),
      ...home,
      ...part("Checks", make("p", { textContent: checks || "–" })),
      ...said(row),
      ...part(row.answerable ? "Context" : "Context, which must not hold the answer", make("p", { className: "context" }, ...marked(row.context, row.evidence)), where(row.section)),
      make("p", { className: "muted" }, make("code", { textContent: row.id })),
    ].filter(Boolean));
  };
  let fixing = "";
  const buttons = (row, verdict) => {
    const button = (kind, label, pressed, act) => make("button", { type: "button", className: kind, textContent: label, onclick: act, aria: { pressed: String(pressed) } });
    return make("div", { className: "verdicts" },
      button("keep", "Keep (y)", verdict?.verdict === "keep", () => judge("keep")),
      button("fix", "Fix (f)", verdict?.verdict === "fix", () => fix()),
      button("drop", "Drop: false label (d)", verdict?.verdict === "drop" && verdict.reason !== "text", () => judge("drop", "label")),
      button("drop", "Drop: bad text (D)", verdict?.verdict === "drop" && verdict.reason === "text", () => judge("drop", "text")),
      verdict ? make("button", { type: "button", textContent: "Take back (u)", onclick: () => takeBack() }) : null);
  };
  const mend = (row, verdict) => {
    const question = make("textarea", { id: "fix-question", rows: 2, value: verdict?.question ?? row.question, disabled: row.cut });
    const answerable = make("input", { type: "checkbox", id: "fix-answerable", checked: verdict?.answerable ?? row.answerable });
    const answer = make("textarea", { id: "fix-answer", rows: 2, value: verdict?.answer ?? (row.answerable ? row.answer : ""), disabled: row.cut || !answerable.checked });
    const note = make("input", { type: "text", id: "fix-note", value: verdict?.note ?? "", maxLength: 500 });
    const trouble = make("p", { role: "alert", className: "v drop" });
    answerable.addEventListener("change", () => { answer.disabled = row.cut || !answerable.checked; });
    const save = () => {
      const fixed = { example_id: row.id, verdict: "fix" };
      if (!row.cut && question.value.trim() !== row.question.trim()) fixed.question = question.value.trim();
      if (answerable.checked !== row.answerable) fixed.answerable = answerable.checked;
      if (!row.cut && answerable.checked && answer.value.trim() !== (row.answerable ? row.answer.trim() : "")) fixed.answer = answer.value.trim();
      if (!("question" in fixed || "answer" in fixed || "answerable" in fixed)) { trouble.textContent = "Nothing is changed: say keep instead."; return; }
      if (fixed.question === "") { trouble.textContent = "The question is empty."; return; }
      if (answerable.checked && ["", REFUSAL].includes(fixed.answer ?? row.answer)) { trouble.textContent = "If the context answers, the answer must be written."; return; }
      if (note.value.trim()) fixed.note = note.value.trim();
      fixing = "";
      settle(fixed);
    };
    const form = make("form", { className: "mend", aria: { label: "Correct this row" } },
      row.cut ? make("p", { className: "muted", textContent: "The text is too long to be corrected here; its label can be." }) : null,
      make("label", {}, "Question", question), make("label", { className: "box" }, answerable, "the context answers it"), make("label", {}, "Answer", answer), make("label", {}, "Note", note),
      trouble, make("div", { className: "actions" }, make("button", { className: "strong", textContent: "Save the fix" }), make("button", { type: "button", textContent: "Cancel", onclick: () => { fixing = ""; detail(); list.focus(); } })));
    form.addEventListener("submit", (event) => { event.preventDefault(); save(); });
    return form;
  };
  const judge = (verdict, reason) => { const row = chosen(); if (row?.group === "example") { fixing = ""; settle(reason ? { example_id: row.id, verdict, reason } : { example_id: row.id, verdict }); } };
  const fix = () => { const row = chosen(); if (row?.group === "example") { fixing = row.id; detail(); $("fix-question").focus(); } };
  const tell = (kept) => { if (!kept) $("said").textContent = "This browser keeps nothing for this page: save review.jsonl before you close it."; };
  const settle = (verdict) => {
    tell(Review.set(verdict));
    progress();
    const place = at, row = chosen();
    if (field("verdict").value) filter(); // the row may have left the list; the next one stands in its place
    if (chosen() === row) choose(place + 1);
    list.focus({ preventScroll: true });
  };
  const takeBack = () => { const row = chosen(); if (row) { fixing = ""; tell(Review.remove(row.id)); progress(); if (field("verdict").value) filter(); else choose(at, { scroll: false }); } };
  const progress = () => {
    const n = { keep: 0, fix: 0, drop: 0 };
    for (const { verdict } of verdicts.values()) n[verdict] += 1;
    $("progress").textContent = `${verdicts.size.toLocaleString("en")} reviewed: ${n.keep} keep, ${n.fix} fix, ${n.drop} drop.`;
    const sample = rows.filter((row) => row.audit), read = sample.filter((row) => verdicts.has(row.id));
    const wrong = read.filter((row) => { const v = verdicts.get(row.id); return (v.verdict === "drop" && v.reason === "label") || v.answerable === true; }).length;
    $("estimate").hidden = !sample.length;
    const percent = (share) => `${(100 * share).toFixed(1)} %`;
    const [low, high] = read.length ? Review.wilson(wrong, read.length) : [];
    $("estimate").textContent = `Audit: ${read.length} of ${sample.length} read${read.length ? `; ${wrong} false: ${percent(wrong / read.length)} (95 % interval ${percent(low)} to ${percent(high)})` : ""}.`;
    $("export").disabled = !verdicts.size;
  };

  // ---- saving, loading, keys ----
  $("export").addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([Review.lines()], { type: "application/jsonl" }));
    make("a", { href: url, download: "review.jsonl" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    $("said").textContent = `${verdicts.size.toLocaleString("en")} verdicts saved as review.jsonl.`;
  });
  $("import").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    const { error, found, kept } = Review.load(await file.text());
    event.target.value = "";
    if (error) { $("said").textContent = `Nothing was loaded: ${error}.`; return; }
    const known = new Set(rows.map((row) => row.id)), away = found.filter((row) => !known.has(row.example_id)).length;
    $("said").textContent = `${found.length.toLocaleString("en")} verdicts loaded${away ? `; ${away} are on rows that this page does not show` : ""}.`;
    tell(kept);
    progress();
    filter();
  });
  $("reviewer").value = Review.name();
  $("reviewer").addEventListener("change", (event) => Review.setName(event.target.value.trim()));
  let waiting = 0;
  $("filters").addEventListener("input", (event) => { 
    clearTimeout(waiting);
    if (event.target.type === "search") waiting = setTimeout(() => filter({ stay: false }), WAIT); else filter({ stay: false });
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("f-clear").addEventListener("click", () => { $("filters").reset(); field("group").value = first; filter({ stay: false }); });
  list.addEventListener("scroll", () => requestAnimationFrame(paint), { passive: true });
  new ResizeObserver(paint).observe(list);
  const page = () => Math.max(1, Math.floor(list.clientHeight / HEIGHT) - 1);
  const MOVES = { ArrowDown: () => at + 1, ArrowUp: () => at - 1, PageDown: () => at + page(), PageUp: () => at - page(), Home: () => 0, End: () => shown.length - 1 };
  list.addEventListener("keydown", (event) => { const move = MOVES[event.key]; if (move && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); choose(move()); } });
  const help = () => { if (!$("help").open) $("help").showModal(); };
  $("help-open").addEventListener("click", help);
  const reach = (step) => { choose(at + step); if (!$("rows").contains(document.activeElement)) list.focus(); };
  const KEYS = { j: () => reach(1), k: () => reach(-1), y: () => judge("keep"), f: fix, d: () => judge("drop", "label"), D: () => judge("drop", "text"), u: takeBack, "/": () => field("search").focus(), "?": help };
  document.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || !$("keys-on").checked || event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    if (event.target.closest("textarea, select, input:not([type=checkbox])")) return;
    event.preventDefault();
    act();
  });
  $("browser").hidden = false;
  progress();
  filter({ stay: false });
})();
