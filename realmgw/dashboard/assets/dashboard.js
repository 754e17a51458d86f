// The dashboard: what the gateway tells by server-sent events becomes text, tables and pictures. All that is told is
// put in as text, never as markup. What is kept here is bounded: SAMPLES of each rate, MOST_FLOWS flows.
"use strict";

const SAMPLES = 120, MOST_FLOWS = 1000, LANES = 40, LANE = 7, ROWS = 50, LISTED = 200;
const RATES = [["queries", "queries/s"], ["lent", "addresses lent/s"], ["admitted", "flows admitted/s"], ["refused", "refused/s"]];
const history = new Map(RATES.map(([name]) => [name, []]));
const flows = new Map();
let source = null, skew = 0, picture = null, mayChange = false, held = false, heldAt = 0, isListed = false;

const $ = (id) => document.getElementById(id);
const now = () => Date.now() / 1000 + skew;
const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour12: false });
const rounded = (value, digits = 1) => value === null || value === undefined ? "–" : value.toFixed(digits);

function put(parent, tag, text = "", attributes = {}) {
  const made = tag === "svg" || parent.namespaceURI.endsWith("svg")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

function button(parent, text, does, key) {
  const made = put(parent, "button", text, { type: "button", class: "link", "data-key": key });
  made.addEventListener("click", does);
  return made;
}

// Rows are made anew each second: who has the focus on one of their buttons keeps it.
function table(id, titles, rows, empty) {
  const at = $(id), focused = at.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  at.replaceChildren();
  if (!rows.length) put(at, "caption", empty);
  const head = put(put(at, "thead"), "tr");
  for (const title of rows.length ? titles : []) put(head, "th", title, { scope: "col", class: title.startsWith("#") ? "number" : "" }).textContent = title.replace("#", "");
  const body = put(at, "tbody");
  for (const row of rows) {
    const line = put(body, "tr");
    row.forEach((cell, index) => {
      const is = put(line, "td", typeof cell === "function" ? "" : String(cell ?? "–"), { class: titles[index].startsWith("#") ? "number" : "" });
      if (typeof cell === "function") cell(is);
    });
  }
  if (focused) [...at.querySelectorAll("button")].find((each) => each.dataset.key === focused)?.focus();
}

// Commands: what only tells is asked for by GET, what changes something by POST and after a question.

async function ask(path, given = {}, method = "GET") {
  const answer = await fetch(`/v1/${path}?${new URLSearchParams(given)}`, { method });
  const value = await answer.json();
  if (answer.status === 401) enter();
  if (!answer.ok) throw new Error(value.detail);
  return value;
}

function dialog(title, fill, action = null, does = null) {
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren();
  fill($("dialog-body"));
  $("dialog-do").hidden = !action;
  $("dialog-do").textContent = action ?? "";
  $("dialog-do").onclick = does;
  if (!$("dialog").open) $("dialog").showModal();
  (action ? $("dialog-do") : $("dialog-close")).focus();
}

function told(title, value) {
  dialog(title, (body) => describe(body, value));
}

function describe(body, value) {
  const list = put(body, "dl");
  for (const [name, each] of Object.entries(value)) {
    if (each === null || each === "" || (Array.isArray(each) && !each.length)) continue;
    put(list, "dt", name.replaceAll("_", " "));
    put(list, "dd", Array.isArray(each) ? each.map((one) => typeof one === "object" ? JSON.stringify(one) : one).join(", ")
      : typeof each === "object" ? JSON.stringify(each) : String(each));
  }
}

async function show(title, path, given) {
  try {
    told(title, await ask(path, given));
  } catch (error) {
    dialog(title, (body) => put(body, "p", error.message));
  }
}

function change(title, says, action, path, given) {
  dialog(title, (body) => put(body, "p", says), action, async () => {
    try {
      const done = await ask(path, typeof given === "function" ? given() : given, "POST");
      told(`${title}: done`, done.summary ? { summary: done.summary, problems: done.problems } : done);
    } catch (error) {
      dialog(`${title}: not done`, (body) => put(body, "p", error.message));
    }
  });
}

// What is told every second

function tell(value) {
  skew = value.at - Date.now() / 1000;
  document.title = `${plain(value.name)} – realmgw`;
  $("name").textContent = plain(value.name);
  $("state").textContent = value.state;
  $("state").className = value.state === "healthy" ? "good" : "bad";
  $("about").textContent = `realmgw ${value.version}, up ${lasting(value.uptime)}, ${value.in_all.hosts} hosts, ${value.in_all.services} services`;
  $("notice").textContent = "";
  $("troubles").replaceChildren();
  for (const each of value.troubles) put($("troubles"), "li", each);
  tellRates(value);
  tellPool(value.pool, value.picture);
  table("refused", ["what", "reason", "#a second", "#in all", "what would have helped"], value.refused.map((row) =>
    [row.what, row.reason.replaceAll("_", " "), rounded(row.rate), row.total, row.remedy]), "nothing was refused");
  const told = ["#addresses", "#waited for", "#let in"];
  const counts = (row) => [row.addresses, row.waiting, row.admitted];
  table("names", ["name", ...told], value.names.map((row) => [plain(row.name), ...counts(row)]), "no name has an address now");
  table("hosts", ["host", ...told], value.hosts.map((row) => [(cell) =>
    button(cell, plain(row.name), () => show(plain(row.name), "subscribers/show", { name: row.name }), row.name), ...counts(row)]), "no host has an address now");
  table("resolvers", ["resolver", "reputation", "#used", "#unused", "kind", ""], value.resolvers.map(resolver), "nobody has asked yet");
}

function lasting(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  return first < 0 ? "0 s" : parts.slice(first, first + 2).map(([size, unit], at) =>
    `${Math.floor((at ? seconds % parts[first][0] : seconds) / size)} ${unit}`).join(" ");
}

function tellRates(value) {
  const refused = value.refused.reduce((sum, row) => sum + (row.rate ?? 0), 0);
  $("rates").replaceChildren();
  for (const [name, title] of RATES) {
    const samples = history.get(name), rate = name === "refused" ? refused : value.rates[name];
    samples.push(rate);
    if (samples.length > SAMPLES) samples.shift();
    const tile = put($("rates"), "div", "", { class: "rate" }), top = Math.max(1, ...samples);
    put(tile, "b", rounded(rate));
    put(tile, "span", title, { class: "soft" });
    const graph = put(tile, "svg", "", { viewBox: `0 0 ${SAMPLES - 1} 40`, preserveAspectRatio: "none", "aria-hidden": "true" });
    put(graph, "polyline", "", { points: samples.map((each, at) => `${SAMPLES - samples.length + at},${39 - 38 * each / top}`).join(" ") });
  }
}

function tellPool(pool, drawn) {
  const used = `${pool.waiting} of ${pool.size} addresses are waited at, ${pool.lingering} linger, ${pool.free} are free`;
  $("pool-text").textContent = `${used}; ${pool.queries_waiting} queries wait. Each cell: ${drawn.each === 1 ? "an address" : `${drawn.each} addresses`}.`;
  $("pool").setAttribute("aria-label", `The pool: ${used}`);
  picture = drawn;
  draw();
}

function draw() {
  if (!picture) return;
  const canvas = $("pool"), width = canvas.clientWidth, cells = picture.waiting.length, scale = window.devicePixelRatio;
  if (!width || !cells) return;
  const columns = Math.min(cells, Math.max(8, Math.ceil(Math.sqrt(cells * 3)))), size = Math.min(24, width / columns);
  const rows = Math.ceil(cells / columns), colour = getComputedStyle(document.documentElement);
  canvas.width = width * scale;
  canvas.height = rows * size * scale;
  canvas.style.height = `${rows * size}px`;
  const pen = canvas.getContext("2d"), gap = size > 4 ? 1 : 0;
  pen.scale(scale, scale);
  for (let cell = 0; cell < cells; cell++) {
    const shares = [["--free", 1], ["--lingering", (picture.waiting[cell] + picture.lingering[cell]) / picture.each], ["--waiting", picture.waiting[cell] / picture.each]];
    const x = (cell % columns) * size, y = Math.floor(cell / columns) * size, side = size - gap;
    for (const [name, share] of shares) {
      pen.fillStyle = colour.getPropertyValue(name);
      pen.fillRect(x, y + side * (1 - share), side, side * share);
    }
  }
}

function resolver(row) {
  const change = (cell) => mayChange && button(cell, "Set…", () => setReputation(row), `set ${row.name}`).setAttribute("aria-label", `Set the reputation of ${row.name}`);
  const bar = (cell) => {
    put(cell, "meter", "", { min: 0, max: 1, value: row.reputation, "aria-label": "reputation" });
    put(cell, "span", ` ${rounded(row.reputation, 3)}`);
  };
  return [(cell) => button(cell, row.name, () => show(row.name, "reputation/show", { who: row.name }), row.name), bar, row.ok, row.nok, row.kind, change];
}

function setReputation(row) {
  change(`Reputation of ${row.name}`, `It is ${row.reputation} now, from 0 to 1. What comes later changes it further.`, "Set", "reputation/set",
    () => ({ who: row.name, reputation: $("value").value }));
  put($("dialog-body"), "label", "New reputation ", { for: "value" });
  put($("dialog-body"), "input", "", { id: "value", type: "number", min: 0, max: 1, step: 0.01, value: row.reputation });
  $("value").focus();
}

// Flows

const identity = (flow) => [flow.protocol, flow.address, flow.port, flow.via, flow.via_port, flow.client, flow.client_port].join(" ");
const ends = (host, port) => port ? `${host.includes(":") ? `[${host}]` : host}:${port}` : host;
const plain = (name) => name.replace(/\.$/, "");
const called = (flow) => plain(flow.service ?? flow.host ?? flow.address);

function hear(value) {
  for (const flow of value.rows) {
    const key = identity(flow), known = flows.get(key);
    if (flow.event === "begins") {
      flows.delete(key);
      flows.set(key, { ...flow, key, begin: flow.at, end: null });
    } else if (known) {
      Object.assign(known, { end: flow.at, packets: flow.packets ?? known.packets, octets: flow.octets ?? known.octets });
    } else {
      flows.set(key, { ...flow, key, begin: null, end: flow.at });
    }
  }
  bound();
  const lost = value.lost ? `${value.lost} flows more, at least, were not told: there were too many. ` : "";
  if (value.untold || lost) $("flows-text").dataset.said = value.untold ? `Flows are not told: ${value.untold}. ` : lost;
  else delete $("flows-text").dataset.said;
  tellFlows();
}

function bound() {
  for (const key of flows.keys()) {
    if (flows.size <= MOST_FLOWS) return;
    if (flows.get(key).end !== null) flows.delete(key);
  }
  for (const key of flows.keys()) {
    if (flows.size <= MOST_FLOWS) return;
    flows.delete(key);
  }
}

async function listFlows() {
  if (isListed) return;
  isListed = true;
  try {
    for (const flow of (await ask("flows/list", { limit: LISTED })).flows) {
      const key = identity(flow);
      if (!flows.has(key)) flows.set(key, { ...flow, key, begin: null, end: null });
    }
    tellFlows();
  } catch (error) {
    $("flows-text").dataset.said = `${error.message}. `;
  }
}

function wanted() {
  const match = $("match").value.trim().toLowerCase(), until = held ? heldAt : now(), from = until - Number($("span").value);
  const has = (flow) => !match || [flow.client, flow.service, flow.host, flow.address, flow.via, flow.protocol].some((each) => each && each.toLowerCase().includes(match));
  const seen = [...flows.values()].filter((flow) => (flow.end ?? until) >= from && (flow.begin ?? from) <= until && has(flow));
  return { seen, from, until };
}

function tellFlows() {
  if ($("board").hidden) return;
  const { seen, from, until } = wanted();
  const said = $("flows-text").dataset.said ?? "";
  $("flows-text").textContent = `${said}${seen.length} flows${held ? `, held at ${clock(heldAt)}` : ""}.`;
  drawFlows(seen, from, until);
  const rows = seen.slice(-ROWS).reverse();
  table("flows", ["client", "name", "host", "via", "protocol", "from", "to", ""], rows.map((flow) => [
    ends(flow.client, flow.client_port), (flow.direction === "out" ? "out from " : "") + called(flow), ends(flow.address, flow.port), flow.via ?? "–",
    flow.protocol, flow.begin === null ? "before" : clock(flow.begin), flow.end === null ? "now" : clock(flow.end),
    (cell) => button(cell, "Details", () => showFlow(flow), flow.key).setAttribute("aria-label", `Details of ${ends(flow.client, flow.client_port)} to ${called(flow)}`)]), "no flow in this time");
}

function drawFlows(seen, from, until) {
  const svg = $("timeline"), width = svg.clientWidth || 300, free = [];
  const x = (at) => Math.max(0, Math.min(width, width * (at - from) / (until - from)));
  svg.replaceChildren();
  const height = LANES * LANE + 18;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (let tick = 0; tick < 4; tick++) {
    const at = from + (until - from) * tick / 4;
    put(svg, "line", "", { x1: x(at), x2: x(at), y1: 0, y2: height });
    put(svg, "text", clock(at), { x: x(at) + 3, y: height - 4 });
  }
  // The latest flows come first: each has a lane to its left edge, and an earlier one that had ended by then the rest.
  const latest = [...seen].sort((a, b) => (b.begin ?? 0) - (a.begin ?? 0));
  let left = 0;
  for (const flow of latest) {
    const begin = x(flow.begin ?? from), end = Math.max(x(flow.end ?? until), begin + 3);
    let lane = free.findIndex((taken) => end <= taken);
    if (lane < 0) lane = free.length;
    if (lane >= LANES) { left++; continue; }
    free[lane] = begin - 1;
    const bar = put(svg, "rect", "", { x: begin, y: lane * LANE, width: end - begin, height: LANE - 2, rx: 2, class: `${flow.direction} ${flow.end === null ? "" : "over"}` });
    put(bar, "title", `${ends(flow.client, flow.client_port)} – ${called(flow)} (${flow.protocol})`);
    bar.addEventListener("click", () => showFlow(flow));
  }
  if (left) $("flows-text").textContent += ` The picture leaves out ${left} that began before the others.`;
}

function showFlow(flow) {
  const { key, event, at, begin, end, ...rest } = flow;
  const value = { from: begin === null ? "before this page was opened" : clock(begin), to: end === null ? "now" : clock(end), ...rest };
  const title = `${ends(flow.client, flow.client_port)} to ${called(flow)}`;
  const isOn = mayChange && end === null;
  dialog(title, (body) => describe(body, value), isOn ? "End…" : null, () => change("End flows",
    `All flows of ${flow.protocol} between ${flow.client} and ${flow.host ?? flow.address} end, in both directions, not only this one.`,
    "End them", "flows/kill", { host: flow.address, client: flow.client, protocol: flow.protocol }));
  if (flow.direction === "in" && flow.via) explain(flow);
}

async function explain(flow) {
  const body = $("dialog-body");
  await traced(body, ends(flow.client, flow.client_port), ends(flow.via, flow.via_port));
  try {
    const found = await ask("explain/packet", { source: flow.client, destination: flow.via, protocol: flow.protocol, port: flow.via_port ?? 0, source_port: flow.client_port ?? 0 });
    put(body, "h3", "What would become of such a first packet now");
    const list = put(body, "ol");
    for (const step of found.steps) put(list, "li", step);
  } catch (error) {
    put(body, "p", error.message);
  }
}

// Decisions: queries that were answered or not, and first packets that were let in or not, with why

let decisions = [];

function decide(value) {
  const known = new Set(decisions.map((row) => JSON.stringify(row)));  // who connects again is told the last ones again
  decisions = [...value.rows.filter((row) => !known.has(JSON.stringify(row))).reverse(), ...decisions].slice(0, ROWS);
  $("decisions-text").textContent = value.untold ? `Decisions are not told: ${value.untold}.` : value.lost ? `${value.lost} decisions more were not told: there were too many.` : "";
  table("decisions", ["when", "what", "who", "name", "why", "trace", ""], decisions.map((row) => [
    clock(row.at), row.what.replaceAll("_", " "), row.resolver ?? (row.source ? ends(row.source, row.source_port) : "–"), plain(row.name ?? "–"),
    (row.why ?? (row.address ? `told ${row.address}` : "–")).replaceAll("_", " "), row.id,
    (cell) => row.source && button(cell, "Trace", () => trace(`Trace of ${ends(row.source, row.source_port)}`, ends(row.source, row.source_port), ends(row.destination, row.port)),
      `${row.at} ${row.source} ${row.source_port}`).setAttribute("aria-label", `Trace of ${ends(row.source, row.source_port)}`)]), "nothing was decided lately");
}

async function trace(title, source, destination) {
  dialog(title, () => {});
  await traced($("dialog-body"), source, destination);
}

// What was decided about a flow, from the query on: nothing is known of it any more when others have taken its place.
async function traced(body, source, destination) {
  try {
    const found = await ask("explain/flow", { source, destination });
    put(body, "h3", "What was decided");
    const list = put(body, "ol");
    for (const row of found.decisions) {
      const who = row.resolver ? `for the resolver ${row.resolver}` : row.source && `${ends(row.source, row.source_port)} to ${ends(row.destination, row.port)}`;
      put(list, "li", [clock(row.at), row.what.replaceAll("_", " "), row.name && plain(row.name), row.address && `told ${row.address}`, who,
        row.why && `(${row.why.replaceAll("_", " ")})`, row.id && `trace ${row.id}`].filter(Boolean).join(" "));
    }
    if (!found.decisions.length) put(body, "p", "Nothing is known of it any more.");
  } catch (error) {
    put(body, "p", error.message);
  }
}

// Sessions

function enter(why = "") {
  source?.close();
  source = null;
  $("board").hidden = $("leave").hidden = $("reload").hidden = true;
  $("login").hidden = false;
  $("denied").textContent = why;
  $("token").focus();
}

async function signIn(token) {
  const answer = await fetch("/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  if (answer.ok) return begin();
  return enter((await answer.json()).detail);
}

async function begin() {
  const answer = await fetch("/session"), value = await answer.json();
  if (!answer.ok) return enter(value.detail);
  if (!value.may) return enter();
  mayChange = value.actions;
  $("login").hidden = true;
  $("board").hidden = false;
  $("leave").hidden = !value.token;
  $("reload").hidden = !mayChange;
  source = new EventSource("/live");
  source.addEventListener("now", (event) => tell(JSON.parse(event.data)));
  source.addEventListener("flows", (event) => hear(JSON.parse(event.data)));
  source.addEventListener("decisions", (event) => decide(JSON.parse(event.data)));
  source.addEventListener("over", (event) => {
    source.close();
    $("notice").textContent = `${JSON.parse(event.data)} Load the page again to go on.`;
  });
  source.addEventListener("error", () => {
    $("state").textContent = "the gateway does not answer";
    $("state").className = "bad";
    if (source.readyState === EventSource.CLOSED) begin();
  });
  return listFlows();
}

async function leave() {
  await fetch("/session", { method: "DELETE" });
  enter();
}

async function askReload() {
  try {
    const plan = await ask("plan");
    change("Reload", plan.different ? plan.lines.join(" · ") : "Nothing would change.", "Reload", "reload", {});
  } catch (error) {
    dialog("Reload", (body) => put(body, "p", error.message));
  }
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = $("token").value;
  $("token").value = "";
  signIn(token);
});
$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  show($("host").value, "subscribers/show", { name: $("host").value });
});
$("leave").addEventListener("click", leave);
$("reload").addEventListener("click", askReload);
$("dialog-close").addEventListener("click", () => $("dialog").close());
$("hold").addEventListener("click", () => {
  held = !held;
  heldAt = now();
  $("hold").setAttribute("aria-pressed", String(held));
  tellFlows();
});
$("match").addEventListener("input", tellFlows);
$("span").addEventListener("change", tellFlows);
$("timeline").addEventListener("wheel", (event) => {
  const span = $("span"), next = span.selectedIndex + Math.sign(event.deltaY);
  if (next < 0 || next >= span.options.length) return;
  event.preventDefault();
  span.selectedIndex = next;
  tellFlows();
}, { passive: false });
new ResizeObserver(() => { draw(); tellFlows(); }).observe($("board"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

// A token behind the # is never sent as a part of an address; it does not stay in the history either.
const token = decodeURIComponent(location.hash.slice(1));
window.history.replaceState(null, "", location.pathname);
if (token) signIn(token);
else begin();
