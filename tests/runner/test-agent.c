/* SPDX-License-Identifier: MIT */
#include "runner/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "common/log.h"
#include "common/strbuf.h"
#include "runner/provider/registry.h"
#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/test.h"

static struct capture capture;

struct world {
	struct folder folder;
	struct loop *loop;
	struct loop_timer *timeout;
	struct children *children;
	struct config config;
	struct secrets *secrets;
	const json_t *servers; /* with all that belongs to them */
	struct agent *agent;
	struct strbuf log; /* calls of the provider, and events of the agent, ended by ; each */
	/* The provider that runs, and how the agent listens to it. */
	struct provider *running;
	const struct provider_events *events;
	void *listener;
	int start_result, push_result;
	bool is_busy;
	bool restarts; /* exited() starts the agent anew */
};

static struct world world;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	strbuf_printf(&world.log, "%s;", text);
}

/* What was noted since the last call. */
static void assert_log(const char *expected)
{
	assert_string_equal(world.log.data ? world.log.data : "", expected);
	strbuf_reset(&world.log);
}

/* A provider that does nothing but note what it is asked for. */

static const struct provider_type fake_type;

static const char *fake_show(const char *text)
{
	return text ? text : "-";
}

static int fake_start(const struct provider_query *query, const struct provider_events *events,
		      void *userdata, struct provider **ret_provider, struct err *err)
{
	struct provider *provider;

	note("start %s %s", fake_show(query->continuation), fake_show(query->instructions));
	if (world.start_result < 0)
		return err_set(err, world.start_result, "it cannot be started");
	assert_ptr_equal(query->loop, world.loop);
	assert_ptr_equal(query->children, world.children);
	provider = calloc(1, sizeof(*provider));
	assert_non_null(provider);
	provider->type = &fake_type;
	world.running = provider;
	world.events = events;
	world.listener = userdata;
	*ret_provider = provider;
	return 0;
}

static int fake_start_verbose(const struct provider_query *query,
			      const struct provider_events *events, void *userdata,
			      struct provider **ret_provider, struct err *err)
{
	note("%s|%s|%s|%s|%s", query->cwd, query->archive_dir, fake_show(query->model),
	     fake_show(query->effort), fake_show(query->assistant_name));
	for (const char *const *d = query->directories; *d; d++)
		note("dir %s", *d);
	note("%s|%s|%zu|%s", fake_show(query->config_dir), fake_show(query->own_server),
	     json_object_size(query->mcp_servers), query->env[0] ? query->env[0] : "-");
	for (const char *const *e = query->env; *e && e[1]; e++)
		note("env %s", e[1]);
	return fake_start(query, events, userdata, ret_provider, err);
}

static int fake_push(struct provider *provider, uint64_t id, const char *text, size_t len,
		     bool is_command)
{
	assert_ptr_equal(provider, world.running);
	note("push %d %.*s%s", (int)id, (int)len, text, is_command ? " command" : "");
	return world.push_result;
}

static void fake_interrupt(struct provider *provider)
{
	assert_ptr_equal(provider, world.running);
	note("interrupt");
}

static void fake_stop(struct provider *provider, int64_t kill_after_ms)
{
	assert_ptr_equal(provider, world.running);
	note("stop %d", (int)kill_after_ms);
}

static bool fake_has_command(const struct provider *provider, const char *word)
{
	assert_ptr_equal(provider, world.running);
	return strcmp(word, "/mine") == 0;
}

static bool fake_is_busy(const struct provider *provider)
{
	assert_ptr_equal(provider, world.running);
	return world.is_busy;
}

static void fake_free(struct provider *provider)
{
	note("free");
	if (provider == world.running)
		world.running = NULL;
	free(provider);
}

static const struct provider_type fake_type = {
	.name = "fake",
	.start = fake_start,
	.push = fake_push,
	.interrupt = fake_interrupt,
	.stop = fake_stop,
	.has_command = fake_has_command,
	.is_busy = fake_is_busy,
	.free = fake_free,
};

static const struct provider_type fake_verbose_type = {
	.name = "verbose",
	.start = fake_start_verbose,
	.push = fake_push,
	.interrupt = fake_interrupt,
	.stop = fake_stop,
	.has_command = fake_has_command,
	.is_busy = fake_is_busy,
	.free = fake_free,
};

/* In place of the table of providers. */

const struct provider_type *registry_find(const char *name)
{
	if (strcmp(name, "verbose") == 0)
		return &fake_verbose_type;
	return strcmp(name, "fake") == 0 ? &fake_type : NULL;
}

