"use strict";
// All text here is from outside, DAGs and flows: it becomes text nodes, and never markup.

const PAGE_SIZE = 50;
// Milliseconds.
const REFRESH = 5000;
const TYPING = 300;
// Lines of a live log that are shown.
const MOST_LINES = 5000;

const form = document.getElementById("filters");
const told = document.getElementById("told");
const table = document.querySelector("table");
const pages = document.getElementById("pages");
const context = contextOf(location.search);
let offset = 0;
let asked = 0;
let typing = 0;
let runs = [];
// What the cluster shows of those that go on, by their ids.
let now = {};
let isLooking = false;
// The cells with the durations of those that go on.
let goingOn = [];

// What the tab of a DAG, a run or a task instance is of. Airflow leaves what it does not know, and
// quotes what it knows since 3.2 alone: a plus is never a space here.
function contextOf(query) {
  const names = ["dag_id", "run_id", "task_id", "map_index"];
  const found = {};
  for (const part of query.slice(1).split("&")) {
    const [name, ...rest] = part.split("=");
    const value = unquoted(rest.join("="));
    if (names.includes(name) && value && !/^\{[A-Z_]+\}$/.test(value)) found[name] = value;
  }
  return found;
}

function unquoted(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// --- Airflow's frame --------------------------------------------------------------------------

function airflow() {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null;
  }
}

function followColours() {
  const frame = airflow();
  const root = frame?.document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const dark = root ? root.classList.contains("dark") : system.matches;
    document.documentElement.classList.toggle("dark", dark);
    document.documentElement.style.setProperty("--back", frame ? colourBehind(frame) : "");
  };
  show();
  system.addEventListener("change", show);
  if (root) {
    new MutationObserver(() => requestAnimationFrame(show)).observe(root, { attributes: true, attributeFilter: ["class"] });
  }
}

// Whatever theme Airflow has been given; empty: our own.
function colourBehind(frame) {
  for (let each = window.frameElement; each; each = each.parentElement) {
    const colour = frame.getComputedStyle(each).backgroundColor;
    if (!/^rgba\(.*, 0\)$|^transparent$/.test(colour)) return colour;
  }
  return "";
}

// Airflow shows this page in a frame that may lead nowhere by itself.
function leave(event) {
  const frame = airflow();
  if (!frame) return;
  event.preventDefault();
  const link = frame.document.createElement("a");
  link.href = event.currentTarget.href;
  const isElsewhere = new URL(link.href).origin !== location.origin;
  if (isElsewhere || event.ctrlKey || event.metaKey || event.shiftKey) link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.click();
}

function linkTo(address, text) {
  let url;
  try {
    // As Airflow resolves it: relative to its own address, which is above ours.
    url = new URL(address, new URL("..", location.origin + location.pathname));
  } catch {
    return null;
  }
  if (!/^https?:$/.test(url.protocol)) return null;
  const link = element("a", text);
  link.href = url.href;
  link.target = "_top";
  link.rel = "noopener noreferrer";
  link.addEventListener("click", leave);
  return link;
}

// --- one flow run -----------------------------------------------------------------------------

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text ?? "";
  if (className) made.className = className;
  return made;
}

function taskOf(run) {
  const names = [run.dag_id, run.run_id, run.task_id].map(encodeURIComponent);
  const mapped = run.map_index >= 0 ? `/mapped/${run.map_index}` : "";
  return `dags/${names[0]}/runs/${names[1]}/tasks/${names[2]}${mapped}`;
}

// As Airflow writes it, where the user is: Sweden's is the one locale that does.
function moment(text) {
  const at = text ? new Date(text) : null;
  return at && !Number.isNaN(at.getTime()) ? at.toLocaleString("sv-SE") : "";
}

