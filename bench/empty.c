/* SPDX-License-Identifier: MIT */
/* The least that can be executed: ends at once, or with an argument waits for a signal. Static. */
#include <unistd.h>

int main(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? pause() : 0;
}
