# room.py: a chat room and a web site, in one process that asyncio runs
import asyncio
import contextlib

import gamenet


@gamenet.game(game_name="room/1")
def main(server):  # on a thread of its own; asyncio does not wait for it
    said = server.options["said"]
    for tick in server.ticks():
        for event in tick.events:
            match event:
                case gamenet.Joined(player):  # was the start of handle(reader, writer)
                    server.say(f"{player} comes in.")
                case gamenet.Left(player):  # was IncompleteReadError, or b"" from readline()
                    server.say(f"{player} goes.")
                case gamenet.Chat(player, text):  # was await reader.readline()
                    server.say(text, author=player)  # was writer.write and drain for each
                    said(f"<{player}> {text}")
                case gamenet.Posted(text):  # from asyncio, see below
                    server.say(text)
    said(None)  # the server has been stopped


async def run(port=7777):
    loop, lines = asyncio.get_running_loop(), asyncio.Queue()

    def said(text):  # from the game's thread to asyncio
        loop.call_soon_threadsafe(lines.put_nowait, text)

    server = gamenet.GameServer(port, game=main, insecure=True, options={"said": said})
    await asyncio.to_thread(server.start)
    try:
        print(server.address, flush=True)
        while (text := await lines.get()) is not None:  # or whatever else your program does
            print(text, flush=True)
            if text.endswith("!time"):
                server.post("It is late.")  # from asyncio to the game's thread
    finally:
        await asyncio.to_thread(server.stop)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
