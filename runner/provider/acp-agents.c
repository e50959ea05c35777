/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-agents.h"

#include "common/table.h"
#include "runner/provider/acp.h"

#define ACP_TYPE(its_name, its_secrets)                                                   \
	{                                                                                 \
		.name = (its_name), .secrets = (its_secrets), .shares_secrets = true,     \
		.start = acp_start, .push = acp_push, .interrupt = acp_interrupt,         \
		.stop = acp_stop, .has_command = acp_has_command, .is_busy = acp_is_busy, \
		.free = acp_free, .probe = acp_probe,                                     \
	}

/*
 * What agents read keys from. ANTHROPIC_API_KEY and its like are not listed: they are Claude Code's,
 * which are taken in any case, and handed to every agent.
 */
static const struct provider_secret acp_agents_codex_secrets[] = {
	{ "CODEX_ACCESS_TOKEN", NULL },
	{ "CODEX_API_KEY", NULL },
	{ "OPENAI_API_KEY", NULL },
	{ NULL, NULL },
};

static const struct provider_secret acp_agents_copilot_secrets[] = {
	{ "COPILOT_GITHUB_TOKEN", NULL },
	{ "COPILOT_PROVIDER_API_KEY", NULL },
	{ "COPILOT_PROVIDER_BEARER_TOKEN", NULL },
	{ "COPILOT_PROVIDER_HEADERS", NULL },
	{ "GH_TOKEN", NULL },
	{ "GITHUB_TOKEN", NULL },
	{ NULL, NULL },
};

static const struct provider_secret acp_agents_gemini_secrets[] = {
	{ "GEMINI_API_KEY", NULL },
	{ "GOOGLE_API_KEY", NULL },
	{ NULL, NULL },
};

static const struct provider_secret acp_agents_kiro_secrets[] = {
	{ "KIRO_API_KEY", NULL },
	{ NULL, NULL },
};

/* Of those that speak to many models, or of which nothing is known. */
static const struct provider_secret acp_agents_any_secrets[] = {
	{ "AZURE_OPENAI_API_KEY", NULL },
	{ "CODEX_API_KEY", NULL },
	{ "DEEPSEEK_API_KEY", NULL },
	{ "GEMINI_API_KEY", NULL },
	{ "GOOGLE_API_KEY", NULL },
	{ "GOOGLE_GENERATIVE_AI_API_KEY", NULL },
	{ "GROQ_API_KEY", NULL },
	{ "MISTRAL_API_KEY", NULL },
	{ "OPENAI_API_KEY", NULL },
	{ "OPENCODE_API_KEY", NULL },
	{ "OPENROUTER_API_KEY", NULL },
	{ "XAI_API_KEY", NULL },
	{ NULL, NULL },
};

static const char *const acp_agents_claude_argv[] = { "claude-agent-acp", NULL };
static const char *const acp_agents_codex_argv[] = { "codex-acp", NULL };
static const char *const acp_agents_opencode_argv[] = { "opencode", "acp", NULL };
static const char *const acp_agents_gemini_argv[] = { "gemini", "--acp", NULL };
static const char *const acp_agents_copilot_argv[] = { "copilot", "--acp", "--allow-all", NULL };
static const char *const acp_agents_kiro_argv[] = { "kiro-cli", "acp", "--trust-all-tools", NULL };

static const char *const acp_agents_claude_modes[] = { "bypassPermissions", NULL };
/* Of @agentclientprotocol/codex-acp, and of @zed-industries/codex-acp before it. */
static const char *const acp_agents_codex_modes[] = { "agent-full-access", "full-access", NULL };
static const char *const acp_agents_codex_auth[] = { "api-key", "codex-api-key", "openai-api-key",
						     NULL };
static const char *const acp_agents_gemini_modes[] = { "yolo", NULL };
static const char *const acp_agents_gemini_auth[] = { "gemini-api-key", NULL };

static const struct acp_variable acp_agents_claude_variables[] = {
	/* As root it offers no mode without permissions, unless it is told what we are. */
	{ "IS_SANDBOX", "1" },
	{ NULL, NULL },
};

static const struct acp_variable acp_agents_codex_variables[] = {
	/* From the first message on; and its own sandbox needs what ours denies. */
	{ "INITIAL_AGENT_MODE", "agent-full-access" },
	{ NULL, NULL },
};

static const struct acp_variable acp_agents_opencode_variables[] = {
	/* It knows no mode for that. */
	{ "OPENCODE_PERMISSION", "{\"*\":\"allow\"}" },
	/* The image says which version it is. */
	{ "OPENCODE_DISABLE_AUTOUPDATE", "1" },
	{ NULL, NULL },
};

static const struct acp_variable acp_agents_gemini_variables[] = {
	/* It refuses its mode without permissions in a folder that nobody has trusted. */
	{ "GEMINI_CLI_TRUST_WORKSPACE", "true" },
	{ NULL, NULL },
};

static const struct acp_variable acp_agents_copilot_variables[] = {
	{ "COPILOT_AUTO_UPDATE", "false" },
	{ NULL, NULL },
};

static const struct acp_agent acp_agents[] = {
	{
		.type = ACP_TYPE("claude-acp", NULL),
		.title = "claude-agent-acp",
		.argv = acp_agents_claude_argv,
		.install = "npm install -g @agentclientprotocol/claude-agent-acp",
		.variables = acp_agents_claude_variables,
		.model_variable = "ANTHROPIC_MODEL",
		.modes = acp_agents_claude_modes,
		.has_meta_prompt = true,
	},
	{
		.type = ACP_TYPE("codex", acp_agents_codex_secrets),
		.title = "Codex",
		.argv = acp_agents_codex_argv,
		.install = "npm install -g @agentclientprotocol/codex-acp",
		.variables = acp_agents_codex_variables,
		.modes = acp_agents_codex_modes,
		.auth_methods = acp_agents_codex_auth,
	},
	{
		.type = ACP_TYPE("copilot", acp_agents_copilot_secrets),
		.title = "Copilot",
		.argv = acp_agents_copilot_argv,
		.install = "npm install -g @github/copilot",
		.variables = acp_agents_copilot_variables,
		.model_variable = "COPILOT_MODEL",
		.mcp_option = "--additional-mcp-config=@",
		.retry_notice = "Info: Request failed due to a transient API error. Retrying...",
		.error_prefix = "Error: ",
	},
	{
		.type = ACP_TYPE("gemini", acp_agents_gemini_secrets),
		.title = "Gemini",
		.argv = acp_agents_gemini_argv,
		.install = "npm install -g @google/gemini-cli",
		.variables = acp_agents_gemini_variables,
		.model_option = "--model=",
		.modes = acp_agents_gemini_modes,
		.auth_methods = acp_agents_gemini_auth,
		.replay_ms = 300,
	},
	{
		.type = ACP_TYPE("kiro", acp_agents_kiro_secrets),
		.title = "Kiro",
		.argv = acp_agents_kiro_argv,
		.install = "see https://kiro.dev/docs/cli",
	},
	{
		.type = ACP_TYPE("opencode", acp_agents_any_secrets),
		.title = "OpenCode",
		.argv = acp_agents_opencode_argv,
		.install = "npm install -g opencode-ai",
		.variables = acp_agents_opencode_variables,
	},
	/* Any other. */
	{
		.type = ACP_TYPE("acp", acp_agents_any_secrets),
		.title = "the ACP agent",
	},
};

const struct acp_agent *acp_agents_at(size_t i)
{
	return i < ARRAY_LEN(acp_agents) ? &acp_agents[i] : NULL;
}
