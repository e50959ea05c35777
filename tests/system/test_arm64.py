# SPDX-License-Identifier: MIT
"""The filter that a cross build makes for the other machine. tests/arm64.py has the rest of arm64."""
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "build-arm64/entrypoint/seccomp-filter.h"


@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-gcc") or not HEADER.exists(),
                    reason="no arm64 build; make arm64")
def test_the_filter_is_the_one_that_arm64_itself_makes(tmp_path):
    """The constants of policy-calls.c differ between machines, and the build has its own machine's."""
    compiler, header = tmp_path / "compile-filter", tmp_path / "seccomp-filter.h"
    subprocess.run(["aarch64-linux-gnu-gcc", "-D_GNU_SOURCE", f"-I{ROOT}", "-o", compiler,
                    ROOT / "tools/compile-filter.c", ROOT / "entrypoint/policy-calls.c",
                    "-lseccomp"], check=True)
    subprocess.run(["qemu-aarch64-static", compiler, header], check=True)
    assert header.read_text() == HEADER.read_text()
    assert len(header.read_text().splitlines()) > 200
