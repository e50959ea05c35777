/* SPDX-License-Identifier: MIT */
#include "runner/config-sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/strbuf.h"
#include "runner/config.h"
#include "tests/folder.h"
#include "tests/test.h"

static struct folder folder;
static struct config *config;
static bool is_read_only; /* what the files lie on */

int __real_fstatvfs64(int fd, struct statvfs *fs);
int __wrap_fstatvfs64(int fd, struct statvfs *fs);

/* A mount needs privileges; whole-program tests have a real one. */
int __wrap_fstatvfs64(int fd, struct statvfs *fs)
{
	int r = __real_fstatvfs64(fd, fs);

	if (is_read_only)
		fs->f_flag |= ST_RDONLY;
	return r;
}

static uid_t user;

uid_t __wrap_geteuid(void);

uid_t __wrap_geteuid(void)
{
	return user;
}

static int setup(void **state)
{
	(void)state;
	unsetenv(CONFIG_SANDBOX_VARIABLE);
	is_read_only = false;
	config = NULL;
	folder_make(&folder);
	folder_mkdir(&folder, "agent");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	config_free(config);
	folder_remove(&folder);
	return 0;
}

static const char *path(void)
{
	return folder_file(&folder, "agent/container.json");
}

/* Reads what stands there, and the variable. */
static void read_config(void)
{
	struct err err = { "" };

	config_free(config);
	config = NULL;
	if (config_read(path(), &config, &err) < 0)
		fail_msg("%s", err.text);
}

/* The words, joined by blanks. */
static void assert_words(const char *expected)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	for (char **word = config->sandbox.words; *word; word++)
		strbuf_printf(&text, "%s%s", text.len > 0 ? " " : "", *word);
	assert_string_equal(text.len > 0 ? text.data : "", expected);
}

/* The warnings, joined by |. */
static void assert_warnings(const char *expected)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	for (const char *warning = config_warning(config, NULL); warning;
	     warning = config_warning(config, warning))
		strbuf_printf(&text, "%s%s", text.len > 0 ? "|" : "", warning);
	assert_string_equal(text.len > 0 ? text.data : "", expected);
}

static void assert_variable(const char *json, const char *words, const char *warnings)
{
	assert_int_equal(setenv(CONFIG_SANDBOX_VARIABLE, json, 1), 0);
	read_config();
	assert_words(words);
	assert_warnings(warnings);
}

