# SPDX-License-Identifier: MIT
"""The model server itself: what the agent tests rely on."""
import http.client
import json
import threading
import urllib.error
import urllib.request

import pytest

import model_server
from model_server import ModelServer, bash, cut, error, text


@pytest.fixture(name="model")
def fixture_model():
    with ModelServer() as model:
        yield model


def post(model, words="hello", path="/v1/messages", stream=True, tools=True, **more):
    body = {"model": "m", "messages": [{"role": "user", "content": words}], "stream": stream,
            "tools": [{"name": "Bash"}] if tools else [], **more}
    return urllib.request.urlopen(urllib.request.Request(
        model.url + path, json.dumps(body).encode(), {"content-type": "application/json"}),
        timeout=10)


def events(answer):
    return [json.loads(line[6:]) for line in answer.read().decode().splitlines()
            if line.startswith("data: ")]


def text_of(answer):
    return "".join(e["delta"]["text"] for e in events(answer)
                   if e["type"] == "content_block_delta")


def test_streams_the_script_in_order(model):
    model.script(text("one", "two"), text("three"))
    found = events(post(model))
    assert [e["type"] for e in found] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop"]
    assert found[2]["delta"] == {"type": "text_delta", "text": "one"}
    assert found[7]["delta"]["stop_reason"] == "end_turn"
    assert text_of(post(model)) == "three"


def test_echoes_without_a_script(model):
    prompt = ('<messages>\n<message id="2" from="casa" sender="Ann" time="x">1 &lt; 2</message>\n'
              '<message id="4" from="work" sender="Bo" time="x">hi</message>\n</messages>')
    assert text_of(post(model, prompt)) == ('<message to="casa">echo: 1 < 2</message>\n'
                                            '<message to="work">echo: hi</message>')


def test_tool_call(model):
    model.script(bash("true", say="on it", timeout=5000))
    found = events(post(model))
    start = [e["content_block"] for e in found if e["type"] == "content_block_start"][1]
    assert (start["type"], start["name"], start["input"]) == ("tool_use", "Bash", {})
    partial = [e["delta"]["partial_json"] for e in found
               if e.get("delta", {}).get("type") == "input_json_delta"]
    assert json.loads("".join(partial)) == {"command": "true", "timeout": 5000,
                                            "description": "a step of the test"}
    assert found[-2]["delta"]["stop_reason"] == "tool_use"


def test_one_tool_call_step_makes_new_ids(model):
    model.otherwise(bash("true"))
    ids = {[e["content_block"]["id"] for e in events(post(model))
            if e["type"] == "content_block_start"][0] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_errors(model, status):
    model.script(error(status, "no", retry_after=7))
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(model)
    assert caught.value.code == status
    assert caught.value.headers["retry-after"] == "7"
    assert json.loads(caught.value.read())["error"] == {
        "type": model_server.ERROR_TYPES[status], "message": "no"}


def test_cut_before_and_within_an_answer(model):
    model.script(cut(), cut(after=2))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        post(model)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        post(model).read()


def test_held_answer_waits(model):
    gate = threading.Event()
    model.script(text("abc", piece=1, hold=gate))
    answer = post(model)
    first = answer.readline() + answer.readline()
    assert b"message_start" in first
    assert not gate.is_set()
    gate.set()
    assert text_of(answer) == "abc"


def test_by_the_way_requests_leave_the_script_alone(model):
    model.script(text("kept"))
    assert json.load(post(model, path="/v1/messages/count_tokens"))["input_tokens"] > 10
    assert text_of(post(model, "Write a title", tools=False)) == "A title"
    summary = "Your task is to create a detailed summary of the conversation so far"
    assert "<summary>" in text_of(post(model, summary))
    assert text_of(post(model)) == "kept"
    assert [r.kind for r in model.all_requests] == ["count", "side", "summary", "turn"]
    assert len(model.requests) == 1


def test_not_streamed(model):
    model.script(text("whole"))
    answer = json.load(post(model, stream=False))
    assert answer["content"] == [{"type": "text", "text": "whole"}]
    assert answer["stop_reason"] == "end_turn"


def test_a_step_can_be_a_function(model):
    model.script(lambda request: text(request.last_text.upper()))
    assert text_of(post(model, "loud")) == "LOUD"


def test_records_what_was_asked(model):
    reader = threading.Thread(target=post, args=(model, "asked"))
    reader.start()
    request = model.wait_for_requests(1)
    reader.join()
    assert request.last_text == "asked"
    assert request.headers["content-type"] == "application/json"


def test_other_paths_are_not_found(model):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(model.url + "/v1/models", timeout=10)
    assert caught.value.code == 404
