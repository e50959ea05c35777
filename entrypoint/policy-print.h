#pragma once
/* SPDX-License-Identifier: MIT */
/* Shows the policy's tables as they are, as text for people and as JSON for programs. */
#include <stdio.h>

void policy_print(FILE *out);

/* One object on one line: roles, init_capabilities, denied_calls, kernel. */
void policy_print_json(FILE *out);
