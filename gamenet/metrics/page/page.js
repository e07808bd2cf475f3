// The live page of the status site: asks /api/status once a second and shows the answer.
//
// Nothing comes from elsewhere and nothing is kept: the token lives in its field and dies with it.

import { showActions } from "./actions.js";
import { $, say } from "./elements.js";
import { isBehind, keepHistories } from "./history.js";
import { showMap } from "./map.js";
import { showPlayers } from "./players.js";
import { showServer } from "./server.js";
import { clock } from "./words.js";

const POLL_MS = 1000; // from an answer to the next question, where the site does not say it itself
const HIDDEN_POLL_MS = 15000;
const ANSWER_MS = 5000;
const BACKOFF_MS = [1000, 2000, 4000, 8000, 15000];

let last = null; // the newest status
let answered = 0; // when it came
let again = POLL_MS; // when the site wants to be asked next
let timer = 0;
let asking = false;
let failures = 0; // in a row
let lostAt = "";

async function poll() {
  if (asking) return;
  clearTimeout(timer);
  asking = true;
  let now = null;
  let wait = 0;
  try {
    now = await ask(!last || isBehind(performance.now() - answered));
    answered = performance.now();
    failures = 0;
    wait = document.hidden ? HIDDEN_POLL_MS : again;
  } catch (problem) {
    failures += 1;
    wait = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length) - 1];
    lose(problem, wait);
  } finally {
    asking = false;
    timer = setTimeout(poll, wait);
  }
  if (now) show(now);
}

async function ask(withHistories) {
  const reply = await fetch(withHistories ? "api/status" : "api/status?history=no", {
    cache: "no-store", redirect: "error", signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (!reply.ok) throw new RangeError(`the status site answers ${reply.status}`);
  again = Number(reply.headers.get("look-again-ms")) || POLL_MS;
  return reply.json();
}

function lose(problem, wait) {
  if (failures === 1) {
    lostAt = clock();
    document.title = `✕ ${document.title.replace(/^✕ /, "")}`;
  }
  const why = problem instanceof RangeError ? `: ${problem.message}` : "";
  link("gone", `No answer from the server since ${lostAt}${why}. Trying again in ${wait / 1000} s.`);
}

function link(state, text) {
  $("link").dataset.state = document.body.dataset.link = state;
  say($("link"), text);
}

function show(now) {
  link("live", "Live");
  if (last && now.uptime_seconds === last.uptime_seconds) return; // what is on the page already
  // There is nothing to compare with at first, nor after a restart.
  const isSame = last && now.uptime_seconds > last.uptime_seconds && now.clock_zero === last.clock_zero;
  const was = isSame ? last : now;
  keepHistories(now, isSame);
  last = now;
  showServer(now, was, now.uptime_seconds - was.uptime_seconds);
  showActions(now.actions ?? []);
  showPlayers(now);
  showMap(now.view);
}

document.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
document.addEventListener("acted", poll);
addEventListener("online", poll);
poll();