static void test_nothing_is_said(void **state)
{
	static const char *const values[] = {
		"",
		"{}",
		"{\"write\": []}",
		"{\"userns\": \"deny\"}",
		"{\"write\": null, \"read\": null, \"connect\": null, \"bind\": null, \"userns\": "
		"null,"
		" \"protections\": null}",
		"{\"protections\": {\"landlock\": null}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_variable(values[i], "", "");
}

static void test_every_key(void **state)
{
	(void)state;
	assert_variable(
		"{\"protections\": {\"landlock\": \"require\", \"NO_NEW_PRIVS\": \"require\","
		" \"seccomp\": \"off\"}, \"userns\": \"allow\", \"bind\": [8080],"
		" \"connect\": [1, 443, 65535], \"read\": [\"/srv/a\", \"/\"],"
		" \"write\": [\"/srv/b..c\", \"/a b=c\"]}",
		"--write=/srv/b..c --write=/a b=c --read=/srv/a --read=/ --connect=1 "
		"--connect=443 --connect=65535 --bind=8080 --userns "
		"--protection=LANDLOCK=require --protection=NO_NEW_PRIVS=require "
		"--protection=SECCOMP=off",
		"");
}

static void assert_workspace(uid_t uid, bool is_shared, const char *words)
{
	user = uid;
	assert_variable("{\"bind\": [80]}", "--bind=80", "");
	assert_int_equal(config_sandbox_set_workspace(&config->sandbox, "/ws", is_shared), 0);
	assert_words(words);
	assert_null(config->sandbox.words[config->sandbox.count]);
}

static void test_words_for_the_workspace(void **state)
{
	(void)state;
	assert_workspace(1000, false, "--bind=80 --workspace=/ws --complete");
	assert_workspace(1000, true, "--bind=80 --workspace=/ws --session --complete");
	assert_workspace(0, true, "--bind=80 --workspace=/ws --session --allow-root --complete");
	assert_workspace(0, false, "--bind=80 --workspace=/ws --allow-root --complete");
}

/* A list that is given limits, whatever is left of it. */
static void test_an_empty_list_is_a_limit(void **state)
{
	(void)state;
	assert_variable("{\"read\": [], \"connect\": [], \"bind\": []}",
			"--read=none --connect=none --bind=none", "");
	assert_variable("{\"connect\": [0], \"read\": [\"x\"]}", "--read=none --connect=none",
			"AGENT_SANDBOX: \"read\" must hold an absolute path without \"..\" each, "
			"found \"x\": left out|AGENT_SANDBOX: \"connect\" must hold a port from 1 "
			"to 65535 each, found 0: left out");
}

static void test_wrong_items(void **state)
{
	static const struct {
		const char *item, *found;
	} paths[] = {
		{ "\"\"", "\"\"" },
		{ "\"none\"", "\"none\"" },
		{ "\"a/b\"", "\"a/b\"" },
		{ "\"/a/../b\"", "\"/a/../b\"" },
		{ "\"/..\"", "\"/..\"" },
		{ "\"/a\\u0000b\"", "\"/a\"" },
		{ "7", "7" },
		{ "null", "null" },
		{ "[\"/a\"]", "an array" },
	}, ports[] = {
		{ "0", "0" },	     { "-1", "-1" },   { "65536", "65536" },
		{ "\"80\"", "\"80\"" }, { "80.5", "a fraction" }, { "true", "a boolean" },
	};
	char json[128], warning[256];

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(json, sizeof(json), "{\"write\": [\"/x\", %s, \"/y\"]}", paths[i].item);
		snprintf(warning, sizeof(warning),
			 "AGENT_SANDBOX: \"write\" must hold an absolute path without \"..\" each, "
			 "found %s: left out",
			 paths[i].found);
		assert_variable(json, "--write=/x --write=/y", warning);
	}
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		snprintf(json, sizeof(json), "{\"bind\": [%s, 9]}", ports[i].item);
		snprintf(warning, sizeof(warning),
			 "AGENT_SANDBOX: \"bind\" must hold a port from 1 to 65535 each, found %s: "
			 "left out",
			 ports[i].found);
		assert_variable(json, "--bind=9", warning);
	}
}

static void test_a_path_that_is_too_long(void **state)
{
	cleanup_strbuf struct strbuf json = STRBUF_EMPTY;

	(void)state;
	strbuf_puts(&json, "{\"write\": [\"/");
	for (int i = 0; i < 4096; i++)
		strbuf_putc(&json, 'a');
	strbuf_puts(&json, "\"]}");
	assert_int_equal(setenv(CONFIG_SANDBOX_VARIABLE, json.data, 1), 0);
	read_config();
	assert_words("");
	assert_non_null(config_warning(config, NULL));
}

static void test_wrong_types(void **state)
{
	(void)state;
	assert_variable("{\"write\": \"/x\"}", "",
			"AGENT_SANDBOX: \"write\" must be an array of paths, found a string: using "
			"none");
	/* A limit that cannot be read allows nothing. */
	assert_variable("{\"read\": \"/opt\"}", "--read=none",
			"AGENT_SANDBOX: \"read\" must be an array of paths, found a string: using "
			"none");
	assert_variable("{\"connect\": 443}", "--connect=none",
			"AGENT_SANDBOX: \"connect\" must be an array of ports, found an integer: "
			"using none");
	assert_variable("{\"bind\": {}}", "--bind=none",
			"AGENT_SANDBOX: \"bind\" must be an array of ports, found an object: "
			"using none");
	assert_variable("{\"userns\": true}", "",
			"AGENT_SANDBOX: \"userns\" must be allow or deny, found a boolean: using "
			"deny");
	assert_variable("{\"userns\": \"yes\"}", "",
			"AGENT_SANDBOX: \"userns\" must be allow or deny, found \"yes\": using "
			"deny");
	assert_variable("{\"protections\": [\"caps\"]}", "",
			"AGENT_SANDBOX: \"protections\" must be an object, found an array: left "
			"out");
}

