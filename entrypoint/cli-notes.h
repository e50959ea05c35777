#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What --help says beyond modes and options: names, environment variables and exit codes, each a
 * table. The variables belong to whoever reads them; here they are only told of.
 */
#include <stdio.h>

void cli_notes_print(FILE *out);
