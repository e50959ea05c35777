# SPDX-License-Identifier: MIT
"""
Real agents that speak ACP, in the versions that tests/agent-versions pins, from npm, and what points
each of them to a model server on loopback and to nobody else.

By hand: python3 tests/system/acp_cli.py [NAME]…   (fetches what is missing, prints the paths)
"""
import dataclasses
import json
import sys

import npm_packages


@dataclasses.dataclass
class Agent:
    """One of them. prefix: of our tools' names, as its model is given them."""
    name: str
    package: str
    program: str
    arguments: tuple
    prefix: str
    environment: callable
    options: callable = lambda url: ()
    model: str = None
    # It names a conversation's file by the minute, and one that is loaded in the minute in which it
    # began is written over before it is read: "No previous sessions found for this project".
    forgets_young: bool = False


def _opencode(url):
    models = {"claude-test": {"name": "Test", "tool_call": True,
                              "limit": {"context": 200000, "output": 8000}}}
    return {
        "OPENCODE_CONFIG_CONTENT": json.dumps({
            "model": "anthropic/claude-test", "small_model": "anthropic/claude-test",
            "provider": {"anthropic": {"models": models, "options": {
                "baseURL": f"{url}/v1", "apiKey": "sk-test"}}}}),
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    }


def _gemini(url):
    return {"GEMINI_API_KEY": "k", "GOOGLE_GEMINI_BASE_URL": url}


def _copilot(url):
    return {"COPILOT_PROVIDER_BASE_URL": url, "COPILOT_PROVIDER_TYPE": "anthropic",
            "COPILOT_PROVIDER_API_KEY": "k", "COPILOT_MODEL": "claude-sonnet-4",
            "COPILOT_OFFLINE": "true"}


def _codex(_url):
    return {"OPENAI_API_KEY": "k"}


def _codex_options(url):
    """As OpenAI itself, where the key has to be shown first."""
    return ("-c", 'model="gpt-5"', "-c", 'model_provider="test"', "-c",
            f'model_providers.test={{name="Test",base_url="{url}/v1",wire_api="responses",'
            "requires_openai_auth=true}")


def _claude(url):
    return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "k",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1"}


AGENTS = {a.name: a for a in [
    Agent("claude-acp", "@agentclientprotocol/claude-agent-acp", "claude-agent-acp", (),
          "mcp__nanoclaw__", _claude),
    Agent("codex", "@zed-industries/codex-acp", "codex-acp", (), "mcp__nanoclaw.", _codex,
          options=_codex_options),
    Agent("copilot", "@github/copilot", "copilot", ("--acp", "--allow-all"), "nanoclaw-",
          _copilot),
    Agent("gemini", "@google/gemini-cli", "gemini", ("--acp",), "mcp_nanoclaw_", _gemini,
          model="gemini-2.5-pro", forgets_young=True),
    Agent("opencode", "opencode-ai", "opencode", ("acp",), "nanoclaw_", _opencode),
]}


def pinned():
    """Those that tests/agent-versions names."""
    return [a.name for a in AGENTS.values() if npm_packages.versions(a.package)]


def ensure(name):
    """The path of the agent's program, fetched if need be. RuntimeError says why there is none."""
    agent = AGENTS[name]
    version = npm_packages.versions(agent.package)[0]
    return npm_packages.ensure(agent.package, version) / "node_modules" / ".bin" / agent.program


def main():
    for name in sys.argv[1:] or pinned():
        print(name, ensure(name))


if __name__ == "__main__":
    sys.exit(main())
