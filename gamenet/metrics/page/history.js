// What a player's graphs draw. The server tells the last 30 s once; after that each answer brings one
// more point, which the page adds by itself, so that nobody is told the same thing thirty times.

const FEW_STEPS = 3; // so many may be missed; the newest figure stands for them

const kept = new Map(); // histories by player
let number = null; // of the newest point

// Whether the histories have to be told anew after so many milliseconds.
export function isBehind(pause) {
  return pause > 1000 * FEW_STEPS;
}

function newest(player, { time_unit_seconds: time, loss_unit: loss }) {
  return {
    rtt: Math.round((player.rtt_latest_seconds ?? 0) / time),
    jitter: Math.round((player.jitter_seconds ?? 0) / time),
    loss_in: Math.round(player.loss_in / loss),
    loss_out: Math.round(player.loss_out / loss),
  };
}

function added(history, point, steps, points) {
  const more = {};
  for (const [name, value] of Object.entries(point)) {
    // Within the same step the newest figure takes the place of the one before.
    const line = steps ? history?.[name] ?? [] : (history?.[name] ?? []).slice(0, -1);
    more[name] = [...line, ...Array(history ? Math.max(steps, 1) : 1).fill(value)].slice(-points);
  }
  return more;
}

// Gives each player its history, where the answer has none. After a restart there is none to go on with.
export function keepHistories(now, goesOn) {
  if (!goesOn) {
    kept.clear();
    number = null;
  }
  const units = now.history;
  const step = Math.round(now.uptime_seconds / units.step_seconds);
  const steps = number === null ? 1 : Math.min(step - number, units.points);
  number = step;
  const gone = new Set(kept.keys());
  for (const player of now.players) {
    gone.delete(player.id);
    player.history ??= added(kept.get(player.id), newest(player, units), steps, units.points);
    kept.set(player.id, player.history);
  }
  for (const id of gone) kept.delete(id);
}