const struct provider_type *registry_at(size_t i)
{
	static const struct provider_secret secrets[] = { { "FAKE_KEY", NULL }, { NULL, NULL } };
	static const struct provider_type type = { .secrets = secrets };

	return i == 0 ? &type : NULL;
}

void registry_names(char *text, size_t size)
{
	(void)snprintf(text, size, "fake, verbose");
}

/* What the agent tells its user */

static void on_ready(void *userdata)
{
	(void)userdata;
	note("ready");
}

static void on_init(void *userdata, const char *continuation)
{
	(void)userdata;
	note("init %s", continuation);
}

static void on_text(void *userdata, const char *text, size_t len)
{
	(void)userdata;
	note("text %.*s", (int)len, text);
}

static void on_tool_start(void *userdata, const char *id, const char *name, int64_t timeout_ms)
{
	(void)userdata;
	note("tool %s %s %d", id, name, (int)timeout_ms);
}

static void on_tool_end(void *userdata, const char *id)
{
	(void)userdata;
	note("end %s", id);
}

static void on_result(void *userdata, const struct provider_result *result)
{
	(void)userdata;
	note("result %d %s", (int)result->answered, result->text);
}

static void on_server(void *userdata, const char *name, const char *status)
{
	(void)userdata;
	note("server %s %s", name, status);
}

static void on_compacted(void *userdata)
{
	(void)userdata;
	note("compacted");
}

static void on_activity(void *userdata)
{
	(void)userdata;
	note("activity");
}

static void on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct world *w = userdata;

	note("exited %s %s", provider_error_name(error), detail);
	assert_false(agent_is_running(w->agent));
	if (w->restarts)
		assert_int_equal(agent_ensure(w->agent, "again", false, NULL), 0);
}

static const struct provider_events agent_events = {
	.ready = on_ready,
	.init = on_init,
	.text = on_text,
	.tool_start = on_tool_start,
	.tool_end = on_tool_end,
	.result = on_result,
	.server = on_server,
	.compacted = on_compacted,
	.activity = on_activity,
	.exited = on_exited,
};

static int make_agent(struct world *w, const char *continuation, struct err *err)
{
	static const char *const env[] = { "AGENT_SOCKET=/x", NULL };
	const struct agent_options options = {
		.loop = w->loop,
		.children = w->children,
		.config = &w->config,
		.workspace = w->folder.path,
		.continuation = continuation,
		.mcp_servers = w->servers,
		.own_server = w->servers ? "ours" : NULL,
		.env = w->servers ? env : NULL,
		.secrets = w->secrets,
		.events = &agent_events,
		.userdata = w,
	};

	int r = agent_new(&options, &w->agent, err);

	if (r == 0)
		agent_set_config_dir(w->agent, w->servers ? "/run/x" : NULL);
	return r;
}

static void on_timeout(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, -ETIMEDOUT);
}

static int setup(void **state)
{
	static char fake[] = "fake", empty[] = "";
	struct world *w = &world;

	*w = (struct world){ .agent = NULL };
	w->config = (struct config){
		.provider = fake,
		.assistant_name = empty,
		.model = empty,
		.effort = empty,
	};
	folder_make(&w->folder);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	assert_int_equal(children_new(w->loop, NULL, NULL, &w->children, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_timeout, w, &w->timeout), 0);
	loop_timer_arm(w->timeout, 10000);
	assert_int_equal(make_agent(w, NULL, NULL), 0);
	log_set_level(LOG_LEVEL_WARNING);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	agent_free(w->agent);
	secrets_free(w->secrets);
	assert_null(w->running);
	children_free(w->children);
	loop_timer_free(w->timeout);
	loop_free(w->loop);
	strbuf_deinit(&w->log);
	folder_remove(&w->folder);
	return 0;
}

static void ensure(struct world *w, const char *instructions, bool replace)
{
	assert_int_equal(agent_ensure(w->agent, instructions, replace, NULL), 0);
}

static void exit_with(struct world *w, enum provider_error error, const char *detail)
{
	w->events->exited(w->listener, error, detail);
}

static void result(struct world *w, uint64_t answered, const char *text)
{
	const struct provider_result r = {
		.answered = answered,
		.text = text,
		.text_len = strlen(text),
	};

	w->events->result(w->listener, &r);
}

