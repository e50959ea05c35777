# SPDX-License-Identifier: MIT
"""
The same scripts for the API that Codex speaks: POST /v1/responses. Its requests are read, and answers
are written, as if they were Anthropic's.
"""
import itertools
import json

_numbers = itertools.count(1)


def is_ours(path):
    return path.endswith("/responses")


def _blocks(item):
    if item.get("type") in ("function_call", "custom_tool_call"):
        return [{"type": "tool_use", "id": item["call_id"], "name": item["name"],
                 "input": item.get("arguments", item.get("input"))}]
    if item.get("type") in ("function_call_output", "custom_tool_call_output"):
        return [{"type": "tool_result", "tool_use_id": item["call_id"],
                 "content": json.dumps(item["output"])}]
    content = item.get("content") or []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [{"type": "text", "text": part.get("text", "")} for part in content]


def _tools(tools):
    """Those of a namespace as NAMESPACE.NAME."""
    for tool in tools:
        if tool.get("type") == "namespace":
            for one in tool.get("tools", []):
                yield {"name": f"{tool['name']}.{one['name']}"}
        else:
            yield {"name": tool.get("name", tool.get("type"))}


def read(_path, body):
    """The request's body, in Anthropic's words."""
    return {
        "model": body.get("model"),
        "stream": body.get("stream", False),
        "system": body.get("instructions", ""),
        "tools": list(_tools(body.get("tools", []))),
        "messages": [{"role": "assistant" if item.get("role") == "assistant" else "user",
                      "content": _blocks(item)}
                     for item in body.get("input", []) if item.get("type") != "reasoning"],
    }


def _item(block):
    number = next(_numbers)
    if block["type"] == "text":
        return {"type": "message", "id": f"msg_{number}", "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": block["text"], "annotations": []}]}
    namespace, _, name = block["name"].rpartition(".")
    return {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}",
            "status": "completed", "name": name, **({"namespace": namespace} if namespace else {}),
            "arguments": json.dumps(block["input"])}


def _response(items, status):
    return {"id": f"resp_{next(_numbers)}", "object": "response", "status": status, "output": items,
            "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0},
                      "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 0},
                      "total_tokens": 2}}


def whole(step):
    return _response([_item(block) for block in step.blocks], "completed")


def events(step):
    """What is streamed, an object an event; None: a place to wait."""
    response = whole(step)
    yield {"type": "response.created",
           "response": {**response, "status": "in_progress", "output": []}}
    for index, item in enumerate(response["output"]):
        place = {"output_index": index, "item_id": item["id"]}
        started = {**item, "status": "in_progress",
                   **({"content": []} if item["type"] == "message" else {"arguments": ""})}
        yield {"type": "response.output_item.added", "output_index": index, "item": started}
        if item["type"] == "message":
            text = item["content"][0]["text"]
            for at in range(0, len(text), step.piece):
                yield {"type": "response.output_text.delta", "content_index": 0,
                       "delta": text[at:at + step.piece], **place}
                yield None
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": response}


def error(step):
    return {"error": {"message": step.error["message"], "type": step.error["type"],
                      "param": None, "code": None}}
