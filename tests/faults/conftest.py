# SPDX-License-Identifier: MIT
"""The fixtures and checks of the other whole-program tests, and what both files here share."""
import importlib.util
import pathlib
import sys

import pytest

SYSTEM = pathlib.Path(__file__).resolve().parents[1] / "system"

# Under a name of its own: this file is called conftest, too.
_spec = importlib.util.spec_from_file_location("system_conftest", SYSTEM / "conftest.py")
_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_conftest)
globals().update({name: value for name, value in vars(_conftest).items()
                  if not name.startswith("__")})

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import faults  # noqa: E402


@pytest.fixture
def make_rude(make_session):
    """Makes sessions whose agent is rude as told: faults.rude_session(); not started."""
    def make(*plan, **options):
        return faults.rude_session(make_session, plan, **options)
    return make