static void test_unknown_provider(void **state)
{
	static char nobody[] = "nobody";
	struct world *w = *state;
	struct err err;

	agent_free(steal_ptr(w->agent));
	w->config.provider = nobody;
	assert_int_equal(make_agent(w, NULL, &err), -ENOENT);
	assert_string_equal(err.text, "there is no provider \"nobody\": set \"provider\" in "
				      "container.json or AGENT_PROVIDER to one of fake, verbose");
	assert_null(w->agent);
	agent_free(NULL);
}

static void test_nothing_is_started_by_itself(void **state)
{
	struct world *w = *state;

	assert_string_equal(agent_name(w->agent), "fake");
	assert_false(agent_is_running(w->agent));
	assert_false(agent_is_ready(w->agent));
	assert_false(agent_knows_commands(w->agent));
	assert_false(agent_has_command(w->agent, "/mine"));
	assert_null(agent_continuation(w->agent));
	assert_int_equal(agent_push(w->agent, "hi", 2, false), -EPIPE);
	agent_interrupt(w->agent);
	agent_stop(w->agent, 5);
	agent_reset(w->agent);
	assert_log("");
}

static void test_start(void **state)
{
	struct world *w = *state;

	ensure(w, "be kind", false);
	assert_log("start - be kind;");
	assert_true(agent_is_running(w->agent));
	assert_false(agent_is_ready(w->agent));
	assert_true(agent_has_command(w->agent, "/mine"));
	assert_false(agent_has_command(w->agent, "/other"));
	w->events->ready(w->listener);
	assert_log("ready;");
	assert_true(agent_is_running(w->agent));
	assert_true(agent_is_ready(w->agent));
	/* It runs already. */
	ensure(w, "be kind", true);
	ensure(w, "be brief", false);
	assert_log("");
}

static void test_what_it_is_started_with(void **state)
{
	static char verbose[] = "verbose", name[] = "Andy", model[] = "opus", effort[] = "high";
	struct world *w = *state;
	json_t *servers = json_pack("{s:{}, s:{}}", "ours", "files");
	char expected[1024];

	agent_free(steal_ptr(w->agent));
	w->config.provider = verbose;
	assert_int_equal(make_agent(w, NULL, NULL), 0);
	ensure(w, "", false);
	snprintf(expected, sizeof(expected), "%s|%s/conversations|-|-|-;-|-|0|-;start - -;",
		 w->folder.path, w->folder.path);
	assert_log(expected);

	agent_free(steal_ptr(w->agent));
	assert_log("free;");
	folder_mkdir(&w->folder, "agent");
	folder_mkdir(&w->folder, "extra");
	folder_mkdir(&w->folder, "extra/b");
	folder_mkdir(&w->folder, "extra/a");
	w->config.assistant_name = name;
	w->config.model = model;
	w->config.effort = effort;
	w->servers = servers;
	assert_int_equal(setenv("FAKE_KEY", "k", 1), 0);
	assert_int_equal(secrets_take(&w->secrets), 0);
	assert_int_equal(make_agent(w, "s-1", NULL), 0);
	ensure(w, "be kind", false);
	snprintf(expected, sizeof(expected),
		 "%s/agent|%s/agent/conversations|opus|high|Andy;dir %s/extra/a;dir %s/extra/b;"
		 "/run/x|ours|2|AGENT_SOCKET=/x;env FAKE_KEY=k;start s-1 be kind;",
		 w->folder.path, w->folder.path, w->folder.path, w->folder.path);
	assert_log(expected);
	/* The next one gets them as well. */
	exit_with(w, PROVIDER_CRASHED, "gone");
	assert_log("exited crashed gone;free;");
	ensure(w, "be kind", false);
	assert_log(expected);
	json_decref(servers);
}

static void test_a_start_that_fails(void **state)
{
	struct world *w = *state;
	struct err err;

	w->start_result = -ENOEXEC;
	assert_int_equal(agent_ensure(w->agent, "a", false, &err), -ENOEXEC);
	assert_string_equal(err.text, "it cannot be started");
	assert_false(agent_is_running(w->agent));
	/* Asked once more for its commands, it would fail once more, and so on. */
	assert_true(agent_knows_commands(w->agent));
	w->start_result = 0;
	ensure(w, "a", false);
	assert_log("start - a;start - a;");
	assert_true(agent_is_running(w->agent));
}

static void test_the_start_is_logged(void **state)
{
	struct world *w = *state;

	log_set_level(LOG_LEVEL_INFO);
	capture_start(&capture, STDERR_FILENO);
	ensure(w, "a", false);
	exit_with(w, PROVIDER_CRASHED, "gone");
	ensure(w, "a", false);
	w->events->init(w->listener, "s-1");
	exit_with(w, PROVIDER_CRASHED, "gone");
	ensure(w, "a", false);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: agent fake started, new conversation\n"
			    "agent-runner: agent fake started, new conversation\n"
			    "agent-runner: agent fake started, resuming s-1\n");
}

