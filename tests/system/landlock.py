# SPDX-License-Identifier: MIT
"""Asks the kernel for Landlock, as landlock_create_ruleset(2) describes it."""
import ctypes

import pytest

SYS_LANDLOCK_CREATE_RULESET = 444
LANDLOCK_CREATE_RULESET_VERSION = 1


def version():
    """That of the kernel's interface; 0: it has none."""
    answer = ctypes.CDLL(None).syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0,
                                       LANDLOCK_CREATE_RULESET_VERSION)
    return max(answer, 0)


def need(least):
    if version() < least:
        pytest.skip(f"the kernel has no Landlock of version {least}")
