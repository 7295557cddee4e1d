"""The names of the views, for those who need not import one."""

from __future__ import annotations

MODES = ("auto", "tty", "plain", "json", "quiet")