/* The conversation goes on in the one that comes after. */
static void test_replacement(void **state)
{
	struct world *w = *state;

	ensure(w, "old", false);
	w->events->init(w->listener, "s-1");
	assert_log("start - old;init s-1;");
	w->is_busy = true;
	ensure(w, "new", true);
	assert_log("");
	w->is_busy = false;
	ensure(w, "new", true);
	assert_log("stop 2000;");
	assert_false(agent_is_running(w->agent));
	/* Nothing more until it is gone. */
	ensure(w, "newer", true);
	agent_stop(w->agent, 5);
	agent_interrupt(w->agent);
	assert_int_equal(agent_push(w->agent, "hi", 2, false), -EPIPE);
	assert_log("");
	exit_with(w, PROVIDER_OK, "ended as asked");
	assert_log("exited ok ended as asked;free;");
	ensure(w, "newer", false);
	assert_log("start s-1 newer;");
}

static void test_one_that_is_ending_says_nothing_more(void **state)
{
	struct world *w = *state;

	ensure(w, "a", false);
	agent_stop(w->agent, 7);
	assert_log("start - a;stop 7;");
	w->events->ready(w->listener);
	w->events->init(w->listener, "s-1");
	w->events->text(w->listener, "late", 4);
	w->events->server(w->listener, "files", "failed");
	result(w, 1, "late");
	assert_log("");
	assert_false(agent_is_ready(w->agent));
	assert_null(agent_continuation(w->agent));
	/* What concerns its process still counts. */
	w->events->activity(w->listener);
	w->events->tool_end(w->listener, "t");
	assert_log("activity;end t;");
}

/* Words that may be commands wait for an agent that can tell; not for one that cannot start. */
static void test_knows_commands(void **state)
{
	struct world *w = *state;

	ensure(w, "a", false);
	assert_false(agent_knows_commands(w->agent));
	w->events->ready(w->listener);
	assert_true(agent_knows_commands(w->agent));
	w->events->exited(w->listener, PROVIDER_CRASHED, "died");
	assert_false(agent_knows_commands(w->agent));
	ensure(w, "a", false);
	w->events->exited(w->listener, PROVIDER_UNAVAILABLE, "missing");
	assert_true(agent_knows_commands(w->agent));
	ensure(w, "a", false);
	assert_false(agent_knows_commands(w->agent));
	w->events->ready(w->listener);
	assert_true(agent_knows_commands(w->agent));
}

static void test_events_are_passed_on(void **state)
{
	struct world *w = *state;

	ensure(w, "a", false);
	w->events->ready(w->listener);
	assert_log("start - a;ready;");
	w->events->text(w->listener, "hello world", 5);
	w->events->tool_start(w->listener, "t-1", "Bash", 9);
	w->events->tool_end(w->listener, "t-1");
	w->events->server(w->listener, "files", "connected");
	w->events->compacted(w->listener);
	w->events->activity(w->listener);
	result(w, 3, "done");
	assert_log("text hello;tool t-1 Bash 9;end t-1;server files connected;compacted;activity;"
		   "result 3 done;");
}

static void test_ready_is_told_once(void **state)
{
	struct world *w = *state;

	ensure(w, "a", false);
	w->events->ready(w->listener);
	w->events->ready(w->listener);
	assert_log("start - a;ready;");
}

static void test_continuation(void **state)
{
	struct world *w = *state;

	agent_free(steal_ptr(w->agent));
	assert_int_equal(make_agent(w, "s-1", NULL), 0);
	assert_string_equal(agent_continuation(w->agent), "s-1");
	ensure(w, "a", false);
	/* The same again is no news. */
	w->events->init(w->listener, "s-1");
	assert_log("start s-1 a;");
	w->events->init(w->listener, "s-2");
	w->events->init(w->listener, "s-2");
	assert_log("init s-2;");
	assert_string_equal(agent_continuation(w->agent), "s-2");
	exit_with(w, PROVIDER_CRASHED, "killed by signal 9");
	assert_log("exited crashed killed by signal 9;free;");
	ensure(w, "a", false);
	assert_log("start s-2 a;");
}

