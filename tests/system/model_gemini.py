# SPDX-License-Identifier: MIT
"""
The same scripts for the API that Gemini CLI speaks: POST /v1beta/models/MODEL:generateContent and
:streamGenerateContent. Its requests are read, and answers are written, as if they were Anthropic's.
"""
import json


def is_ours(path):
    return path.startswith("/v1beta/models/") and ":" in path


def _block(part):
    if "functionCall" in part:
        return {"type": "tool_use", "name": part["functionCall"]["name"],
                "input": part["functionCall"].get("args", {})}
    if "functionResponse" in part:
        return {"type": "tool_result", "tool_use_id": part["functionResponse"].get("id"),
                "content": json.dumps(part["functionResponse"]["response"])}
    return {"type": "text", "text": part.get("text", "")}


def read(path, body):
    """The request's body, in Anthropic's words."""
    tools = [{"name": d["name"]} for tool in body.get("tools", [])
             for d in tool.get("functionDeclarations", [])]
    return {
        "model": path.split("/")[-1].split(":")[0],
        "stream": path.endswith(":streamGenerateContent"),
        "system": "\n".join(p.get("text", "") for p in
                            body.get("systemInstruction", {}).get("parts", [])),
        "tools": tools,
        "messages": [{"role": "assistant" if c.get("role") == "model" else "user",
                      "content": [_block(p) for p in c.get("parts", [])]}
                     for c in body.get("contents", [])],
    }


def _answer(parts, reason=None):
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1,
                              "totalTokenCount": 2}}


def whole(step):
    parts = [{"text": b["text"]} if b["type"] == "text" else
             {"functionCall": {"name": b["name"], "args": b["input"]}} for b in step.blocks]
    return _answer(parts, "STOP")


def events(step):
    """What is streamed, an object an event; None: a place to wait."""
    for block in step.blocks:
        if block["type"] == "text":
            for at in range(0, len(block["text"]), step.piece):
                yield _answer([{"text": block["text"][at:at + step.piece]}])
                yield None
        else:
            yield _answer([{"functionCall": {"name": block["name"], "args": block["input"]}}])
    yield _answer([{"text": ""}], "STOP")


def error(step):
    return {"error": {"code": step.status, "message": step.error["message"],
                      "status": step.error["type"]}}
