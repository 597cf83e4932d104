// Live updates: when something changed, the page is fetched again and its content replaced. Text stays text:
// the server escapes it, and a document made by DOMParser runs no script.
"use strict";
const status = document.getElementById("connection");
let waiting = false;

async function refresh() {
  let answer;
  try {
    answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
  } catch {
    status.textContent = "No connection";
    return;
  }
  if (answer.type === "opaqueredirect") { location.reload(); return; } // the login has ended
  if (!answer.ok) { status.textContent = "Not up to date"; return; }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  const content = document.getElementById("live");
  if (fresh === null || content.innerHTML === fresh.innerHTML) return;
  const focused = content.contains(document.activeElement) ? document.activeElement.id : "";
  content.replaceChildren(...document.adoptNode(fresh).childNodes);
  watch();
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// An order that is under way has no event: ask again until it has ended.
function watch() {
  if (document.querySelector("[data-running]")) setTimeout(refresh, 1500);
}

function soon() {
  if (waiting) return;
  waiting = true;
  setTimeout(refresh, 300); // at once
  setTimeout(() => { waiting = false; refresh(); }, 5500); // and when the server has read the pools again
}

const events = new EventSource("/v1/events");
events.addEventListener("open", () => { status.textContent = "Live"; });
events.addEventListener("change", soon);
events.addEventListener("reset", soon);
events.addEventListener("end", () => { events.close(); location.reload(); });
events.addEventListener("error", () => { status.textContent = "No connection"; });
setInterval(refresh, 60000);
watch();
