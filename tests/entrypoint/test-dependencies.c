/* SPDX-License-Identifier: MIT */
#include "entrypoint/dependencies.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "common/table.h"
#include "entrypoint/init.h"
#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/forked.h"

#define FILES_MAX 4

static struct folder folder;

/* A project of these files, in a folder where a package manager of each kind is to be found. */
static void make_project(const char *const files[FILES_MAX])
{
	static const char *const managers[] = { "npm", "pnpm", "yarn", "bun" };

	folder_make(&folder);
	folder_mkdir(&folder, "bin");
	for (size_t i = 0; i < ARRAY_LEN(managers); i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "bin/%s", managers[i]);
		folder_write(&folder, name,
			     "#!/bin/sh\n"
			     "echo \"$*, CI $CI, in $PWD, $(wc -c) bytes\"\nexit $EXPECTED\n");
		assert_int_equal(chmod(folder.file, 0755), 0);
	}
	for (size_t i = 0; i < FILES_MAX && files[i]; i++)
		folder_write(&folder, files[i], "");
}

static void test_table(void **state)
{
	static const struct {
		const char *files[FILES_MAX];
		const char *words;
		const char *warning; /* its end */
	} cases[] = {
		{ { "package.json", "package-lock.json" }, "npm ci" },
		{ { "package.json", "npm-shrinkwrap.json" }, "npm ci" },
		{ { "package.json", "npm-shrinkwrap.json", "package-lock.json" }, "npm ci" },
		{ { "package.json", "pnpm-lock.yaml" }, "pnpm install --frozen-lockfile" },
		{ { "package.json", "yarn.lock" }, "yarn install --frozen-lockfile" },
		{ { "package.json", "yarn.lock", ".yarnrc.yml" }, "yarn install --immutable" },
		{ { "package.json", "bun.lock" }, "bun install --frozen-lockfile" },
		{ { "package.json", "bun.lockb" }, "bun install --frozen-lockfile" },
		{ { "package.json", "yarn.lock", "package-lock.json" },
		  "npm ci",
		  " has package-lock.json and yarn.lock: the first one counts, remove the "
		  "other\n" },
	};
	static struct capture capture;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct dependencies *row = NULL;
		char words[128] = "";
		const char *log;
		struct err err;
		int r;

		make_project(cases[i].files);
		setenv("PATH", folder_file(&folder, "bin"), 1);
		capture_start(&capture, STDERR_FILENO);
		r = dependencies_find(folder.path, NULL, &row, &err);
		log = capture_stop(&capture);
		assert_int_equal(r, 0);
		assert_non_null(row);
		for (size_t j = 0; row->words[j]; j++) {
			strcat(words, j ? " " : "");
			strcat(words, row->words[j]);
		}
		assert_string_equal(words, cases[i].words);
		if (cases[i].warning)
			assert_non_null(strstr(log, cases[i].warning));
		else
			assert_string_equal(log, "");
		folder_remove(&folder);
	}
}

static void test_nothing_to_install(void **state)
{
	static const struct {
		const char *files[FILES_MAX];
		const char *text;
	} cases[] = {
		{ { NULL }, "no dependencies to install: there is no package.json in %s" },
		{ { "package-lock.json" },
		  "no dependencies to install: there is no package.json in %s" },
		{ { "package.json", ".yarnrc.yml" },
		  "no dependencies are installed: %s/package.json has no lock file beside it, "
		  "which would say in which versions" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct dependencies *row = NULL;
		char *wanted = NULL, *rest;
		struct err err = { "" };

		make_project(cases[i].files);
		assert_int_equal(dependencies_find(folder.path, NULL, &row, &err), 0);
		assert_null(row);
		/* One %s in each. */
		rest = strstr(cases[i].text, "%s");
		assert_true(asprintf(&wanted, "%.*s%s%s", (int)(rest - cases[i].text),
				     cases[i].text, folder.path, rest + 2) > 0);
		assert_string_equal(err.text, wanted);
		free(wanted);
		folder_remove(&folder);
	}
}

static void test_manager_is_missing(void **state)
{
	static const char *const files[FILES_MAX] = { "package.json", "pnpm-lock.yaml" };
	const struct dependencies *row = NULL;
	struct err err = { "" };
	char wanted[512];

	(void)state;
	make_project(files);
	setenv("PATH", folder.path, 1);
	assert_int_equal(dependencies_find(folder.path, NULL, &row, &err), EXIT_CODE_UNAVAILABLE);
	assert_null(row);
	(void)snprintf(wanted, sizeof(wanted),
		       "--install-deps: %s/pnpm-lock.yaml is for pnpm, which is not in PATH: use "
		       "an image that has it, or leave the option out",
		       folder.path);
	assert_string_equal(err.text, wanted);
	folder_remove(&folder);
}

static const struct dependencies *row_to_run;

static int run_row(void *userdata)
{
	(void)userdata;
	return dependencies_exec(row_to_run, folder.path, getppid());
}

/* Exit code and output of the installation, by a manager that ends with this code. */
static int install(const char *code, struct capture *capture, const char **ret_log)
{
	static const char *const files[FILES_MAX] = { "package.json", "pnpm-lock.yaml" };
	char path[256];
	struct err err;
	int r;

	make_project(files);
	(void)snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin", folder.path);
	setenv("PATH", path, 1);
	setenv("EXPECTED", code, 1);
	assert_int_equal(dependencies_find(folder.path, NULL, &row_to_run, &err), 0);
	capture_start(capture, STDERR_FILENO);
	r = dependencies_install(row_to_run, folder.path, run_row, NULL);
	*ret_log = capture_stop(capture);
	return r;
}

static void test_install(void **state)
{
	static const struct {
		const char *code;
		int result;
		const char *last; /* what stands around the folder's name */
	} cases[] = {
		{ "0", INIT_NEXT, NULL },
		{ "7", EXIT_CODE_UNAVAILABLE,
		  "agent-runner: error: --install-deps: pnpm install failed with code 7 in " },
	};
	static struct capture capture;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *log;
		char line[256];

		assert_int_equal(install(cases[i].code, &capture, &log), cases[i].result);
		(void)snprintf(line, sizeof(line),
			       "agent-runner: installing dependencies in %s: pnpm install, for "
			       "pnpm-lock.yaml\n",
			       folder.path);
		assert_non_null(strstr(log, line));
		/* On standard error, in the workspace, without input. */
		(void)snprintf(line, sizeof(line),
			       "install --frozen-lockfile, CI true, in %s, 0 bytes\n", folder.path);
		assert_non_null(strstr(log, line));
		if (cases[i].last)
			assert_non_null(strstr(log, cases[i].last));
		else
			assert_null(strstr(log, "error"));
		folder_remove(&folder);
	}
}

static int die(void *userdata)
{
	(void)userdata;
	(void)kill(getpid(), SIGKILL);
	return 0;
}

static void test_killed(void **state)
{
	static const struct dependencies row = { "package-lock.json", NULL, { "npm", "ci" } };
	static struct capture capture;
	int r;

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	r = dependencies_install(&row, "/srv/work", die, NULL);
	assert_string_equal(
		capture_stop(&capture),
		"agent-runner: installing dependencies in /srv/work: npm ci, for "
		"package-lock.json\n"
		"agent-runner: error: --install-deps: npm ci was ended by signal 9 in /srv/work: "
		"what it said stands above; nothing was started\n");
	assert_int_equal(r, EXIT_CODE_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_nothing_to_install),
		cmocka_unit_test(test_manager_is_missing),
		cmocka_unit_test(test_install),
		cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
