// What a person with the token may do. Each is a POST; its answer is shown as text.

import { $, make, say } from "./elements.js";
import { clock } from "./words.js";

const ANSWER_MS = 10000;
const MOST_ANSWERS = 30;
const TOAST_MS = 6000;
const BANS = [["10 minutes", 600], ["1 hour", 3600], ["1 day", 86400], ["1 week", 604800], ["30 days", 2592000]];
const DRAINS = [["as long as the server is set to", 0], ["1 minute", 60], ["5 minutes", 300], ["15 minutes", 900], ["1 hour", 3600]];

let names = []; // of what the server offers; replaced when that changes

export function offered() {
  return names;
}

const KICK_AND_BAN = [["kick", "Kick", kick], ["ban", "Ban…", ban]];
export const ALL_BUTTONS = [["say", "Say…", sayTo], ...KICK_AND_BAN];

// What may be done to one player, as buttons.
export function buttonsFor(player, kinds = KICK_AND_BAN) {
  return kinds.filter(([name]) => names.includes(name)).map(([name, word, run]) => {
    const button = make("button", { type: "button", "aria-label": `${word} ${player.name}`, class: name }, word);
    button.addEventListener("click", () => run(player));
    return button;
  });
}

export function showActions(actions) {
  if (names.join() === actions.join()) return;
  names = actions;
  $("actions").hidden = !names.length;
  for (const name of ["say", "drain", "dump"]) $(name).hidden = !names.includes(name);
}

function answer(done, text) {
  $("answers").prepend(make("li", { class: done ? "done" : "fault" }, `${clock()} ${text}`));
  while ($("answers").children.length > MOST_ANSWERS) $("answers").lastChild.remove();
  say($("toast"), text);
  $("toast").className = done ? "on" : "on fault";
  clearTimeout(answer.timer);
  answer.timer = setTimeout(() => { $("toast").className = ""; }, TOAST_MS);
}

async function act(name, what, body) {
  const token = $("token").value.trim();
  if (!token) {
    answer(false, `${what}: type the token first, the field is under Actions.`);
    $("token").focus();
    return false;
  }
  let done = false;
  try {
    const reply = await fetch(`api/${name}`, {
      method: "POST", cache: "no-store", redirect: "error",
      headers: { "Authorization": `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const said = await reply.json().catch(() => ({}));
    done = reply.ok;
    answer(done, `${what}: ${said.done ?? said.error ?? `the server answered ${reply.status}`}`);
    if (reply.status === 401) { $("token").focus(); $("token").select(); }
  } catch (problem) {
    answer(false, `${what}: ${problem.name === "TypeError" ? "it could not be sent" : "no answer"} (${problem.message})`);
  }
  document.dispatchEvent(new Event("acted"));
  return done;
}

// The dialog: what was asked for, or null.
function ask({ title, text, yes, spans = null, why = "" }) {
  say($("ask-title"), title);
  say($("ask-text"), text);
  say($("ask-yes"), yes);
  $("ask-for").hidden = !spans;
  $("ask-why").hidden = !why;
  say($("ask-words"), why);
  $("ask-reason").value = "";
  $("ask-seconds").replaceChildren(...(spans ?? []).map(([words, seconds]) => make("option", { value: seconds }, words)));
  return new Promise((resolve) => {
    const box = $("ask");
    const end = (value) => { box.onclose = null; $("ask-form").onsubmit = null; box.close(); resolve(value); };
    $("ask-form").onsubmit = () => end({ seconds: Number($("ask-seconds").value), text: $("ask-reason").value.trim() });
    $("ask-no").onclick = () => end(null);
    box.onclose = () => end(null);
    box.showModal();
    (why ? $("ask-reason") : $("ask-no")).focus();
  });
}

function kick(player) {
  return act("kick", `Kick ${player.name}`, { player: player.id, text: "" });
}

async function sayTo(player) {
  const wish = await ask({ title: `Say to ${player.name}`, text: "Nobody else reads it.", yes: "Say", why: "Text" });
  if (wish?.text) await act("say", `Say to ${player.name}`, { player: player.id, text: wish.text });
}

async function ban(player) {
  const wish = await ask({
    title: `Ban ${player.name}?`, yes: "Ban", spans: BANS, why: "Reason, which the player reads",
    text: `${player.name} at ${player.address} leaves now and cannot come back for this long.`,
  });
  if (wish) await act("ban", `Ban ${player.name}`, { player: player.id, ...wish });
}

async function drain() {
  const wish = await ask({
    title: "Drain the server?", yes: "Drain", spans: DRAINS, why: "Reason, which all players read",
    text: "Newcomers are refused and all players are told. The server ends when the last one has left, or after this time. There is no way back.",
  });
  if (wish) await act("drain", "Drain", { seconds: wish.seconds || null, text: wish.text });
}

$("drain").addEventListener("click", drain);
$("dump").addEventListener("click", () => act("dump", "Dump", {}));
$("say").addEventListener("submit", async () => {
  const text = $("say-text").value.trim();
  if (text && await act("say", "Say", { text })) $("say-text").value = "";
});