static void test_reset(void **state)
{
	struct world *w = *state;

	ensure(w, "a", false);
	w->events->init(w->listener, "s-1");
	agent_reset(w->agent);
	assert_log("start - a;init s-1;stop 2000;");
	assert_null(agent_continuation(w->agent));
	/* It names the conversation that was just forgotten. */
	w->events->init(w->listener, "s-1");
	assert_null(agent_continuation(w->agent));
	exit_with(w, PROVIDER_OK, "");
	ensure(w, "a", false);
	assert_log("exited ok ;free;start - a;");
}

/* Each id is higher than any before, whatever process it went to. */
static void test_pushes(void **state)
{
	struct world *w = *state;

	ensure(w, "a", false);
	assert_int_equal(agent_push(w->agent, "one", 3, false), 1);
	w->push_result = -ENOMEM;
	assert_int_equal(agent_push(w->agent, "two", 3, false), -ENOMEM);
	w->push_result = 0;
	assert_int_equal(agent_push(w->agent, "/mine", 5, true), 2);
	assert_log("start - a;push 1 one;push 2 two;push 2 /mine command;");
	exit_with(w, PROVIDER_CRASHED, "gone");
	assert_int_equal(agent_push(w->agent, "three", 5, false), -EPIPE);
	ensure(w, "a", false);
	assert_int_equal(agent_push(w->agent, "three", 5, false), 3);
	assert_log("exited crashed gone;free;start - a;push 3 three;");
}

static void test_interrupt(void **state)
{
	struct world *w = *state;

	ensure(w, "a", false);
	agent_interrupt(w->agent);
	assert_log("start - a;interrupt;");
}

/* The words of the one that ended live until the callback returns. */
static void test_the_callback_may_start_it_anew(void **state)
{
	struct world *w = *state;

	w->restarts = true;
	ensure(w, "a", false);
	exit_with(w, PROVIDER_CRASHED, "gone");
	assert_log("start - a;exited crashed gone;start - again;free;");
	assert_true(agent_is_running(w->agent));
	assert_non_null(w->running);
}

static void on_pipe(void *userdata, uint32_t events)
{
	struct world *w = userdata;

	(void)events;
	loop_stop(w->loop, 0);
}

/* A process whose parent is gone; it holds the writing end of the pipe. */
static void leave_orphan(int ends[2])
{
	pid_t middle = fork();

	assert_true(middle >= 0);
	if (middle == 0) {
		if (fork() == 0)
			for (;;)
				pause();
		_exit(0);
	}
	assert_int_equal(waitpid(middle, NULL, 0), middle);
	close(ends[1]);
}

static void test_what_its_tools_left_running_ends_with_it(void **state)
{
	struct world *w = *state;
	struct loop_source *source;
	int ends[2];

	ensure(w, "a", false);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(loop_add_fd(w->loop, ends[0], EPOLLIN, on_pipe, w, &source), 0);
	leave_orphan(ends);
	exit_with(w, PROVIDER_CRASHED, "gone");
	/* The end of the only writer. */
	assert_int_equal(loop_run(w->loop, NULL), 0);
	loop_source_free(source);
	close(ends[0]);
}

static void test_what_it_locked_is_given_back(void **state)
{
	struct world *w = *state;
	struct stat st;

	folder_mkdir(&w->folder, "agent");
	ensure(w, "a", false);
	assert_int_equal(chmod(folder_file(&w->folder, "agent"), 0), 0);
	exit_with(w, PROVIDER_CRASHED, "gone");
	log_set_level(LOG_LEVEL_ERROR);
	/* At once: no look at the inbox lies between. */
	ensure(w, "a", false);
	assert_int_equal(stat(folder_file(&w->folder, "agent"), &st), 0);
	assert_int_equal(st.st_mode & ALLPERMS, 0700);
}

static void test_free_while_it_runs(void **state)
{
	struct world *w = *state;

	ensure(w, "a", false);
	agent_free(steal_ptr(w->agent));
	assert_log("start - a;free;");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_unknown_provider),
		CASE(test_nothing_is_started_by_itself),
		CASE(test_start),
		CASE(test_what_it_is_started_with),
		CASE(test_a_start_that_fails),
		CASE(test_the_start_is_logged),
		CASE(test_replacement),
		CASE(test_one_that_is_ending_says_nothing_more),
		CASE(test_knows_commands),
		CASE(test_events_are_passed_on),
		CASE(test_ready_is_told_once),
		CASE(test_continuation),
		CASE(test_reset),
		CASE(test_pushes),
		CASE(test_interrupt),
		CASE(test_the_callback_may_start_it_anew),
		CASE(test_what_its_tools_left_running_ends_with_it),
		CASE(test_what_it_locked_is_given_back),
		CASE(test_free_while_it_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