static void test_keys_that_are_none(void **state)
{
	(void)state;
	assert_variable("{\"conect\": [443], \"bind\": [80], \"Read\": [1, {}]}", "--bind=80",
			"AGENT_SANDBOX: there is no key \"conect\": left out|AGENT_SANDBOX: there "
			"is no key \"Read\": left out");
	assert_variable("{\"protections\": {\"selinux\": \"try\", \"undumpable\": \"require\"}}",
			"--protection=UNDUMPABLE=require",
			"AGENT_SANDBOX: \"protections\": there is no protection \"selinux\": left "
			"out; there are caps, no_new_privs, undumpable, seccomp, landlock");
}

/* Whoever names a protection wants it. */
static void test_modes_that_are_none(void **state)
{
	(void)state;
	assert_variable("{\"protections\": {\"landlock\": \"required\", \"seccomp\": \"off\"}}",
			"--protection=LANDLOCK=require --protection=SECCOMP=off",
			"AGENT_SANDBOX: \"protections\": landlock must be require, try or off, "
			"found \"required\": using require");
	assert_variable("{\"protections\": {\"caps\": 1, \"seccomp\": true}}",
			"--protection=CAPS=require --protection=SECCOMP=require",
			"AGENT_SANDBOX: \"protections\": caps must be require, try or off, found "
			"1: using require|AGENT_SANDBOX: \"protections\": seccomp must be require, "
			"try or off, found a boolean: using require");
}

static void test_what_is_settled_before(void **state)
{
	(void)state;
	assert_variable("{\"protections\": {\"undumpable\": \"off\", \"Caps\": \"TRY\","
			" \"no_new_privs\": \"off\", \"seccomp\": \"try\"}}",
			"--protection=SECCOMP=try",
			"AGENT_SANDBOX: \"protections\": undumpable is settled before this is "
			"read: off changes nothing for the agent|AGENT_SANDBOX: \"protections\": "
			"Caps is settled before this is read: try changes nothing for the agent|"
			"AGENT_SANDBOX: \"protections\": no_new_privs is settled before this is "
			"read: off changes nothing for the agent");
}

static void test_too_many(void **state)
{
	static const struct {
		const char *key, *item, *noun;
	} rows[] = {
		{ "write", "\"/x\"", "paths" },
		{ "read", "\"/x\"", "paths" },
		{ "connect", "80", "ports" },
		{ "bind", "80", "ports" },
	};
	cleanup_strbuf struct strbuf json = STRBUF_EMPTY, warnings = STRBUF_EMPTY;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		strbuf_printf(&json, "%c\"%s\": [", i == 0 ? '{' : ',', rows[i].key);
		for (int n = 0; n < 70; n++)
			strbuf_printf(&json, "%s%s", n > 0 ? "," : "", rows[i].item);
		strbuf_puts(&json, "]");
		strbuf_printf(&warnings,
			      "%sAGENT_SANDBOX: \"%s\" holds more than 64 %s: the rest is left out",
			      i > 0 ? "|" : "", rows[i].key, rows[i].noun);
	}
	/* With all that has a word of its own nothing is short. */
	strbuf_puts(&json,
		    ",\"userns\":\"allow\",\"protections\":{\"caps\":\"require\",\"seccomp\":"
		    "\"try\",\"landlock\":\"try\",\"undumpable\":\"require\","
		    "\"no_new_privs\":\"require\",\"Caps\":\"off\"}}");
	assert_int_equal(setenv(CONFIG_SANDBOX_VARIABLE, json.data, 1), 0);
	read_config();
	strbuf_puts(&warnings, "|AGENT_SANDBOX: \"protections\": Caps is there already: left out");
	assert_warnings(warnings.data);
	assert_int_equal(config->sandbox.count, 4 * 64 + 6);
}

static void test_a_variable_that_makes_no_sense(void **state)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{ "{", "AGENT_SANDBOX: line 1, column 1: string or '}' expected near end of file" },
		{ "off", "AGENT_SANDBOX: line 1, column 3: invalid token" },
		{ "[]", "AGENT_SANDBOX: must be a JSON object, found an array" },
		{ "null", "AGENT_SANDBOX: must be a JSON object, found null" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = { "" };

		assert_int_equal(setenv(CONFIG_SANDBOX_VARIABLE, rows[i].json, 1), 0);
		assert_int_equal(config_read(path(), &config, &err), -EINVAL);
		assert_string_equal(err.text, rows[i].text);
	}
}

