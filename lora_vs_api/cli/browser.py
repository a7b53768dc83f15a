"""The report in the browser, where there is one."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from lora_vs_api.errors import UserError
from lora_vs_api.log import say

PAGE = Path("report/report.html")


def open_report() -> None:
    """Open the page; where there is no browser to open it with, say where it lies.

    Raises:
        UserError: there is no page.
    """
    if not PAGE.exists():
        raise UserError(f"{PAGE}: no such file; run `dvc repro report` to make it")
    if not (_has_screen() and _opened(PAGE.resolve().as_uri())):
        say(
            f"no browser here to open {PAGE} with: copy it to a machine that has one, it is one file"
        )


def _has_screen() -> bool:
    """On Linux without one a browser of the terminal would take it over and wait."""
    if sys.platform != "linux":
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _opened(address: str) -> bool:
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
