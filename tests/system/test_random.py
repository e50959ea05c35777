# SPDX-License-Identifier: MIT
"""Anything a host, a user or fate may do, in random order: nothing is lost, repeated or reordered."""
import random
import time

import pytest

# CONFIG_ATTEMPTS, and what a user hears after as many.
ATTEMPTS = 3
GIVEN_UP = "each time my work was broken off. I leave it now"
SCRIPT = "sleep 0.0{}; echo '{{\"wakeAgent\": {}}}'"


class Story:
    """One session to which things happen, and what has to come of them."""

    def __init__(self, session, chance):
        self.session = session
        self.chance = chance
        self.wanted = []    # texts that must be answered, in this order
        self.anywhere = []  # texts that must be answered, early or late
        self.waking = []    # ids that must be acknowledged
        self.kills = 0
        self.sent = {}      # text -> its id, and how many kills there were before

    def _note(self, texts, ids):
        self.wanted += texts
        self.waking += ids
        self.sent.update((text, (i, self.kills)) for text, i in zip(texts, ids))

    def _note_anywhere(self, text, i):
        self.anywhere.append(text)
        self.waking.append(i)
        self.sent[text] = i, self.kills

    def give_up(self, acks):
        """Whoever was killed at a message again and again takes it for the cause, and says so."""
        for texts in (self.wanted, self.anywhere):
            for text in [text for text in texts if acks[self.sent[text][0]] == "failed"]:
                assert self.kills - self.sent[text][1] >= ATTEMPTS
                texts.remove(text)
                yield text

    def chat(self, name):
        self._note([name], [self.session.add_chat(name)])

    def chat_elsewhere(self, name):
        self._note([name], [self.session.add_chat(name, channel_type="slack", platform_id="C1",
                                                  thread_id=name)])

    def burst(self, name):
        texts = [f"{name}.{i}" for i in range(self.chance.randint(2, 15))]
        self._note(texts, self.session.add_chats(texts))

    def context(self, name):
        self.session.add_chat(f"context {name}", trigger=0)

    def later(self, name):
        due = time.gmtime(time.time() + self.chance.choice([-5, 1]))
        self._note_anywhere(name, self.session.add_chat(
            name, process_after=time.strftime("%Y-%m-%d %H:%M:%S", due)))

    def task(self, name):
        self._note_anywhere(name, self.session.add_task(name))

    def script(self, name):
        wakes = self.chance.random() < 0.5
        task = self.session.add_task(name, script=SCRIPT.format(
            self.chance.randint(1, 9), "true" if wakes else "false"))
        if wakes:
            self._note_anywhere(name, task)
        else:
            self.waking.append(task)

    def clear(self, _):
        self.waking.append(self.session.add_chat("/clear"))

    def command(self, _):
        self.waking.append(self.session.add_chat("/compact"))

    def nonsense(self, _):
        self.waking.append(self.session.add(
            self.chance.choice(["null", "[]", "{", "{}"]),
            kind=self.chance.choice(["chat", "webhook", "telepathy"])))

    def pause(self, _):
        time.sleep(self.chance.random() / 10)

    def kill(self, _):
        self.kills += 1
        self.session.kill()
        self.session.start()

    def stop(self, _):
        # A process that has not come to its first instruction yet is ended by the signal, and leaves
        # what one that was killed before it had claimed.
        code = self.session.stop()
        assert code in (0, 143, -15), self.session.explain()
        if code == 0:
            assert "processing" not in self.session.acks().values(), self.session.explain()
        self.session.start()


WEIGHTS = {
    Story.chat: 20, Story.chat_elsewhere: 6, Story.burst: 6, Story.context: 6, Story.later: 2,
    Story.task: 3, Story.script: 2, Story.clear: 2, Story.command: 2, Story.nonsense: 2,
    Story.pause: 8, Story.kill: 2, Story.stop: 2,
}


@pytest.mark.parametrize("seed", range(8))
def test_a_random_story(make_session, seed):
    chance = random.Random(seed)
    env = {"AGENT_MOCK_DELAY_MS": chance.choice(["0", "1", "5", "30"])}
    if seed % 2:
        env.update(AGENT_WATCH="poll", AGENT_POLL_IDLE_MS="5", AGENT_POLL_ACTIVE_MS="5")
    session = make_session(env=env, config={"maxMessagesPerPrompt": chance.choice([1, 2, 3, 10])})
    session.add_destination("work", "Work", channel_type="slack", platform_id="C1")
    story = Story(session, chance)
    session.start()
    for number, step in enumerate(chance.choices(list(WEIGHTS), WEIGHTS.values(), k=60)):
        step(story, f"m{number}")
    story.chat("the end")
    session.wait(lambda: all(session.acks().get(i) in ("completed", "failed")
                             for i in story.waking), "the end of all", 60)
    assert "processing" not in session.acks().values()
    given_up = list(story.give_up(session.acks()))
    assert sum(GIVEN_UP in text for text in session.texts()) >= len(given_up), session.explain()
    echoes = [text.removeprefix("echo: ") for text in session.texts() if text.startswith("echo: ")]
    assert [text for text in echoes if text in story.wanted] == story.wanted, session.explain()
    assert sorted(text for text in echoes if text in story.anywhere) == sorted(story.anywhere)
    contexts = [text for text in echoes if text.startswith("context ")]
    assert len(contexts) == len(set(contexts))
    assert session.stop() == 0
