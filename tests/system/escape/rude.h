#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What an agent does to bring down what runs it, rather than to get out: it eats what there is of
 * processes, descriptors, memory and room, kills what it reaches, and leaves processes behind.
 */
#include <stdio.h>

#include "tests/system/escape/attempt.h"

/* Does what is known under the first word of text, and tells what came of it. */
void rude_do(const char *text, const struct scene *scene, FILE *out);