/* Whose file it is */

static void write_file(const char *name)
{
	folder_write(&folder, name, "{\"sandbox\": {\"write\": [\"/srv\"], \"bind\": 1}}");
}

static void assert_left_out(const char *why)
{
	char warning[512];

	read_config();
	assert_words("");
	snprintf(warning, sizeof(warning), "%s %s", path(), why);
	assert_warnings(warning);
}

#define AGENTS "lies where the agent can write it: its \"sandbox\" is left out; mount it read-only"
#define LINK                                                                                    \
	"or its folder is a symbolic link: its \"sandbox\" is left out; mount the file itself " \
	"read-only (Kubernetes: with subPath)"

static void test_a_file_that_the_agent_can_write(void **state)
{
	(void)state;
	write_file("agent/container.json");
	assert_left_out(AGENTS);
	/* Nobody has to be told of what is not there. */
	folder_write(&folder, "agent/container.json", "{\"sandbox\": null}");
	read_config();
	assert_warnings("");
}

static void test_a_file_on_a_read_only_mount(void **state)
{
	char warning[512];

	(void)state;
	is_read_only = true;
	write_file("agent/container.json");
	read_config();
	assert_words("--write=/srv --bind=none");
	snprintf(warning, sizeof(warning),
		 "%s: \"sandbox\": \"bind\" must be an array of ports, found an integer: using "
		 "none",
		 path());
	assert_warnings(warning);
	folder_write(&folder, "agent/container.json", "{\"sandbox\": 5}");
	read_config();
	assert_words("");
	snprintf(warning, sizeof(warning),
		 "%s: \"sandbox\": must be an object, found an integer: "
		 "left out",
		 path());
	assert_warnings(warning);
}

/* The agent's links can lead to a file on some read-only mount, in what it was given to read. */
static void test_links_lead_to_no_file_of_the_hosts(void **state)
{
	(void)state;
	is_read_only = true;
	write_file("agent/other");
	assert_int_equal(symlink("other", path()), 0);
	assert_left_out(LINK);
	assert_int_equal(unlink(path()), 0);
	folder_mkdir(&folder, "extra");
	write_file("extra/container.json");
	assert_int_equal(remove(folder_file(&folder, "agent/other")), 0);
	assert_int_equal(rmdir(folder_file(&folder, "agent")), 0);
	assert_int_equal(symlink("extra", folder_file(&folder, "agent")), 0);
	assert_left_out(LINK);
}

static void test_the_variable_stands_for_the_file(void **state)
{
	(void)state;
	write_file("agent/container.json");
	assert_variable("{\"bind\": [80]}", "--bind=80", "");
	is_read_only = true;
	assert_variable("{\"connect\": [80]}", "--connect=80", "");
}

static void test_open(void **state)
{
	enum config_sandbox_owner owner;
	int fd;

	(void)state;
	assert_int_equal(config_sandbox_open(path(), &owner), -ENOENT);
	is_read_only = true;
	write_file("agent/container.json");
	fd = config_sandbox_open(path(), &owner);
	assert_true(fd >= 0);
	assert_int_equal(owner, CONFIG_SANDBOX_HOSTS);
	close(fd);
	is_read_only = false;
	fd = config_sandbox_open(path(), &owner);
	assert_true(fd >= 0);
	assert_int_equal(owner, CONFIG_SANDBOX_AGENTS);
	close(fd);
	assert_int_equal(chdir(folder.path), 0);
	write_file("relative");
	fd = config_sandbox_open("relative", &owner);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(config_sandbox_open("/no such file", &owner), -ENOENT);
	assert_int_equal(chdir("/"), 0);
}

