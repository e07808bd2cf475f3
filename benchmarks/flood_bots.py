"""The players of a flood, in a process of their own: an attack on a server is an attack on them."""

from __future__ import annotations

import random
import sys
import threading
import time
from typing import Any

import lean
import rig

BOT_HZ = 30


def play_bots(questions: Any) -> None:
    """Join some players, and have them play until there are no more questions."""
    spec = next(questions)
    place = rig.Place(*spec["place"])
    bots = []
    for index in range(spec["count"]):
        bot = lean.LeanClient(place.host, place.port, tls=place.tls, user=f"bot-{index:03}")
        if not index:
            bot.sent = []  # the victim, whose datagrams will come again from elsewhere
        bots.append(bot.join().bind())
    rig.answer({"cid": bots[0].accept.cid})
    asked: list[str] = []
    ended = threading.Event()

    def listen() -> None:
        for question in questions:
            asked.extend((question,))
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    chance = random.Random(1)
    playing, silent, settle_until, gone = True, False, 0.0, 0
    begun, step = time.monotonic(), 0
    while not ended.is_set():
        number, index = divmod(step, len(bots))
        bot = bots[index]
        try:
            bot.look_at_udp()
            if playing:
                bot.press(chance.getrandbits(bot.accept.input_bits))
            if not silent:
                bot.flush()
            if number % BOT_HZ == 0:
                bot.look_at_tcp()
        except lean.Gone as error:
            rig.note(f"a bot has lost its session: {error}")
            gone += 1
            del bots[index]
            if not bots:
                break
        if asked and asked[0] == "settle":
            playing = False
            settle_until = settle_until or time.monotonic() + rig.ANSWER_SECONDS / 2
            if time.monotonic() < settle_until and any(bot.inputs.values for bot in bots):
                _wait_for_turn(begun, step, len(bots))
                step += 1
                continue
            silent = True
        if asked:
            rig.answer(_bots_answer(asked.pop(0), bots, gone))
        _wait_for_turn(begun, step, len(bots))
        step += 1
    for bot in bots:
        bot.leave()


def _wait_for_turn(begun: float, step: int, bots: int) -> None:
    rig.sleep_until(begun + step / bots / BOT_HZ)


def _bots_answer(question: str, bots: list[lean.LeanClient], gone: int) -> Any:
    if question == "recorded":
        recorded, bots[0].sent = bots[0].sent or [], None
        return [data.hex() for data in recorded]
    return {
        "gone": gone,
        "inputs": sum(bot.inputs.newest for bot in bots),
        "given_up": sum(bot.inputs.given_up for bot in bots),
        "waiting": sum(len(bot.inputs.values) for bot in bots),
        "sent": sum(bot.datagrams_sent for bot in bots),
        "received": sum(bot.datagrams_received for bot in bots),
        "states": sum(bot.states for bot in bots),
        "victim_states": bots[0].states,
        "victim_number": bots[0].sealer.number,
    }


if __name__ == "__main__":
    rig.run_role({"bots": play_bots})
    sys.exit(0)
