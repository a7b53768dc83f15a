"use strict";
// The report is whole without this script: it sorts tables, shows the answers and varies the
// break-even. Examples and answers are untrusted, so text only ever goes in as text, and nothing
// is loaded or sent.
(() => {
  const TEXTS_A_PAGE = 20;
  const SLIDER_STEPS = 100;

  const byId = (id) => document.getElementById(id);

  /** A new element; strings among the children become text, never markup. */
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // ---- numbers, written as lora_vs_api/report/numbers.py writes them ----

  /** So many significant digits, as the report has them: 0.0057, 1,330. */
  function significant(value, digits = 3) {
    return rounded(value, digits).toLocaleString("en-US", { maximumSignificantDigits: digits });
  }

  /** Rounds a tie to the even digit, as Python does: the start has to show the report's digits. */
  function rounded(value, digits) {
    const [all, exponent] = value.toExponential(60).split("e");
    const shown = all.slice(0, all.startsWith("-") ? digits + 2 : digits + 1);
    const tie = /^50*$/.test(all.slice(shown.length));
    const even = "02468".includes(shown.at(-1));
    return Number(tie && even ? `${shown}e${exponent}` : value.toPrecision(digits));
  }

  function usd(value) {
    if (Math.abs(value) < 100) return significant(value);
    return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  }

  function volumeText(value) {
    for (const [size, word] of [[1e9, "billion"], [1e6, "million"]]) {
      if (value >= size * 0.9995) return `${significant(value / size)} ${word}`;
    }
    return significant(value);
  }

  function daysText(value) {
    if (value >= 730) return `${significant(value / 365)} years`;
    if (value >= 60) return `${significant(value / 30.44)} months`;
    const written = significant(value);
    return value < 1 ? "less than a day" : `${written} ${written === "1" ? "day" : "days"}`;
  }

  // ---- sortable tables ----

  const FACTORS = new Map([
    ["%", 0.01], ["k", 1e3], ["m", 1e6], ["million", 1e6], ["b", 1e9], ["billion", 1e9],
    ["months", 30.44], ["years", 365],
  ]);
  const NUMBER = /^[<>~≈]?\s*([+−-]?)\s*\$?\s*(\d[\d,]*\.?\d*|\.\d+)(?:e([+-]?\d+))?\s*(%|[a-z]+)?/i;
  // what has no place among numbers: it stays at the end, whichever way is up
  const LAST = new Set(["", "–", "-", "never"]);
  const words = new Intl.Collator("en", { numeric: true });

  /** The first number of a cell, in one unit for the column; NaN where it starts with none. */
  function cellNumber(text) {
    const plain = text.trim().toLowerCase();
    if (plain === "less than a day") return 0;
    const match = NUMBER.exec(plain);
    if (!match) return NaN;
    const [, sign, digits, exponent, unit] = match;
    const size = Number(digits.replaceAll(",", "")) * 10 ** Number(exponent ?? 0);
    return (sign === "" || sign === "+" ? size : -size) * (FACTORS.get(unit) ?? 1);
  }

  /** The rows in order of a column; equal cells keep their order, also from the largest down. */
  function sortedRows(rows, column, direction) {
    const cells = rows.map((row) => ({ row, text: row.cells[column]?.textContent.trim() ?? "" }));
    const last = cells.filter((cell) => LAST.has(cell.text.toLowerCase()));
    const others = cells.filter((cell) => !last.includes(cell));
    for (const cell of others) cell.number = cellNumber(cell.text);
    // one cell that is no number makes the column text: a mixed one has no order by size
    const numeric = others.every((cell) => !Number.isNaN(cell.number));
    const compare = numeric
      ? (a, b) => a.number - b.number
      : (a, b) => words.compare(a.text, b.text);
    const way = direction === "descending" ? -1 : 1;
    others.sort((a, b) => way * compare(a, b));
    return [...others, ...last].map((cell) => cell.row);
  }

  function makeSortable(table) {
    const body = table.tBodies[0];
    const headers = [...(table.tHead?.rows[0]?.cells ?? [])];
    if (!body || body.rows.length < 3) return;
    const original = [...body.rows];
    headers.forEach((header, column) => {
      if (header.textContent.trim() === "") return;
      const button = element("button", { type: "button", class: "sort" }, ...header.childNodes);
      header.replaceChildren(button);
      button.addEventListener("click", () => {
        const was = header.getAttribute("aria-sort");
        const next = { ascending: "descending", descending: null }[was];
        const direction = next === undefined ? "ascending" : next;
        for (const other of headers) other.removeAttribute("aria-sort");
        if (direction) header.setAttribute("aria-sort", direction);
        body.append(...(direction ? sortedRows(original, column, direction) : original));
      });
    });
  }

  // ---- break-even calculator ----

  // those in sight; what stands in PLAN_CONTROLS too is an input of the total cost
  const CONTROLS = [
    ["per_day", "volume", "answers a day"],
    ["input_price", "API input", "USD per million tokens"],
    ["output_price", "API output", "USD per million tokens"],
    ["usd_per_label", "label", "USD each"],
    ["usd_per_wrong_record", "wrong record", "USD each"],
    ["upfront", "upfront", "USD, once"],
    ["local", "fine-tune", "USD per 1,000 answers"],
  ];

  const PLAN_CONTROLS = [
    ["horizon_months", "horizon", "months, whole, 1 to 240"],
    ["discount_per_year", "discount", "share a year"],
    ["api_price_trend_per_year", "API price trend", "share a year"],
    ["build_usd", "building the fine-tune", "USD, once"],
    ["upkeep_usd_per_month", "upkeep, fine-tune", "USD a month"],
    ["api_build_usd", "building the API side", "USD, once"],
    ["api_upkeep_usd_per_month", "upkeep, API", "USD a month"],
    ["purchase_usd", "machine bought", "USD each"],
    ["busy_usd_per_hour", "machine answering", "USD an hour"],
    ["idle_usd_per_hour", "machine waiting", "USD an hour"],
    ["peak_to_mean", "peak over mean rate", "factor, at least 1"],
    ["retrain_every_months", "retraining every", "months, whole"],
    ["retrain_usd", "a retraining", "USD"],
    ["usd_per_wrong_record", "wrong record", "USD each"],
    ["usd_per_label", "label", "USD each"],
    ["seconds", "machine time", "seconds an answer"],
  ];
  // around what a slider of a share goes whose start is 0
  const ZERO_CENTRE = new Map([
    ["discount_per_year", 0.01], ["api_price_trend_per_year", -0.01], ["usd_per_wrong_record", 0.01],
    ["usd_per_label", 0.1], ["idle_usd_per_hour", 0.01], ["retrain_every_months", 6],
    ["upkeep_usd_per_month", 100], ["api_upkeep_usd_per_month", 100], ["purchase_usd", 100],
    ["api_build_usd", 100],
  ]);
  // what is below 0 where a price falls; all others are amounts
  const LEAST = new Map([["api_price_trend_per_year", -0.99], ["peak_to_mean", 1]]);

  /** The model of lora_vs_api/stats/ownership.py; a month of null is never. */
  function ownership(baseline, values, labelled) {
    const horizon = Math.min(240, Math.max(1, Math.round(values.horizon_months)));
    const every = Math.round(values.retrain_every_months);
    const load = (values.per_day / 86400) * values.peak_to_mean * values.seconds;
    const machines = Math.max(1, Math.ceil(load - 1e-9));
    const busy = (values.per_day * values.seconds) / 3600;
    const idle = Math.max(0, 24 * machines - busy);
    const days = 365 / 12;
    const wrong = values.per_day * days * values.usd_per_wrong_record;
    const machine = busy * values.busy_usd_per_hour + idle * values.idle_usd_per_hour;
    const tokens = (values.per_day * days / 1000) *
      (baseline.input_millions * values.input_price + baseline.output_millions * values.output_price);
    let local = values.build_usd + values.usd_per_label * labelled + machines * values.purchase_usd;
    let api = values.api_build_usd;
    let from = local < api ? 0 : null;
    for (let month = 1; month <= horizon; month += 1) {
      const worth = (1 + values.discount_per_year) ** (-month / 12);
      const trend = (1 + values.api_price_trend_per_year) ** ((month - 1) / 12);
      const again = every > 0 && month % every === 0 && month < horizon ? values.retrain_usd : 0;
      local += (machine * days + wrong * baseline.local_wrong + values.upkeep_usd_per_month + again) * worth;
      api += (tokens * trend + wrong * baseline.api_wrong + values.api_upkeep_usd_per_month) * worth;
      if (local >= api) from = null;
      else if (from === null) from = month;
    }
    return { horizon, horizonLocal: local, horizonApi: api, from };
  }

  /** The formula of lora_vs_api/stats/economics.py; a volume of null is never. */
  function breakEven(baseline, values) {
    const cost =
      baseline.input_millions * values.input_price + baseline.output_millions * values.output_price;
    const api = cost;
    const saving = api - values.local;
    const exact = saving > 0 ? (1000 * values.upfront) / saving : null;
    const year = 365 * values.per_day;
    return {
      api,
      volume: exact,
      days: exact === null || values.per_day === 0 ? null : exact / values.per_day,
      yearApi: (year * api) / 1000,
      yearLocal: values.upfront + (year * values.local) / 1000,
    };
  }

  /** One quantity as a slider and a number; the slider is logarithmic around the start. */
  function makeControl(key, label, unit, changed) {
    const name = `${label}, ${unit}`;
    const least = LEAST.get(key) ?? 0;
    const slider = element("input", {
      type: "range", min: -SLIDER_STEPS, max: SLIDER_STEPS, step: 1,
      "aria-label": `${name}, slider`, "data-key": key,
    });
    const number = element("input", {
      type: "number", min: least, step: "any", inputmode: "decimal", "aria-label": name, "data-key": key,
    });
    // a start of 0 has no multiples
    const centre = () => control.start || ZERO_CENTRE.get(key) || 1;
    const say = () => slider.setAttribute("aria-valuetext", `${number.value} ${unit}`);
    const control = {
      start: 0,
      row: element("div", { class: "control" },
        element("span", {}, label, element("small", {}, unit)), slider, number),
      /** NaN where the field holds no amount. */
      value: () => (number.value === "" || Number(number.value) < least ? NaN : Number(number.value)),
      reset(start) {
        control.start = start;
        number.value = String(start);
        slider.value = "0";
        mark();
      },
    };
    const mark = () => {
      number.setAttribute("aria-invalid", String(Number.isNaN(control.value())));
      say();
    };
    slider.addEventListener("input", () => {
      const steps = Number(slider.value);
      const moved = rounded(centre() * 100 ** (steps / SLIDER_STEPS), 3);
      // back in the middle means the start to the digit, which three digits may not be
      number.value = String(steps === 0 ? control.start : Math.max(least, moved));
      mark();
      changed();
    });
    number.addEventListener("input", () => {
      const steps = Math.log10(Number(number.value) / centre()) / 2 * SLIDER_STEPS;
      slider.value = String(Math.round(Math.min(SLIDER_STEPS, Math.max(-SLIDER_STEPS, steps))));
      mark();
      changed();
    });
    return control;
  }

  function startCalculator(start) {
    const select = byId("baseline");
    fillSelect(select, null, start.baselines.map(({ label }) => label));
    const controls = new Map(
      CONTROLS.map(([key, label, unit]) => [key, makeControl(key, label, unit, show)]),
    );
    byId("controls").append(...[...controls.values()].map((control) => control.row));
    for (const [key, label, unit] of PLAN_CONTROLS.filter(([key]) => !controls.has(key))) {
      controls.set(key, makeControl(key, label, unit, show));
      byId("plan-controls").append(controls.get(key).row);
    }

    function show() {
      const values = Object.fromEntries([...controls].map(([key, c]) => [key, c.value()]));
      const readable = Object.values(values).every(Number.isFinite);
      const baseline = start.baselines[select.value];
      const found = readable && {
        ...breakEven(baseline, values),
        ...ownership(baseline, values, start.labelled_texts),
      };
      byId("results").replaceChildren(...resultRows(found));
      const moved = [...controls.values()].some((control) => control.value() !== control.start);
      byId("decision").textContent = readable ? decisionText(start, baseline, values, found, moved) : "–";
    }
    // prices belong to the baseline; what one has set about one's own side stays
    function setPrices() {
      const baseline = start.baselines[select.value];
      for (const key of ["input_price", "output_price"]) controls.get(key).reset(baseline[key]);
      show();
    }
    function reset() {
      select.value = String(start.baseline);
      for (const key of ["upfront", "local", "per_day"]) controls.get(key).reset(start[key]);
      for (const [key] of PLAN_CONTROLS) controls.get(key).reset(start.plan[key]);
      setPrices();
    }
    select.addEventListener("change", setPrices);
    byId("reset").addEventListener("click", reset);
    reset();
  }

  /** What to do in the report's words: as it was measured, or once a number is moved by the means alone. */
  function decisionText({ lead, pays }, baseline, values, found, moved) {
    const outcome = !moved ? baseline.pays : found.from === null ? "fails" : "holds";
    const words = !moved ? baseline.said : pays[outcome]
      .replace("{horizon}", `${found.horizon} ${found.horizon === 1 ? "month" : "months"}`)
      .replace("{months}", found.from === 0 ? "from the start" : `after month ${found.from}`);
    const volume = `${values.per_day.toLocaleString("en-US")} a day`;
    const against = `${moved ? "By the measured means, against" : "Against"} ${baseline.label}`;
    const action = baseline.actions === null ? "nothing is recommended" : baseline.actions[outcome];
    return `${lead}${against}: ${action}. At ${volume} ${words}.${baseline.beside}`;
  }

  function resultRows(found) {
    const text = (value, write) => (value === null ? "never" : write(value));
    const rows = [
      ["month-api", "a month of API, all in, USD", () => usd(found.horizonApi / found.horizon)],
      ["month-local", "a month of fine-tune, all in, USD", () => usd(found.horizonLocal / found.horizon)],
      ["api", "API, USD per 1K", () => usd(found.api)],
      ["volume", "break-even, answers", () => text(found.volume, volumeText)],
      ["days", "reached after", () => text(found.days, daysText)],
      ["year-api", "one year of API, USD", () => usd(found.yearApi)],
      ["year-local", "one year of fine-tune, USD", () => usd(found.yearLocal)],
      ["horizon-api", "horizon of API, USD", () => usd(found.horizonApi)],
      ["horizon-local", "horizon of fine-tune, USD", () => usd(found.horizonLocal)],
      ["from", "cheaper from month", () => text(found.from, String)],
    ];
    return described(rows.map(([key, label, write]) => [key, label, found ? write() : "–"]));
  }

  /** What stands in a list of results: of each its key, its label and its value. */
  function described(rows) {
    return rows.map(([key, label, value]) =>
      element("div", {}, element("dt", {}, label), element("dd", { "data-result": key }, value)));
  }

  // ---- escalation ----

  function startEscalation(frontiers) {
    const [target, slider] = [byId("escalate-to"), byId("escalate-share")];
    fillSelect(target, null, frontiers.map(({ label }) => label));
    const percent = (share) => `${(100 * share).toFixed(1)}%`;

    function show() {
      const points = frontiers[target.value].points;
      slider.max = String(points.length - 1);
      const point = points[Number(slider.value)];
      byId("escalated").textContent = percent(point.share);
      slider.setAttribute("aria-valuetext", `${percent(point.share)} of the texts`);
      // the volume of the calculator above, where there is one
      const perDay = Number(document.querySelector("#controls input[type=number][data-key=per_day]")?.value);
      const month = (perDay * 365) / 12 / 1000 * point.usd_per_1k;
      const rows = [
        ["escalated-f1", "field F1", point.f1.toFixed(3)],
        ["escalated-exact", "exact match", percent(point.exact)],
        ["escalated-usd", "USD per 1K", usd(point.usd_per_1k)],
        ...(perDay > 0
          ? [["escalated-month", `USD a month at ${perDay.toLocaleString("en-US")} a day`, usd(month)]] : []),
        ["escalated-seconds", "seconds an answer, mean", point.seconds === null ? "–" : significant(point.seconds)],
      ];
      byId("escalation-results").replaceChildren(...described(rows));
    }
    target.addEventListener("change", show);
    slider.addEventListener("input", show);
    for (const event of ["input", "click"]) byId("what-if").addEventListener(event, show);
    show();
  }

  // ---- answers ----

  const KINDS = [
    ["all", () => true],
    ["with a wrong field", (answer) => answer.wrong.length > 0],
    ["not a JSON object", (answer) => !answer.valid],
    ["truncated", (answer) => answer.truncated],
    ["exact match", (answer) => answer.wrong.length === 0],
  ];

  /** Examples that have an answer to show, each with those answers. */
  function matching(examples, filter) {
    const wanted = filter.words.trim().toLowerCase();
    return examples
      .filter((example) => example.text.toLowerCase().includes(wanted))
      .map((example) => ({ example, answers: example.answers.filter(filter.accepts) }))
      .filter(({ answers }) => answers.length > 0);
  }

  function differences(example, answer) {
    const row = (name) =>
      element("tr", {},
        element("th", { scope: "row" }, element("code", {}, name)),
        element("td", {}, example.expected[name] ?? "–"),
        element("td", {}, answer.found[name] ?? "–"));
    const head = ["field", "expected", "found"].map((name) => element("th", { scope: "col" }, name));
    return element("div", { class: "table" },
      element("table", {},
        element("thead", {}, element("tr", {}, ...head)),
        element("tbody", {}, ...answer.wrong.map(row))));
  }

  function answerBlock(example, answer, label) {
    const facts = [
      `field F1 ${answer.f1}`,
      ...(answer.wrong.length === 0 ? ["exact match"] : []),
      ...(answer.valid ? [] : ["not a JSON object"]),
      ...(answer.truncated ? ["truncated"] : []),
    ];
    const block = element("div", { class: "answer" },
      element("h4", {}, label, element("small", {}, facts.join(" · "))),
      element("pre", {}, answer.output));
    // without a record to compare, the table would repeat the expected one with nothing beside it
    if (answer.valid && answer.wrong.length > 0) block.append(differences(example, answer));
    return block;
  }

  function exampleBlock({ example, answers }, labels) {
    const expected = Object.entries(example.expected).map(([name, value]) => `${name}: ${value}`);
    return element("article", { class: "example" },
      element("h3", {}, example.id),
      element("blockquote", { class: "text" }, example.text),
      element("details", {},
        element("summary", {}, "expected record"),
        element("pre", {}, expected.join("\n"))),
      ...answers.map((answer) => answerBlock(example, answer, labels[answer.condition])));
  }

  function fillSelect(select, first, names) {
    const options = first === null ? names : [first, ...names];
    // the value is the place in the list: a name from the data could be any text, also an empty one
    options.forEach((name, index) => select.append(element("option", { value: index }, name)));
  }

  function startAnswers({ fields, conditions, examples }) {
    const [condition, kind, wrong, search] =
      ["condition", "kind", "wrong-field", "words"].map(byId);
    fillSelect(condition, "all", conditions);
    fillSelect(kind, null, KINDS.map(([name]) => name));
    fillSelect(wrong, "any", fields);
    const total = examples.reduce((sum, example) => sum + example.answers.length, 0);
    let page = 0;

    function accepts(answer) {
      const [c, w] = [Number(condition.value) - 1, Number(wrong.value) - 1];
      return (
        (c < 0 || answer.condition === c) &&
        (w < 0 || answer.wrong.includes(fields[w])) &&
        KINDS[kind.value][1](answer)
      );
    }
    function show() {
      const found = matching(examples, { words: search.value, accepts });
      const pages = Math.max(1, Math.ceil(found.length / TEXTS_A_PAGE));
      page = Math.min(page, pages - 1);
      const shown = found.slice(page * TEXTS_A_PAGE, (page + 1) * TEXTS_A_PAGE);
      const count = found.reduce((sum, { answers }) => sum + answers.length, 0);
      const of = (number) => number.toLocaleString("en-US");
      byId("count").textContent =
        `${of(count)} of ${of(total)} answers, ` +
        `to ${of(found.length)} text${found.length === 1 ? "" : "s"}`;
      byId("list").replaceChildren(...shown.map((entry) => exampleBlock(entry, conditions)));
      byId("page").textContent = `page ${page + 1} of ${pages}`;
      byId("previous").disabled = page === 0;
      byId("next").disabled = page === pages - 1;
      byId("pages").hidden = pages === 1;
    }
    function restart() {
      page = 0;
      show();
    }
    function turn(by) {
      page += by;
      show();
      // the buttons are below the list: without this one would land in the middle of the next page
      byId("answers").scrollIntoView();
    }
    for (const control of [condition, kind, wrong]) control.addEventListener("change", restart);
    search.addEventListener("input", restart);
    byId("previous").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    show();
  }

  // ---- what is folded ----

  /** Unfolds what an address points into: not every browser does so by itself. */
  function reveal() {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = place?.closest("details.part");
    if (!fold || fold.open) return;
    fold.open = true;
    place.scrollIntoView();
  }

  function startFolds() {
    const folds = [...document.querySelectorAll("details.part")];
    addEventListener("hashchange", reveal);
    reveal();
    const button = byId("unfold");
    if (!button) return;
    const label = () => {
      button.textContent = folds.every((fold) => fold.open) ? "Fold all" : "Unfold all";
    };
    for (const fold of folds) fold.addEventListener("toggle", label);
    button.hidden = false;
    button.addEventListener("click", () => {
      const open = !folds.every((fold) => fold.open);
      for (const fold of folds) fold.open = open;
      label();
    });
    // what is printed is the whole report; afterwards it is as it was
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = folds.filter((fold) => !fold.open);
      for (const fold of closed) fold.open = true;
    });
    addEventListener("afterprint", () => {
      for (const fold of closed) fold.open = false;
    });
  }

  // ---- start ----

  startFolds();

  for (const table of document.querySelectorAll("table")) makeSortable(table);
  const carrier = byId("data");
  if (!carrier) return;
  const data = JSON.parse(carrier.textContent);
  if (data.calculator) {
    startCalculator(data.calculator);
    byId("what-if").hidden = false;
  }
  if (data.escalation.length > 0) {
    startEscalation(data.escalation);
    byId("escalation").hidden = false;
  }
  startAnswers(data);
  byId("answers").hidden = false;
  document.querySelector(".contents ol")?.append(
    element("li", {}, element("a", { href: "#read-answers" }, byId("answers-title").textContent)));
})();