/* What is not the host's may be anything, and the sandbox is all that counts. */
static void test_the_sandbox_alone(void **state)
{
	static const char *const files[] = { "{", "[]", "{\"maxMessagesPerPrompt\": \"many\"}" };
	struct err err = { "" };

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		folder_write(&folder, "agent/container.json", files[i]);
		assert_int_equal(config_load_sandbox(path(), &config, &err), 0);
		assert_null(config_warning(config, NULL));
		assert_int_equal(config->sandbox.count, 0);
		config_free(config);
		config = NULL;
	}
	/* The host's own mistake is one here, too. */
	is_read_only = true;
	folder_write(&folder, "agent/container.json", "{");
	assert_int_equal(config_load_sandbox(path(), &config, &err), -EINVAL);
	write_file("agent/container.json");
	assert_int_equal(config_load_sandbox(path(), &config, &err), 0);
	assert_words("--write=/srv --bind=none");
	config_free(config);
	assert_int_equal(setenv(CONFIG_SANDBOX_VARIABLE, "{\"connect\": [443]}", 1), 0);
	assert_int_equal(config_load_sandbox(path(), &config, &err), 0);
	assert_string_equal(config->sandbox.words[0], "--connect=443");
	config_free(config);
	config = NULL;
	assert_int_equal(setenv(CONFIG_SANDBOX_VARIABLE, "no JSON", 1), 0);
	assert_int_equal(config_load_sandbox(path(), &config, &err), -EINVAL);
	assert_memory_equal(err.text, "AGENT_SANDBOX: ", strlen("AGENT_SANDBOX: "));
	assert_int_equal(unsetenv(CONFIG_SANDBOX_VARIABLE), 0);

	assert_int_equal(unlink(path()), 0);
	assert_int_equal(config_load_sandbox(path(), &config, &err), 0);
	config_free(config);
	/* A project with a file of this name is no session. */
	assert_int_equal(rmdir(folder_file(&folder, "agent")), 0);
	folder_write(&folder, "agent", "text");
	assert_int_equal(config_load_sandbox(path(), &config, &err), 0);
	config_free(config);
	config = NULL;
	/* But what cannot be looked at might have limited. */
	assert_int_equal(unlink(folder_file(&folder, "agent")), 0);
	assert_int_equal(symlink("agent", folder_file(&folder, "agent")), 0);
	assert_int_equal(config_load_sandbox(path(), &config, &err), -ELOOP);
	assert_int_equal(unlink(folder_file(&folder, "agent")), 0);
}

/* Of a device the opening alone can do something, of a FIFO the reading waits. */
static void test_what_is_no_file_is_not_opened_for_reading(void **state)
{
	enum config_sandbox_owner owner;
	struct err err = { "" };
	char expected[256];
	int fd;

	(void)state;
	(void)snprintf(expected, sizeof(expected), "%s: not a regular file", path());
	assert_int_equal(symlink("/dev/zero", path()), 0);
	fd = config_sandbox_open(path(), &owner);
	assert_true(fd >= 0);
	assert_int_equal(owner, CONFIG_SANDBOX_BEHIND_A_LINK);
	assert_true(fcntl(fd, F_GETFL) & O_PATH);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	assert_int_equal(config_read(path(), &config, &err), -EINVAL);
	assert_string_equal(err.text, expected);
	assert_int_equal(unlink(path()), 0);
	assert_int_equal(mkfifo(path(), 0600), 0);
	fd = config_sandbox_open(path(), &owner);
	assert_true(fcntl(fd, F_GETFL) & O_PATH);
	close(fd);
	assert_int_equal(config_read(path(), &config, &err), -EINVAL);
	assert_string_equal(err.text, expected);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nothing_is_said),
		CASE(test_every_key),
		CASE(test_words_for_the_workspace),
		CASE(test_an_empty_list_is_a_limit),
		CASE(test_wrong_items),
		CASE(test_a_path_that_is_too_long),
		CASE(test_wrong_types),
		CASE(test_keys_that_are_none),
		CASE(test_modes_that_are_none),
		CASE(test_what_is_settled_before),
		CASE(test_too_many),
		CASE(test_a_variable_that_makes_no_sense),
		CASE(test_a_file_that_the_agent_can_write),
		CASE(test_a_file_on_a_read_only_mount),
		CASE(test_links_lead_to_no_file_of_the_hosts),
		CASE(test_the_variable_stands_for_the_file),
		CASE(test_open),
		CASE(test_the_sandbox_alone),
		CASE(test_what_is_no_file_is_not_opened_for_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
