/* SPDX-License-Identifier: MIT */
/*
 * A hostile agent CLI. To the session loop it speaks as Claude Code does (stream-json on its stdio);
 * words in a message steer it:
 *
 *   attempts: NAME…   makes these attempts, see attempt.h, and answers with their lines of JSON
 *   rude: NAME        does what rude.c knows under that name, and answers with what it says
 *
 * Every other message is answered with "still here". From the command line:
 *
 *   --list              the attempts, a line of JSON each
 *   --attempt NAME…     makes attempts where it is started
 *   --who               is it more than who started it? As an attempt's line of JSON
 *   --listen            listens, in the background, where attempts look for somebody
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/system/escape/attempt.h"
#include "tests/system/escape/rude.h"

#define AGENT_NAMES_MAX 512
#define AGENT_SESSION	"00000000-0000-4000-8000-000000000000"

static const char *agent_string(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void agent_say(json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);

	if (!text || printf("%s\n", text) < 0 || fflush(stdout) != 0)
		_exit(1);
	free(text);
	json_decref(line);
}

/* What the loop was asked to leave closed, and this program has not opened. */
static int agent_inherited(void)
{
	DIR *folder = opendir("/proc/self/fd");
	const struct dirent *entry;
	int found = -1;

	while (folder && (entry = readdir(folder))) {
		int fd = atoi(entry->d_name);

		if (fd > STDERR_FILENO && fd != dirfd(folder) && (found < 0 || fd < found))
			found = fd;
	}
	if (folder)
		(void)closedir(folder);
	return found;
}

/* Its parent, if that is what it should be. */
static pid_t agent_loop(void)
{
	char path[64], name[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)getppid());
	if (attempt_read(path, name, sizeof(name)) > 0 && strcmp(name, "agent-session\n") == 0)
		return getppid();
	return 0;
}

/* Makes the attempts of these names, parted by blanks. */
static void agent_attempt(const char *names, const struct scene *scene, FILE *out)
{
	while (*names) {
		size_t len = strcspn(names, " \n<");
		char name[64];
		const struct attempt *attempt;

		(void)snprintf(name, sizeof(name), "%.*s", (int)len, names);
		attempt = attempt_find(name);
		if (attempt)
			attempt_run(attempt, scene, out);
		else if (len > 0)
			(void)fprintf(out, "{\"name\":\"%s\",\"verdict\":\"unknown\"}\n", name);
		if (names[len] == '<')
			return;
		names += len + (names[len] != '\0');
	}
}

/* The answer to a prompt, the caller's to free. */
static char *agent_answer(const char *prompt, const struct scene *scene)
{
	const char *names = strstr(prompt, "attempts: "), *rude = strstr(prompt, "rude: ");
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		_exit(1);
	(void)fputs("<message to=\"casa\">", out);
	if (names)
		agent_attempt(names + strlen("attempts: "), scene, out);
	else if (rude)
		rude_do(rude + strlen("rude: "), scene, out);
	else
		(void)fputs("still here", out);
	(void)fputs("</message>", out);
	(void)fclose(out);
	return text;
}

static void agent_turn(json_t *line, const struct scene *scene)
{
	char *text;

	agent_say(json_pack("{s:s,s:s,s:s}", "type", "system", "subtype", "init", "session_id",
			    AGENT_SESSION));
	(void)json_object_set_new(line, "isReplay", json_true());
	agent_say(json_incref(line));
	text = agent_answer(agent_string(json_object_get(line, "message"), "content"), scene);
	agent_say(json_pack("{s:s,s:{s:s,s:[{s:s,s:s}]},s:s}", "type", "assistant", "message",
			    "role", "assistant", "content", "type", "text", "text", text,
			    "session_id", AGENT_SESSION));
	agent_say(json_pack("{s:s,s:s,s:b,s:s,s:s}", "type", "result", "subtype", "success",
			    "is_error", false, "result", text, "session_id", AGENT_SESSION));
	free(text);
}

static int agent_serve(const struct scene *scene)
{
	char *text = NULL;
	size_t size = 0;

	(void)signal(SIGPIPE, SIG_IGN);
	while (getline(&text, &size, stdin) > 0) {
		json_t *line = json_loads(text, 0, NULL);
		const char *type = agent_string(line, "type");

		if (strcmp(type, "control_request") == 0)
			agent_say(json_pack("{s:s,s:{s:s,s:s,s:{s:[]}}}", "type",
					    "control_response", "response", "subtype", "success",
					    "request_id", agent_string(line, "request_id"),
					    "response", "commands"));
		else if (strcmp(type, "user") == 0)
			agent_turn(line, scene);
		json_decref(line);
	}
	free(text);
	return 0;
}

/* Does it have rights that its starter has not? */
static int agent_who(void)
{
	char text[4096];
	const char *caps;
	bool is_more = geteuid() != getuid();

	(void)attempt_read("/proc/self/status", text, sizeof(text));
	caps = strstr(text, "CapEff:\t");
	if (caps && strtoull(caps + strlen("CapEff:\t"), NULL, 16) != 0)
		is_more = true;
	(void)printf("{\"verdict\":\"%s\",\"errno\":\"euid %d\"}\n",
		     is_more ? "succeeded" : "denied", (int)geteuid());
	return 0;
}

static int agent_listen(void)
{
	static const char name[] = ATTEMPT_ABSTRACT;
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in port = { .sin_family = AF_INET, .sin_port = htons(ATTEMPT_PORT) };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(local.sun_path + 1, name, sizeof(name) - 1);
	if (bind(fd, (const struct sockaddr *)&local,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(name))) < 0 ||
	    listen(fd, 8) < 0 || bind(tcp, (const struct sockaddr *)&port, sizeof(port)) < 0 ||
	    listen(tcp, 8) < 0)
		return 1;
	if (fork() > 0)
		return 0;
	for (;;)
		(void)pause();
}

int main(int argc, char **argv)
{
	struct scene scene = { .inherited = agent_inherited(), .loop = agent_loop() };
	char self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *mode = argc > 1 ? argv[1] : "";

	self[n > 0 ? n : 0] = '\0';
	scene.self = self;
	if (strcmp(mode, "--list") == 0)
		attempt_list(stdout);
	else if (strcmp(mode, "--attempt") == 0)
		for (int i = 2; i < argc; i++)
			agent_attempt(argv[i], &scene, stdout);
	else if (strcmp(mode, "--who") == 0)
		return agent_who();
	else if (strcmp(mode, "--listen") == 0)
		return agent_listen();
	else
		return agent_serve(&scene);
	return 0;
}
