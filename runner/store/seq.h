#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The largest seq that counts, in both databases: the largest integer that JavaScript, and so a
 * host, can count with. What is negative, above it, or no integer at all is no seq.
 */
#define SEQ_MAX 9007199254740991
