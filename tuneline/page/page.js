"use strict";
// The answers of each adapter: searched, filtered, and put on the page a few at a time. Whatever a row holds is text.
const STEP = 10;
const SIDES = ["base", "tuned"];

function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function option(select, value, text) {
  const made = make("option", "", text);
  made.value = value;
  select.append(made);
}

function shown(value) {
  if (value === null) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(Math.round(value * 1000) / 1000);
}

function textBox(text, className) {
  const box = make("div", className, text);
  box.dir = "auto";
  return box;
}

// What became of a row by a figure: won, lost, wrong; of a number, higher and lower, and the lowest quarter is wrong.
function judge(rows, figure) {
  const tuned = rows.map((row) => (row.f[figure] || [null, null])[1]).filter((value) => typeof value === "number");
  const numbers = tuned.length > 0;
  tuned.sort((one, other) => one - other);
  const low = numbers ? tuned[Math.floor((tuned.length - 1) / 4)] : null;
  return {
    numbers,
    kinds: (row) => {
      const [base, mine] = row.f[figure] || [null, null];
      const known = base !== null && mine !== null;
      return {
        all: true,
        flipped: known && Number(mine) !== Number(base),
        wrong: numbers ? mine !== null && mine <= low : mine === false,
        won: known && Number(mine) > Number(base),
        lost: known && Number(mine) < Number(base),
      };
    },
  };
}

const WORDS = {
  truths: { all: "all", wrong: "wrong only", flipped: "flipped", won: "flipped to right", lost: "flipped to wrong" },
  numbers: { all: "all", wrong: "lowest quarter", flipped: "changed", won: "higher than base", lost: "lower than base" },
};

function card(row, figure, kinds, words) {
  const item = make("li", "row");
  item.tabIndex = -1;
  const head = make("header");
  head.append(make("span", "", row.id));
  for (const [name, value] of Object.entries(row.g)) head.append(make("span", "", `${name}: ${value}`));
  if (kinds.won) head.append(make("span", "flip", words.won));
  if (kinds.lost) head.append(make("span", "flip", words.lost));
  item.append(head);
  const asked = make("div", "asked");
  for (const [role, text] of row.q) {
    if (row.q.length > 1) asked.append(make("h4", "", role));
    asked.append(textBox(text, "text"));
  }
  item.append(asked);
  const sides = make("div", "sides");
  const texts = [["base", row.b, 0], ["tuned", row.t, 1]];
  if (row.s !== undefined) texts.splice(1, 0, ["after examples", row.s, 2]);
  if (row.r !== null) texts.push(["reference", row.r, null]);
  for (const [name, text, at] of texts) {
    const side = make("div", "side");
    const title = make("h4", "", name);
    if (at !== null && row.f[figure]) title.append(make("span", "", ` · ${figure} ${shown(row.f[figure][at])}`));
    side.append(title, textBox(text === "" ? "(empty)" : text, "text"));
    if (at !== null && row.m[at]) side.append(make("div", "marks", row.m[at]));
    sides.append(side);
  }
  item.append(sides);
  return item;
}

function words(row) {
  return [row.id, ...row.q.map((part) => part[1]), row.b, row.s || "", row.t, row.r || "", ...row.m].join("\n").toLowerCase();
}

function start(section) {
  const data = section.querySelector("script.data");
  if (!data) return;
  const { rows, deciding } = JSON.parse(data.textContent);
  const find = (name) => section.querySelector(name);
  const search = find("input"), right = find(".deciding"), show = find(".show");
  const list = find(".rows"), more = find(".more"), found = find(".found");
  const texts = rows.map(words);
  const groups = {};
  let matching = [], on = 0, judged;

  for (const name of Object.keys(rows.length ? rows[0].f : {})) option(right, name, name);
  if (deciding !== null) right.value = deciding;
  right.parentElement.hidden = right.options.length === 0;

  for (const name of Object.keys(rows.length ? rows[0].g : {})) {
    const label = make("label", "", name);
    const select = make("select", "group");
    option(select, "", "all");
    for (const value of [...new Set(rows.map((row) => row.g[name]))].sort()) option(select, `=${value}`, value);
    label.append(select);
    find(".groups").append(label);
    groups[name] = select;
    select.addEventListener("change", filter);
  }

  function kinds() {
    judged = judge(rows, right.value);
    const kept = show.value || "all";
    show.replaceChildren();
    for (const [value, text] of Object.entries(WORDS[judged.numbers ? "numbers" : "truths"])) {
      option(show, value, `${text} (${rows.filter((row) => judged.kinds(row)[value]).length})`);
    }
    show.value = kept;
    filter();
  }

  function wanted(row, at) {
    const inGroups = Object.entries(groups).every(([name, select]) => !select.value || select.value === `=${row.g[name]}`);
    return judged.kinds(row)[show.value] && inGroups && texts[at].includes(search.value.trim().toLowerCase());
  }

  function filter() {
    matching = rows.filter(wanted);
    on = 0;
    list.replaceChildren();
    found.textContent = `${matching.length} of ${rows.length} rows`;
    next();
  }

  function next() {
    const labels = WORDS[judged.numbers ? "numbers" : "truths"];
    const from = on;
    on = Math.min(on + STEP, matching.length);
    for (const row of matching.slice(from, on)) list.append(card(row, right.value, judged.kinds(row), labels));
    for (const box of list.querySelectorAll(".text")) if (box.scrollHeight > box.clientHeight) box.tabIndex = 0;
    more.hidden = on === matching.length;
    more.textContent = `Show more (${matching.length - on} left)`;
    return list.children[from];
  }

  search.addEventListener("input", filter);
  show.addEventListener("change", filter);
  right.addEventListener("change", kinds);
  more.addEventListener("click", () => {
    const first = next();
    if (first) first.focus({ preventScroll: true });
  });
  kinds();
  find(".answers").hidden = false;
}

for (const section of document.querySelectorAll("section.system")) start(section);
