/* SPDX-License-Identifier: MIT */
#include "runner/runner.h"

#include "runner/health.h"
#include "runner/once.h"
#include "runner/session.h"

int runner_session(const struct runner_options *options)
{
	return session_run(options);
}

int runner_once(const struct runner_options *options, int fd)
{
	return once_run(options, fd);
}

const struct runner_check *runner_checks(size_t *ret_count)
{
	return health_checks(ret_count);
}
