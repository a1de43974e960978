// Pages are complete without this; it makes them live, ticks their times and takes keys.
const policy = window.trustedTypes?.createPolicy("akjob", { createHTML: (html) => html, createScriptURL: (url) => url });
const html = document.documentElement;
const $ = (what, from = document) => from.querySelector(what);
const all = (what, from = document) => [...from.querySelectorAll(what)];

// Times: the job's own zone comes from the server; `z` shows the browser's, then UTC, the switch any other one.
const zones = ["server", "browser", "UTC"], chooser = $("#zone");
let zone = localStorage.getItem("akjob.zone") || "server", clock = null;
function choose(name) {
  zone = name; localStorage.setItem("akjob.zone", name);
  try { clock = new Intl.DateTimeFormat("sv-SE", { timeZone: zone === "server" || zone === "browser" ? undefined : zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" }); }
  catch { return choose("server"); } // a zone that this browser does not know
  if (chooser && ![...chooser.options].some((one) => one.value === zone)) chooser.add(new Option(zone));
  if (chooser) chooser.value = zone;
  tick();
}
chooser?.addEventListener("focus", () => { if (chooser.length < 9) for (const name of Intl.supportedValuesOf("timeZone")) if (name !== zone) chooser.add(new Option(name)); });
chooser?.addEventListener("change", () => choose(chooser.value));
// As the server writes them: a page does not move when it begins to tick.
const two = (s, large, name, small, other) => `${Math.floor(s / large)} ${name}${Math.floor(s % large / small) ? ` ${Math.floor(s % large / small)} ${other}` : ""}`;
const span = (s) => s < 10 ? `${Math.floor(s * 10) / 10} s` : s < 60 ? `${Math.floor(s)} s` : s < 600 ? two(s, 60, "min", 1, "s") : s < 3600 ? `${Math.floor(s / 60)} min`
  : s < 86400 ? two(s, 3600, "h", 60, "min") : s < 604800 ? two(s, 86400, "d", 3600, "h") : `${Math.floor(s / 86400)} d`;
const show = (one, text) => { if (one.textContent !== text) one.textContent = text; }; // what is selected stays selected
function tick() {
  for (const time of all("time[datetime]")) {
    const date = new Date(time.dateTime);
    time.dataset.text ??= time.textContent;
    if (time.classList.contains("relative")) {
      const seconds = (date - Date.now()) / 1000;
      show(time, Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`);
    } else show(time, zone === "server" ? time.dataset.text : clock.format(date));
  }
}

// Live: one stream of names of what changed; the page fetches itself again, and keeps focus, scroll and open parts.
const mark = $("#live");
let live = false, paused = false, waiting = false, silent = false, again = 0, failed = 0, lastNews = Date.now(), ended = Date.now(), rest = 250;
function say() {
  const age = Math.round((Date.now() - lastNews) / 1000);
  const text = paused ? "paused (space)" : again ? failed < 5 ? `reconnecting in ${Math.max(1, Math.ceil((again - Date.now()) / 1000))} s` : "polling every 10 s"
    : silent ? "akjob-web does not answer" : !live ? "" : html.dataset.down !== undefined ? "akjobd does not run: showing the ledger" : age > 12 ? `live · ${span(age)} ago` : "live";
  if (mark && text && mark.textContent !== text) mark.textContent = text;
}
let announced = 0;
const announce = (text) => {
  const region = $("#announce");
  if (region && Date.now() - announced > 5000) { announced = Date.now(); region.textContent = text; }
};
async function refresh(anew = false) {
  if (paused && !anew || waiting || document.hidden) return anew && soon(100);
  if (document.activeElement?.closest("form[data-edit]") || getSelection()?.toString()) return soon(2000);
  waiting = true;
  const begun = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) return;
    const next = parsed(await answer.text());
    const script = (page) => $("script[src]", page)?.getAttribute("src");
    if (script(next) && script(next) !== script(document)) return location.reload(); // akjob-web is another version now
    if (!anew) freeze(next);
    told.clear();
    for (const id of ["attention", "content"]) swap($(`#${id}`), $(`#${id}`, next));
    for (const link of all("header nav a")) link.textContent = $(`header nav a[href="${link.getAttribute("href")}"]`, next)?.textContent ?? link.textContent;
    document.title = next.title;
    $("link[rel=icon]").href = $("link[rel=icon]", next).href;
    html.toggleAttribute("data-down", next.documentElement.dataset.down !== undefined);
    lastNews = Date.now(); silent = false;
    count(); say(); tick(); chosen();
  } catch { silent = true; say(); } finally {
    waiting = false; ended = Date.now();
    const took = ended - begun;
    rest = Math.max(250 - took, 4 * took); // four a second at the most
    follow();
  }
}
// Rows stay where they are: another order, and rows that came or went, wait for a click.
function freeze(next) {
  const old = $("tbody[data-keep]"), fresh = $("tbody[data-keep]", next);
  if (!old || !fresh) return;
  const order = [...old.children], there = new Map([...fresh.children].map((row) => [row.id, row]));
  const at = [...there.keys()], moved = order.filter((row, index) => at[index] !== row.id).length;
  if (!moved && at.length === order.length) return;
  fresh.replaceChildren(...order.map((row) => there.get(row.id) ?? row.cloneNode(true)));
  const bar = $("#apply", next);
  bar.hidden = false; $("span", bar).textContent = `The order is another now: ${moved || 1} ${moved > 1 ? "rows" : "row"} moved.`;
}
// Output of a run is not an event: its page asks once a second while it runs.
const follow = () => { if ($("[data-follow]")) soon(Math.max(1000, rest)); };
const parsed = (text) => new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html");
function swap(old, fresh) {
  if (!old || !fresh) return;
  const log = $(".log[data-end]", old), follows = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  const next = $(".log[data-end]", fresh);
  if (log && next && !follows) { // what is read stays where it is; what came is counted
    const newest = (one) => Number($("li:last-child a", one)?.textContent ?? 0), more = newest(next) - newest(log);
    const button = $("#log-new", fresh);
    if (button && more > 0) { button.hidden = false; button.textContent = `${more} new ${more === 1 ? "line" : "lines"} ↓`; }
    next.replaceWith(log.cloneNode(true));
  }
  morph(old, fresh);
  if (follows) log.scrollTop = log.scrollHeight;
}
// Only what differs is changed: focus, selection, scrolling, open parts and what is typed stay as they are.
function morph(old, fresh) {
  if (old.nodeType === 3 && old.data !== fresh.data) old.data = fresh.data;
  if (old.nodeType !== 1 || old.id === "suggested" || old.dataset.said) return; // a button that says what came of it goes on to
  const kept = (name) => name === "open" && old.localName === "details";
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !kept(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !kept(name)) old.setAttribute(name, value);
  const byId = new Map([...old.children].filter((one) => one.id).map((one) => [one.id, one]));
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    while (at?.id && !node.id && !$(`#${CSS.escape(at.id)}`, fresh)) { const gone = at; at = at.nextSibling; gone.remove(); }
    const same = node.id ? byId.get(node.id) : at && !at.id && at.nodeName === node.nodeName ? at : null;
    if (!same) { old.insertBefore(node, at); continue; }
    if (same === at) at = at.nextSibling; else old.insertBefore(same, at);
    morph(same, node);
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
}
// A refresh comes at once, but not within the rest after the last one: a slow server, or one with many tabs, is asked less.
let due = 0, dueAt = 0;
const rested = () => Math.max(0, ended + rest - Date.now());
function soon(wait = rested()) {
  const at = Date.now() + wait;
  if (due && dueAt <= at) return;
  clearTimeout(due); dueAt = at;
  due = setTimeout(() => { due = 0; refresh(); }, wait);
}
const shows = (job) => { const path = `/jobs/${encodeURI(job)}`; return location.pathname === path || $(`main a[href="${CSS.escape(path)}"]`); };
let stream = null;
function heard({ open, change, wait, failures }) {
  if (open) { live = true; again = 0; say(); soon(); } // what changed since the page was made has no event
  if (change) {
    const seen = location.pathname === "/runs" || change.jobs?.some(shows);
    soon(seen || !change.jobs?.length ? rested() : 5000);
    if (seen) announce(`${change.jobs.length} ${change.jobs.length === 1 ? "job" : "jobs"} changed`);
  }
  if (wait) {
    live = false; failed = failures; again = Date.now() + wait * 1000; say();
    if (failures >= 5) refresh();
  }
}
function connect() {
  if (html.dataset.live === undefined || stream) return;
  if (!self.SharedWorker) return direct();
  const worker = new SharedWorker(policy ? policy.createScriptURL(html.dataset.live) : html.dataset.live, { type: "module" });
  worker.port.onmessage = ({ data }) => heard(data);
  worker.port.postMessage("join");
  stream = { close: () => worker.port.postMessage("leave") };
}
function direct(failures = 0) {
  const source = stream = new EventSource("/api/v1/events");
  source.onopen = () => { failures = 0; heard({ open: true }); };
  source.addEventListener("change", (event) => heard({ change: JSON.parse(event.data) }));
  source.addEventListener("refetch", () => heard({ open: true })); // more changed than is kept
  source.onerror = () => {
    source.close(); stream = null; failures += 1;
    const wait = failures < 5 ? Math.min(2 ** failures, 15) + Math.random() : 10;
    heard({ wait, failures });
    setTimeout(() => stream ?? direct(failures), wait * 1000);
  };
}
const leave = () => { stream?.close(); stream = null; };
addEventListener("pagehide", leave);
addEventListener("pageshow", connect);
let hidden = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(leave, 60000);
  else { connect(); refresh(); }
});

// Actions: a form is sent once, and says what came of it in place.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  const button = event.submitter;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  if (button) setTimeout(() => { button.disabled = true; button.textContent = "Sent …"; });
});

// Strips: one tab stop each. Arrows and the mouse say a slot, Enter and a click open its run.
const tip = $("#tip"), told = new Map();
let strip = null, slots = [], slot = -1;
const hide = () => { tip.textContent = ""; slot = -1; };
async function point(link, where) {
  const url = link.dataset.strip;
  if (!told.has(url)) told.set(url, fetch(url).then((answer) => answer.ok ? answer.json() : []).catch(() => []));
  const found = await told.get(url), svg = $("svg", link), box = svg.getBoundingClientRect(), count = svg.viewBox.baseVal.width / 6;
  if (!found.length) return hide();
  if (strip !== link) slot = found.length;
  strip = link; slots = found;
  slot = Math.max(0, Math.min(found.length - 1, where(slot < 0 ? found.length : slot, found.length - count, box, count)));
  if (tip.textContent !== found[slot].said) tip.textContent = found[slot].said;
  const x = box.left + (count - found.length + slot + .5) * box.width / count, left = Math.max(8, Math.min(x - 20, innerWidth - tip.offsetWidth - 8));
  tip.style.left = `${left + scrollX}px`; tip.style.top = `${box.bottom + scrollY + 8}px`; tip.style.setProperty("--at", `${x - left - 4}px`);
}
const barOf = (event) => event.target.closest?.("a.slots");
const under = (event) => (_, off, box, count) => Math.floor((event.clientX - box.left) / box.width * count) + off;
document.addEventListener("pointermove", (event) => { const link = barOf(event); if (link) point(link, under(event)); else if (strip && document.activeElement !== strip) hide(); });
document.addEventListener("focusout", (event) => { if (barOf(event)) hide(); });
document.addEventListener("click", (event) => { if (barOf(event) && slot >= 0 && slots[slot]) { event.preventDefault(); location.href = `/runs/${slots[slot].run}`; } });

// Search: suggestions of words and names, fetched when they are first needed; the list follows what is typed.
const q = $("input[data-names]");
let names = null, typing = 0;
async function suggest() {
  names ??= fetch(q.dataset.names).then((answer) => answer.ok ? answer.json() : null).catch(() => null);
  const known = await names, cut = q.value.lastIndexOf(" ") + 1, word = q.value.slice(cut).toLowerCase();
  if (!known) return;
  const fits = [...known.words.filter((one) => one.startsWith(word)), ...(word ? known.names.filter((one) => one.toLowerCase().includes(word)) : [])];
  $("#suggested").replaceChildren(...fits.slice(0, 12).map((one) => Object.assign(document.createElement("option"), { value: q.value.slice(0, cut) + one })));
}
q?.addEventListener("focus", suggest);
q?.addEventListener("input", () => {
  suggest(); clearTimeout(typing);
  typing = setTimeout(() => {
    const url = new URL(location.href);
    if (q.value.trim()) url.searchParams.set("q", q.value.trim()); else url.searchParams.delete("q");
    url.searchParams.delete("page"); url.searchParams.delete("folder");
    history.replaceState(null, "", url); refresh(true);
  }, 200);
});

// Ticked rows: Shift takes all since the last one.
let ticked = null;
function tick1(box, range = false, on = box && !box.checked) {
  if (!box) return;
  const boxes = all("input.tick"), [from, to] = [boxes.indexOf(ticked), boxes.indexOf(box)].sort((one, other) => one - other);
  for (const one of range && from >= 0 ? boxes.slice(from, to + 1) : [box]) one.checked = on;
  ticked = box;
  count();
}
function count() {
  const found = all("input.tick:checked").length;
  if (found) $("#ticked").textContent = `With the ${found} ticked`;
  else if ($("#ticked")) $("#ticked").textContent = "With the ticked jobs";
}
document.addEventListener("click", (event) => {
  if (event.target.matches?.("input.tick")) tick1(event.target, event.shiftKey, event.target.checked);
  if (event.target.closest?.("#apply button")) refresh(true);
  if (event.target.closest?.("[data-sheet]")) setTimeout(() => $(".sheet:target input:not([type=hidden])")?.focus());
});

// Keys, listed on `?`.
const here = () => rows().find((row) => row.contains(document.activeElement));
function several(key) {
  const box = $("input.tick", here() ?? $("#tip"));
  if (box && !$("input.tick:checked")) tick1(box);
  $(`[data-key=${key}]`)?.focus();
}
const theme = () => { const next = { "": "light", light: "dark", dark: "" }[html.dataset.theme ?? ""]; localStorage.setItem("akjob.theme", next); setTheme(next); };
function setTheme(value) { if (value) html.dataset.theme = value; else delete html.dataset.theme; }
const rows = () => all("main tbody tr");
function move(by) {
  const list = rows(), at = list.findIndex((row) => row.contains(document.activeElement));
  $("a", list[Math.max(0, Math.min(list.length - 1, at + by))] ?? document)?.focus();
}
const go = { n: "/", j: "/", t: "/timeline", r: "/runs", p: "/plan", b: "/broken", s: "/system", m: "/messages" };
let gone = 0;
const keys = {
  "/": () => ($("main input[type=search]") ?? $("#find"))?.focus(), "?": () => $("#keys")?.showModal(), t: theme,
  j: () => move(1), k: () => move(-1), z: () => { choose(zones[(zones.indexOf(zone) + 1) % 3]); announce(`times: ${zone}`); },
  " ": () => { paused = !paused; say(); if (!paused) refresh(); },
  "[": () => $("a[rel=prev]")?.click(), "]": () => $("a[rel=next]")?.click(), f: () => $("a[data-key=f]")?.click(), l: () => $("#log")?.scrollIntoView(),
  x: () => tick1($("input.tick", here() ?? $("#tip"))), X: () => tick1($("input.tick", here() ?? $("#tip")), true),
  r: () => ($("[data-key=r]", here() ?? document) ?? $("[data-key=r]"))?.focus(), p: () => several("p"), s: () => several("s"), End: () => { const log = $(".log"); if (log) log.scrollTop = log.scrollHeight; },
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("akjob.keys") === "off") return;
  const link = barOf(event);
  if (link && (event.key === "ArrowLeft" || event.key === "ArrowRight")) { event.preventDefault(); point(link, (at) => at + (event.key === "ArrowLeft" ? -1 : 1)); return; }
  if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
  if (event.key === " " && event.target.closest("button, a, summary, input")) return;
  const move = event.target.closest("#timeline") && $(`.moves a[data-key="${CSS.escape(event.key)}"]`);
  if (move) { event.preventDefault(); sessionStorage.setItem("akjob.moved", "1"); location.href = move.href; return; }
  if (Date.now() - gone < 3000 && go[event.key]) { gone = 0; location.href = go[event.key]; return; }
  if (event.key === "g") { gone = Date.now(); return; }
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});
$("#theme")?.addEventListener("click", theme);
$("#keys-off")?.addEventListener("change", (event) => localStorage.setItem("akjob.keys", event.target.checked ? "off" : "on"));
// Lines of a log: a click on a number chooses one, with Shift all up to it, also beyond what the page shows.
const place = () => (location.hash.match(/^#L(\d+)(?:-L(\d+))?$/) ?? []).slice(1).map((one) => Number(one ?? 0));
function chosen(event) {
  const [from, to] = place(), button = $("#log-copy");
  for (const line of all(".log li")) line.classList.toggle("chosen", Boolean(to) && Number(line.id.slice(1)) >= from && Number(line.id.slice(1)) <= to);
  if (from) sessionStorage.setItem("akjob.line", `${location.pathname} ${from}`);
  if (button && event) delete button.dataset.said;
  if (button && !button.dataset.said) { button.hidden = !to; if (to) button.textContent = `Copy lines ${from} to ${to}`; }
}
const answered = (button, text) => { button.dataset.said = "1"; button.textContent = text; };
async function copyLines() {
  const [from, to] = place(), button = $("#log-copy"), answer = await fetch(`${button.dataset.lines}?from=${from}&to=${to}`);
  if (!answer.ok) return answered(button, "akjob-web does not give these lines");
  copy(await answer.text()).then(() => answered(button, "Copied"), () => answered(button, "This browser does not copy"));
}
document.addEventListener("click", (event) => {
  const link = event.target.closest?.(".log li > a"), [path, from] = (sessionStorage.getItem("akjob.line") ?? "").split(" ");
  if (!link || !event.shiftKey || path !== location.pathname) return;
  event.preventDefault();
  const ends = [Number(from), Number(link.parentElement.id.slice(1))].sort((one, other) => one - other);
  history.replaceState(null, "", `#L${ends[0]}-L${ends[1]}`); chosen(event);
});
addEventListener("hashchange", chosen);
document.addEventListener("copy", (event) => {
  const text = getSelection(), within = text.rangeCount ? text.getRangeAt(0).commonAncestorContainer : null;
  const time = (within?.nodeType === 1 ? within : within?.parentElement)?.closest("time[datetime]");
  if (place()[1] && text.isCollapsed) { event.preventDefault(); copyLines(); }
  else if (time && !text.isCollapsed) { event.preventDefault(); event.clipboardData.setData("text/plain", time.dateTime); } // an instant is copied to its microsecond
});
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const box = document.createElement("textarea"); // by plain HTTP there is no clipboard
  box.value = text; document.body.append(box); box.select(); document.execCommand("copy"); box.remove();
}
all("[data-copy]").forEach((button) => button.addEventListener("click", () => { copy($(button.dataset.copy)?.textContent ?? ""); button.textContent = "Copied"; }));
document.addEventListener("click", async ({ target }) => {
  if (target.id === "log-copy") return copyLines();
  if (target.id === "log-new") { target.hidden = true; const log = $(".log"); log.scrollTop = log.scrollHeight; refresh(); }
  const from = target.dataset?.copyFrom;
  if (!from) return;
  const answer = await fetch(from);
  const text = (await answer.text()).replace(/\x1b\[[0-9;:]*[A-Za-z]/g, ""); // colours are not part of the text
  copy(text).then(() => answered(target, "Copied"), () => answered(target, "This browser does not copy"));
});
setTheme(localStorage.getItem("akjob.theme") || "");
const night = () => document.body.classList.toggle("night", [22, 23, 0, 1, 2, 3, 4, 5].includes(new Date().getHours()));
if (document.body.classList.contains("tv")) { night(); setInterval(night, 60000); }
choose(zone); setInterval(() => { tick(); say(); }, 1000);
setInterval(() => { if (Date.now() - lastNews > 60000) refresh(); }, 5000); // what is late, or an akjobd that has died, is no event
connect();
follow();
chosen();
if (place()[1]) $(`#L${place()[0]}`)?.scrollIntoView({ block: "center" });
const lanes = $(".timeline")?.parentElement;
if (lanes && sessionStorage.getItem("akjob.moved")) { sessionStorage.removeItem("akjob.moved"); lanes.focus({ preventScroll: true }); }
if (lanes) lanes.scrollLeft = lanes.scrollWidth * .75 - lanes.clientWidth * .7; // now stands at three quarters
const at = $(".log[data-at]");
if (at && !location.hash) { const line = document.getElementById(at.dataset.at); if (line) at.scrollTop = line.offsetTop - at.offsetTop - at.clientHeight / 2; }
const log = $(".log[data-end]");
if (log && (!location.hash || location.hash === "#log")) log.scrollTop = log.scrollHeight;