function duration(run) {
  const end = run.finished_at || (run.status === "running" ? new Date().toISOString() : null);
  const seconds = Math.round((new Date(end) - new Date(run.started_at)) / 1000);
  if (!end || Number.isNaN(seconds)) return "";
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const parts = [hours && `${hours} h`, (hours || minutes) && `${minutes} min`];
  return [...parts, hours ? "" : `${Math.max(seconds, 0) % 60} s`].filter(Boolean).join(" ");
}

function cell(row, className, text, under) {
  const made = row.appendChild(element("td", text, className));
  for (const each of [under].flat().filter(Boolean)) made.append(element("small", each));
  return made;
}

function nowOf(run) {
  return (run.status === "running" && now[run.flow_run_id]) || {};
}

function placesOf(run) {
  const seen = nowOf(run);
  const [pod, node] = [run.pod || seen.pod, run.node || seen.node];
  const others = seen.pods > 1 ? `, of ${seen.pods}` : "";
  return [pod && `pod ${pod}${others}`, node && `node ${node}`];
}

function rowsOf(run) {
  const row = element("tr");
  cell(row, "", "").append(element("span", run.status, `status ${run.status}`));
  const mapped = run.map_index >= 0 ? ` [${run.map_index}]` : "";
  const name = cell(row, "", "");
  name.append(linkTo(taskOf(run), `${run.dag_id} / ${run.task_id}${mapped}`));
  name.append(element("small", run.run_id));
  cell(row, "moment", moment(run.interval_start), moment(run.interval_end));
  cell(row, "", run.job_name, placesOf(run));
  cell(row, "moment", moment(run.started_at));
  const taken = cell(row, "number", duration(run));
  if (run.status === "running") goingOn.push([taken, run]);
  cell(row, "number", String(run.try_number));
  const leads = cell(row, "leads", "");
  if (run.status === "running") {
    const button = element("button", "Live log");
    button.type = "button";
    button.addEventListener("click", () => openLive(run));
    leads.append(button);
  }
  const log = `${taskOf(run)}?try_number=${run.try_number}`;
  for (const [text, address] of [["Task log", log], ...Object.entries(run.links)]) {
    const link = linkTo(address, text);
    if (link) leads.append(link);
  }
  const said = run.message || run.reason || nowOf(run).told;
  if (!said) return [row];
  row.className = "begins";
  const why = element("tr", "", "why");
  why.append(element("td"));
  const sentence = why.appendChild(element("td", said, run.status));
  sentence.colSpan = row.children.length - 1;
  return [row, why];
}

// --- all of them ------------------------------------------------------------------------------

// Midnight where the user is, as the times that are shown.
function midnight(day, daysLater) {
  const at = day ? new Date(`${day}T00:00:00`) : null;
  if (!at || Number.isNaN(at.getTime())) return "";
  at.setDate(at.getDate() + daysLater);
  return at.toISOString();
}

function question() {
  const given = Object.fromEntries(new FormData(form));
  const since = midnight(given.since, 0);
  const until = midnight(given.until, 1);
  const wanted = { ...given, since, until, ...context, limit: PAGE_SIZE, offset };
  return new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== ""));
}

// The page is there without the cluster, which may be slow to answer, or not answer at all.
async function look() {
  const failures = [];
  if (isLooking) return;
  if (!runs.some((run) => run.status === "running")) return tellFailures(failures);
  isLooking = true;
  try {
    const answer = await answerTo(`flow-runs/now?${question()}`);
    failures.push(...answer.failures);
    if (JSON.stringify(now) !== JSON.stringify(answer.now)) {
      now = answer.now;
      draw();
    }
  } catch (error) {
    failures.push(error.message);
  } finally {
    isLooking = false;
  }
  tellFailures(failures);
}

function tellFailures(failures) {
  const place = document.getElementById("not-asked");
  place.textContent = failures.map((each) => `The cluster could not be asked. ${each}`).join("\n");
  place.hidden = !failures.length;
}

async function answerTo(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  if (response.status === 401) throw new Error("Sign in to Airflow again to see flow runs.");
  if (response.status === 403) throw new Error("Airflow does not let you read these flow runs.");
  if (!response.ok) throw new Error(`Airflow gave no usable answer (${response.status}).`);
  return response.json();
}

