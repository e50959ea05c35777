#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Memory of this program that its start needed and its waiting does not.
 */

/*
 * Takes what was read of the program and its libraries out of our page tables: their code and
 * constants, which the kernel has in its cache and brings back a touch later. What was written in
 * memory is never given away. Costs some dozen page faults afterwards, so it is for processes that
 * wait for long. A kernel that refuses changes nothing.
 */
void pages_release(void);
