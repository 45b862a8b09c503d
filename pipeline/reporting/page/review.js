// Verdicts: kept in the browser under the run's id, written and read as review.jsonl (pipeline/dataset/review.py says what a line may hold).
"use strict";
const Review = (() => {
  const run = JSON.parse(document.getElementById("run-data").textContent);
  const KEY = `abstention-pipeline/review/${run.id}`;
  const NAME = "abstention-pipeline/reviewer";
  const TEXTS = ["example_id", "verdict", "reason", "question", "answer", "reviewer", "note"];
  const FIXES = ["question", "answer", "answerable"];
  const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const store = (key, value) => { try { localStorage.setItem(key, value); return true; } catch { return false; } };
  const verdicts = new Map();
  // what is read back is checked like a file of strangers: another page may have written there
  try { for (const row of JSON.parse(stored(KEY) ?? "[]")) if (!fault(row)) verdicts.set(row.example_id, row); } catch { verdicts.clear(); }

  function fault(row) {
    if (row === null || typeof row !== "object" || Array.isArray(row)) return "it is no JSON object";
    for (const name of ["example_id", "verdict"]) if (!(name in row)) return `it lacks ${name}`;
    for (const [name, value] of Object.entries(row)) {
      if (name !== "answerable" && !TEXTS.includes(name)) return `${name} is not known`;
      if (typeof value !== (name === "answerable" ? "boolean" : "string")) return `${name} has the wrong type`;
    }
    if (!["keep", "fix", "drop"].includes(row.verdict)) return `the verdict ${row.verdict} is not known`;
    const fixes = FIXES.filter((name) => name in row).length;
    if ((row.verdict === "fix") !== fixes > 0) return row.verdict === "fix" ? "the fix changes nothing" : "only a fix changes a text";
    if ("reason" in row && (row.verdict !== "drop" || !["", "label", "text"].includes(row.reason))) return `the reason ${row.reason} is not known`;
    return "";
  }
  const save = () => store(KEY, JSON.stringify([...verdicts.values()]));
  const set = (row) => { const reviewer = name(); verdicts.set(row.example_id, reviewer ? { ...row, reviewer } : row); return save(); };
  const remove = (id) => { verdicts.delete(id); return save(); };
  const name = () => stored(NAME) ?? "";
  const lines = () => [...verdicts.values()].sort((a, b) => (a.example_id < b.example_id ? -1 : 1)).map((row) => `${JSON.stringify(row)}\n`).join("");
  /** Read a file's lines; all of them or, if one is no verdict, none: then the answer names it. */
  const load = (text) => {
    const found = [];
    for (const [at, line] of text.split("\n").entries()) {
      if (!line.trim()) continue;
      let row;
      try { row = JSON.parse(line); } catch { return { error: `line ${at + 1} is not JSON` }; }
      const wrong = fault(row);
      if (wrong) return { error: `line ${at + 1}: ${wrong}` };
      found.push(row);
    }
    for (const row of found) verdicts.set(row.example_id, row);
    return { found, kept: save() };
  };
  /** Wilson's interval of 95 % (as pipeline/evaluation/agreement.py has it). */
  const wilson = (found, n) => {
    const z = 1.959963984540054, share = found / n, scale = 1 + (z * z) / n;
    const centre = (share + (z * z) / (2 * n)) / scale;
    const half = (z / scale) * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n));
    return [Math.max(0, centre - half), Math.min(1, centre + half)];
  };
  return { run, verdicts, set, remove, lines, load, wilson, name, setName: (value) => store(NAME, value) };
})();