async function load() {
  const number = ++asked;
  try {
    const answer = await answerTo(`flow-runs?${question()}`);
    // A later question may have been answered already.
    if (number === asked) {
      show(answer);
      look();
    }
  } catch (error) {
    if (number === asked) told.textContent = error.message;
  }
}

function show(answer) {
  if (JSON.stringify(runs) !== JSON.stringify(answer.flow_runs) || !runs.length) {
    runs = answer.flow_runs;
    draw();
  }
  table.hidden = !runs.length;
  told.textContent = runs.length
    ? `${offset + 1} to ${offset + runs.length}${answer.more ? " and more" : ""}`
    : "No flow run is as asked for.";
  document.getElementById("newer").disabled = !offset;
  document.getElementById("older").disabled = !answer.more;
  pages.hidden = !offset && !answer.more;
  document.body.dataset.loaded = "yes";
}

function draw() {
  const focused = document.activeElement?.closest?.("tbody") ? placeOf() : null;
  goingOn = [];
  table.tBodies[0].replaceChildren(...runs.flatMap(rowsOf));
  if (focused !== null) focusables()[focused]?.focus();
}

function focusables() {
  return [...table.tBodies[0].querySelectorAll("a, button")];
}

function placeOf() {
  return focusables().indexOf(document.activeElement);
}

function turn(pagesOn) {
  offset = Math.max(offset + pagesOn * PAGE_SIZE, 0);
  load();
}

// --- the live log -----------------------------------------------------------------------------

const live = document.getElementById("live");
const liveTold = document.getElementById("live-told");
const lines = document.getElementById("lines");
let source = null;

function openLive(run) {
  closeLive();
  live.hidden = false;
  document.getElementById("live-title").textContent = `Live log of ${run.dag_id} / ${run.task_id}`;
  liveTold.textContent = "Connecting ...";
  const { dag_id, run_id, task_id, map_index } = run;
  const which = new URLSearchParams({ run_id, task_id, map_index });
  source = new EventSource(`dags/${encodeURIComponent(dag_id)}/live-log?${which}`);
  source.addEventListener("begin", () => {
    lines.replaceChildren();
    liveTold.textContent = "Following the flow";
  });
  source.addEventListener("lines", (event) => addLines(JSON.parse(event.data)));
  source.addEventListener("end", (event) => {
    liveTold.textContent = JSON.parse(event.data);
    source.close();
    load();
  });
  source.addEventListener("error", () => {
    const isOver = source.readyState === EventSource.CLOSED;
    liveTold.textContent = isOver ? "The live log may not be read." : "Connecting again ...";
  });
  lines.focus();
}

function addLines(texts) {
  const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  lines.append(...texts.map((text) => element("div", text || " ")));
  while (lines.childElementCount > MOST_LINES) lines.firstElementChild.remove();
  if (isAtEnd) lines.scrollTop = lines.scrollHeight;
}

function closeLive() {
  source?.close();
  source = null;
  live.hidden = true;
  lines.replaceChildren();
}

// --- begin ------------------------------------------------------------------------------------

followColours();
document.getElementById("dag").hidden = "dag_id" in context;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => ((offset = 0), load()), TYPING);
});
form.addEventListener("reset", () => setTimeout(() => ((offset = 0), load())));
document.getElementById("newer").addEventListener("click", () => turn(-1));
document.getElementById("older").addEventListener("click", () => turn(1));
document.getElementById("live-close").addEventListener("click", closeLive);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeLive();
  if (event.key === "/" && event.target.tagName !== "INPUT") {
    event.preventDefault();
    form.elements.text.focus();
  }
});
setInterval(() => {
  for (const [taken, run] of goingOn) taken.textContent = duration(run);
}, 1000);
setInterval(() => {
  if (!document.hidden && runs.some((run) => run.status === "running")) load();
}, REFRESH);
load();
