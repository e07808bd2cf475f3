"""The environment of the book: its interface, its seeds, and what a bad network does to agents."""

from __future__ import annotations

import sys
import unittest
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
from pettingzoo.utils import parallel_to_aec

from tests.live.daemon import ROOT

sys.path.insert(0, str(ROOT / "examples" / "recipes"))

from walkers_env import BUTTONS, SoloEnv, WalkersEnv, seek
from walkers_game import FIELD, STEPS


def play(env: Any, seed: int | None, policy: Any = None) -> list[Any]:
    """An episode: all that its agents saw and got."""
    seen, _ = env.reset(seed=seed)
    random = np.random.default_rng(0)
    told = [seen]
    while env.agents:
        agents = env.agents
        if policy is None:
            actions = {agent: int(random.integers(len(BUTTONS))) for agent in agents}
        else:
            actions = {agent: policy(seen[agent], random) for agent in agents}
        seen, rewards, ends, cuts, _ = env.step(actions)
        told.append((seen, rewards, ends, cuts))
    return told


def coins(told: list[Any]) -> float:
    return sum(sum(rewards.values()) for _, rewards, _, _ in told[1:])


def as_text(told: list[Any]) -> str:
    with np.printoptions(threshold=sys.maxsize):
        return repr(told)


class InterfaceTests(unittest.TestCase):
    """What the libraries ask of an environment."""

    def test_pettingzoo_takes_it_over_any_network(self) -> None:
        for profile in ("perfect", "train"):
            parallel_api_test(WalkersEnv(profile=profile, steps=50), num_cycles=120)
        api_test(parallel_to_aec(WalkersEnv(steps=20)), num_cycles=50)

    def test_gymnasium_takes_it_for_one_agent(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # By its name, for then it is looked at in every mode.
            check_env(gymnasium.make("Walkers-v0", profile="cellular").unwrapped)

    def test_the_others_of_one_agent_follow_their_policy(self) -> None:
        def alone(others: Any) -> dict[str, int]:
            env = SoloEnv(others=others, steps=100)
            env.reset(seed=3)
            for _ in range(100):
                *_, ended, cut, _ = env.step(0)
            self.assertEqual((ended, cut), (False, True))
            found = dict(env.world.simulation.game.gathered)
            env.close()
            return found

        idle = alone(lambda observation, random: 0)
        busy = alone(seek)
        self.assertEqual(sum(idle.values()), 0)
        self.assertGreater(busy["walker_1"] + busy["walker_2"], 10)

    def test_all_agents_end_together_when_the_time_is_over(self) -> None:
        env = WalkersEnv(agents=2, steps=7)
        told = play(env, 1)
        self.assertEqual(len(told), 1 + 7)
        self.assertEqual(told[-1][3], {"walker_0": True, "walker_1": True})
        self.assertEqual(told[-2][3], {"walker_0": False, "walker_1": False})
        env.close()

    def test_an_agent_that_the_server_sends_away_is_over_and_the_rest_play_on(self) -> None:
        env = WalkersEnv(profile="cellular", steps=50)
        env.reset(seed=1)
        env.simulation.game.gathered["walker_1"] = 5
        env.simulation.server.disconnect(env.simulation.server.find("walker_1"))
        cut = []
        while env.agents:
            _, rewards, _, cuts, _ = env.step(dict.fromkeys(env.agents, 0))
            self.assertGreaterEqual(min(rewards.values()), 0.0)
            cut += [agent for agent, over in cuts.items() if over]
        self.assertEqual(cut, ["walker_1", "walker_0", "walker_2"])
        env.close()

    def test_what_needs_an_episode_says_so(self) -> None:
        env = WalkersEnv(render_mode="ansi")
        for call in (env.render, lambda: env.step({})):
            self.assertRaisesRegex(ResetNeeded, r"reset\(\)", call)
        env.close()


class SeedTests(unittest.TestCase):
    """The same seed is the same episode, all of it."""

    def test_pettingzoo_finds_no_difference(self) -> None:
        parallel_seed_test(lambda: WalkersEnv(profile="train"), num_cycles=60)
        # The one above compares a single step, for any(dict) is true of any agents.
        seed_test(lambda: parallel_to_aec(WalkersEnv(profile="train", steps=60)), num_cycles=60)

    def test_whole_episodes_are_the_same_and_other_seeds_are_others(self) -> None:
        for profile in ("perfect", "train"):
            env, twin = (WalkersEnv(profile=profile, steps=80) for _ in range(2))
            first = as_text(play(env, 5))
            self.assertEqual(as_text(play(twin, 5)), first)
            fingerprints = {one.simulation.fingerprint() for one in (env, twin)}
            self.assertEqual(len(fingerprints), 1)
            # The next episode is another one, and decided by the seed as well.
            second = as_text(play(env, None))
            self.assertNotEqual(second, first)
            self.assertEqual(as_text(play(twin, None)), second)
            self.assertEqual(as_text(play(env, 5)), first)
            self.assertNotEqual(as_text(play(env, 6)), first)
            env.close()
            twin.close()


class NetworkTests(unittest.TestCase):
    """Agents act and see through the network, and are paid by the server."""

    def test_an_action_is_a_step_of_the_walker(self) -> None:
        env = WalkersEnv(agents=1)
        env.reset(seed=1)
        [player] = env.simulation.game.places
        env.simulation.game.places[player] = (1, 1)
        for action, button in enumerate(BUTTONS):
            x, y = env.simulation.game.places[player]
            right, down = STEPS.get(button, (0, 0))
            wanted = (x + right, y + down)
            env.step({"walker_0": action})
            env.step({"walker_0": 0})
            free = FIELD[wanted[1]][wanted[0]] == "."
            self.assertEqual(env.simulation.game.places[player], wanted if free else (x, y))
        env.close()

    def test_who_stands_on_a_coin_has_it_once(self) -> None:
        env = WalkersEnv(agents=2)
        env.reset(seed=1)
        game = env.simulation.game
        player = next(player for player in game.places if player.name == "walker_0")
        game.places[player], game.coins[:] = (1, 1), [(2, 1), (9, 7), (9, 7)]
        paid = 0.0
        for action in (4, 0, 0, 0):
            _, rewards, _, _, _ = env.step({"walker_0": action, "walker_1": 0})
            paid += rewards["walker_0"]
            self.assertEqual(rewards["walker_1"], 0.0)
        self.assertEqual(BUTTONS[4], 8)
        self.assertEqual(paid, 1.0)
        env.close()

    def test_the_longer_the_way_the_older_is_what_agents_see_and_the_less_they_get(self) -> None:
        ages, got = [], []
        for profile in ("perfect", "cellular", "satellite"):
            env = WalkersEnv(profile=profile, steps=300)
            told = play(env, 2, seek)
            env.close()
            ages.append(float(np.mean([seen["walker_0"][0] for seen, *_ in told[20:]])))
            got.append(coins(told))
        self.assertEqual(ages, sorted(ages))
        self.assertLess(ages[0], 0.01)
        self.assertGreater(ages[2], 0.1)
        self.assertGreater(got[0], 1.5 * got[2])

    def test_no_episode_is_too_bad_for_the_books(self) -> None:
        """close() counts every datagram, and raises where one is missing."""
        env = WalkersEnv(profile="train", steps=100)
        for seed in range(3):
            env.reset(seed=seed)
            for step in range(60):
                if step == 20:
                    env.simulation.network.cut_tcp()
                if step == 40:
                    env.simulation.network.block_udp()
                seen, *_ = env.step(dict.fromkeys(env.agents, step % 5))
            self.assertEqual(set(seen), set(env.possible_agents))
        env.close()

    def test_the_field_can_be_seen(self) -> None:
        env = WalkersEnv(agents=2, render_mode="ansi")
        env.reset(seed=1)
        text = env.render()
        self.assertEqual([len(row) for row in text.splitlines()], [len(row) for row in FIELD])
        for sign in "01o":
            self.assertIn(sign, text)
        env.render_mode = "rgb_array"
        picture = env.render()
        self.assertEqual(picture.shape, (len(FIELD) * 16, len(FIELD[0]) * 16, 3))
        self.assertEqual(picture.dtype, np.uint8)
        env.close()
