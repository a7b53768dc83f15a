"""A machine in use must not make a run crawl: threads that wait do not keep a core for long."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lora_vs_api.config.inherited import environment_of
from lora_vs_api.threads import spin_briefly
from tests.imports import ROOT

OURS = {"GOMP_SPINCOUNT": "3000"}


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({}, OURS),
        ({"GOMP_SPINCOUNT": "7"}, {}),
        # a count would take the place of the policy: PASSIVE is what nodes side by side have
        ({"OMP_WAIT_POLICY": "PASSIVE"}, {}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {}),
    ],
)
def test_what_is_set_already_stays(given, added):
    environ = dict(given)
    spin_briefly(environ)
    assert environ == given | added
    assert environment_of(given).items() >= (given | added).items()


def test_a_node_has_it_before_its_own_imports():
    """torch reads it when it is imported, which the first lines of a node's module do."""
    script = "import os, sys, stages; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=kept, capture_output=True, text=True
    )
    assert done.stdout == "3000 False\n", done.stderr
