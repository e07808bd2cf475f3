"""Agents learn a game over a bad network: each step of theirs is a tick in virtual time."""

import gymnasium
import numpy as np
from gamenet.testing import Simulation
from gymnasium.utils.seeding import np_random
from pettingzoo import ParallelEnv
from walkers_game import COINS, FIELD, STEPS, View, Walkers

BUTTONS = (0, *STEPS)  # of action 0, 1, 2, 3, 4
SIZE = np.array([len(FIELD[0]), len(FIELD)])
STALE_SECONDS = 2.0  # older states are all as old
METADATA = {"name": "walkers_v0", "render_modes": ["ansi", "rgb_array"], "render_fps": 10}
COLOURS = {"#": (70, 70, 80), ".": (225, 220, 205), "o": (230, 170, 30)}


class WalkersEnv(ParallelEnv):
    """An action is a button held for one tick. What an agent observes is what has come to it, and
    what it is paid for is what the server knows."""

    metadata = METADATA

    def __init__(self, agents=3, profile="perfect", steps=200, render_mode=None):
        self.possible_agents = [f"walker_{number}" for number in range(agents)]
        self.agents = []
        self.profile, self.steps, self.render_mode = profile, steps, render_mode
        # The age of the state, where it is itself, and the way to each coin and to each other.
        numbers = 1 + 2 * (1 + COINS + agents - 1)
        self.observation_spaces = {agent: gymnasium.spaces.Box(-1, 1, (numbers,), np.float32)
                                   for agent in self.possible_agents}
        self.action_spaces = {agent: gymnasium.spaces.Discrete(len(BUTTONS))
                              for agent in self.possible_agents}
        self._random = None
        self._simulation = None

    def observation_space(self, agent):
        return self.observation_spaces[agent]

    def action_space(self, agent):
        return self.action_spaces[agent]

    @property
    def simulation(self):
        """This episode's: its network can be made worse, and its game be looked into."""
        if self._simulation is None:
            raise gymnasium.error.ResetNeeded("there is no episode; call reset()")
        return self._simulation

    def reset(self, seed=None, options=None):
        """A new server with new clients. Without a seed, the last one decides this episode too."""
        if seed is not None or self._random is None:
            self._random, _ = np_random(seed)
        self.close()
        seed = int(self._random.integers(2**31))
        self.agents = list(self.possible_agents)
        # One seed for the network and one for the game, which draws on its own.
        self._simulation = Simulation(Walkers(seed), clients=self.agents, seed=seed,
                                      profile=self.profile)
        self._clients = dict(zip(self.agents, self._simulation.clients, strict=True))
        self._states = {}
        self._simulation.until(lambda: self._receive() or len(self._states) == len(self.agents))
        self._step = 0
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions):
        game = self.simulation.game
        before = dict(game.gathered)
        for agent, action in actions.items():
            self._clients[agent].send_input(BUTTONS[action])
        self.simulation.step()
        self._step += 1
        self._receive()
        agents = self.agents
        rewards = {agent: float(game.gathered.get(agent, 0) - before.get(agent, 0))
                   if agent in game.gathered else 0.0 for agent in agents}
        # Who has lost its session for good, in a blackout of half a minute, plays no more.
        over = {agent: self._step >= self.steps or not self._clients[agent].joined
                for agent in agents}
        answer = (self._observations(), rewards, dict.fromkeys(agents, False), over,
                  {agent: {} for agent in agents})
        self.agents = [agent for agent in agents if not over[agent]]
        return answer

    def _receive(self):
        for agent in self.agents:
            client = self._clients[agent]
            client.events()  # taken, or they pile up
            if (state := client.take_state()) is not None:
                self._states[agent] = state.server_time, View.decode(state.payload)

    def _observations(self):
        return {agent: self._observation(agent) for agent in self.agents}

    def _observation(self, agent):
        client, (made, view) = self._clients[agent], self._states[agent]
        age = np.clip((client.server_time() - made) / STALE_SECONDS, 0, 1)
        places = {walker.id: np.array([walker.x, walker.y]) for walker in view.walkers}
        own = places.pop(client.player.id)
        coins = [np.array([coin.x, coin.y]) - own for coin in view.coins]
        coins.sort(key=lambda way: abs(way).sum())  # the nearest first
        others = [place - own for _, place in sorted(places.items())]
        others += [np.zeros(2)] * (len(self.possible_agents) - 1 - len(others))
        numbers = np.concatenate([row / SIZE for row in (own, *coins, *others)])
        return np.concatenate([[age], numbers]).astype(np.float32)

    def render(self):
        if self.render_mode is None:
            return None
        game = self.simulation.game
        rows = [list(row) for row in FIELD]
        for x, y in game.coins:
            rows[y][x] = "o"
        for player, (x, y) in game.places.items():
            rows[y][x] = player.name[-1]
        if self.render_mode == "ansi":
            return "\n".join(map("".join, rows)) + "\n"
        tiles = [[COLOURS.get(tile, (50, 90, 200)) for tile in row] for row in rows]
        return np.array(tiles, np.uint8).repeat(16, axis=0).repeat(16, axis=1)

    def close(self):
        if self._simulation is not None:
            self._simulation.close()
            self._simulation = None


def seek(observation, random):
    """A policy that knows no better: to the nearest coin, with a step aside now and then."""
    way = observation[3:5] * SIZE
    if random.random() < 0.1 or not way.any():
        return int(random.integers(len(BUTTONS)))
    axis = abs(way).argmax()
    return int((3 if axis == 0 else 1) + (way[axis] > 0))


class SoloEnv(gymnasium.Env):
    """One agent learns, and the others follow a policy: what single-agent libraries take."""

    metadata = METADATA

    def __init__(self, others=seek, render_mode=None, **same):
        self.world = WalkersEnv(render_mode=render_mode, **same)
        self.render_mode, self.others = render_mode, others
        self.me, *self.rest = self.world.possible_agents
        self.observation_space = self.world.observation_space(self.me)
        self.action_space = self.world.action_space(self.me)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self._seen, infos = self.world.reset(int(self.np_random.integers(2**31)))
        return self._seen[self.me], infos[self.me]

    def step(self, action):
        actions = {agent: self.others(self._seen[agent], self.np_random)
                   for agent in self.rest if agent in self.world.agents}
        self._seen, rewards, ends, cuts, infos = self.world.step({self.me: action, **actions})
        return tuple(each[self.me] for each in (self._seen, rewards, ends, cuts, infos))

    def render(self):
        return self.world.render()

    def close(self):
        self.world.close()


gymnasium.register("Walkers-v0", SoloEnv)
