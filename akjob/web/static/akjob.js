// Pages are complete without this; it makes them live, ticks their times and takes keys.
const policy = window.trustedTypes?.createPolicy("akjob", { createHTML: (html) => html });
const html = document.documentElement;
const $ = (what, from = document) => from.querySelector(what);
const all = (what, from = document) => [...from.querySelectorAll(what)];

// Times: the job's own zone comes from the server; `z` shows the browser's, then UTC.
const zones = ["server", "browser", "utc"];
let zone = localStorage.getItem("akjob.zone") || "server";
const span = (s) => s < 60 ? `${Math.round(s)} s` : s < 3600 ? `${Math.round(s / 60)} min` : s < 86400 ? `${Math.round(s / 360) / 10} h` : `${Math.round(s / 86400)} d`;
const stamp = (date, utc) => new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: utc ? "UTC" : undefined }).format(date);
function tick() {
  for (const time of all("time[datetime]")) {
    const date = new Date(time.dateTime);
    time.dataset.text ??= time.textContent;
    if (time.classList.contains("relative")) {
      const seconds = (date - Date.now()) / 1000;
      time.textContent = Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`;
    } else if (zone !== "server") {
      time.textContent = `${stamp(date, zone === "utc")} ${zone === "utc" ? "UTC" : "here"}`;
    } else time.textContent = time.dataset.text;
  }
}

// Live: one stream of names of what changed; the page fetches itself again, and keeps focus, scroll and open parts.
const mark = $("#live");
let paused = false, waiting = false, source = null, failures = 0, lastNews = Date.now();
const say = (text) => { if (mark) mark.textContent = text; };
const announce = (text) => { const region = $("#announce"); if (region) region.textContent = text; };
async function refresh() {
  if (paused || waiting || document.hidden) return;
  if (document.activeElement?.closest("form[data-edit]") || getSelection()?.toString()) return;
  waiting = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) return;
    const text = await answer.text();
    const next = new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html");
    for (const id of ["attention", "content"]) swap($(`#${id}`), $(`#${id}`, next));
    document.title = next.title;
    lastNews = Date.now();
    tick();
  } finally { waiting = false; }
}
function swap(old, fresh) {
  if (!old || !fresh || old.innerHTML === fresh.innerHTML) return;
  const open = all("details[open][id]", old).map((one) => one.id);
  const focus = document.activeElement?.id, log = $(".log", old), kept = log && log.scrollTop, end = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  old.replaceChildren(...fresh.childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  const after = $(".log", old);
  if (after) after.scrollTop = end ? after.scrollHeight : kept;
}
let due = 0;
const soon = () => { clearTimeout(due); due = setTimeout(refresh, 250); };
function connect() {
  if (html.dataset.live === undefined || source) return;
  source = new EventSource("/api/v1/events");
  source.onopen = () => { failures = 0; say("live"); soon(); }; // what changed since the page was made has no event
  source.addEventListener("change", (event) => { soon(); const { jobs } = JSON.parse(event.data); if (jobs?.length) announce(`${jobs.length} jobs changed`); });
  source.onerror = () => {
    source.close(); source = null; failures += 1;
    const wait = failures < 5 ? Math.min(2 ** failures, 15) + Math.random() : 10;
    say(failures < 5 ? `reconnecting in ${Math.round(wait)} s` : "polling every 10 s");
    setTimeout(() => { if (failures >= 5) refresh(); connect(); }, wait * 1000);
  };
}
let hidden = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(() => { source?.close(); source = null; }, 60000);
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

// Keys, listed on `?`.
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
  "/": () => $("input[type=search]")?.focus(), "?": () => $("#keys")?.showModal(), t: theme,
  j: () => move(1), k: () => move(-1), z: () => { zone = zones[(zones.indexOf(zone) + 1) % 3]; localStorage.setItem("akjob.zone", zone); tick(); announce(`times: ${zone}`); },
  " ": () => { paused = !paused; say(paused ? "paused (space)" : "live"); if (!paused) refresh(); },
  "[": () => $("a[rel=prev]")?.click(), "]": () => $("a[rel=next]")?.click(), f: () => $("a[data-key=f]")?.click(), l: () => $("#log")?.scrollIntoView(),
  r: () => $("[data-key=r]")?.focus(), p: () => $("[data-key=p]")?.focus(), s: () => $("[data-key=s]")?.focus(), End: () => { const log = $(".log"); if (log) log.scrollTop = log.scrollHeight; },
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("akjob.keys") === "off") return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === " " && event.target.closest("button, a, summary")) return;
  if (Date.now() - gone < 3000 && go[event.key]) { gone = 0; location.href = go[event.key]; return; }
  if (event.key === "g") { gone = Date.now(); return; }
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});
$("#theme")?.addEventListener("click", theme);
$("#keys-off")?.addEventListener("change", (event) => localStorage.setItem("akjob.keys", event.target.checked ? "off" : "on"));
all("[data-copy]").forEach((button) => button.addEventListener("click", () => {
  const text = $(button.dataset.copy)?.textContent ?? "";
  if (navigator.clipboard) navigator.clipboard.writeText(text);
  else { const box = document.createElement("textarea"); box.value = text; document.body.append(box); box.select(); document.execCommand("copy"); box.remove(); }
  button.textContent = "Copied";
}));
setTheme(localStorage.getItem("akjob.theme") || "");
tick(); setInterval(tick, 1000);
setInterval(() => { if (source && !paused && Date.now() - lastNews > 12000) say(`live · ${Math.round((Date.now() - lastNews) / 1000)} s ago`); }, 5000);
connect();
const log = $(".log");
if (log && !location.hash) log.scrollTop = log.scrollHeight;
