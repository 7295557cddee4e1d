"""What is loaded with the HTTP library, and that it stays whole."""

from __future__ import annotations

import subprocess
import sys


def said(code: str) -> list[str]:
    """The words that a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_urllib3_comes_without_importlib_metadata_which_can_be_imported_later() -> None:
    code = (
        "import sys\n"
        "from corten.cli.http_library import load_urllib3\n"
        "load_urllib3()\n"
        "print('urllib3' in sys.modules, 'importlib.metadata' in sys.modules)\n"
        "import importlib.metadata, urllib3.http2\n"
        "print(importlib.metadata.version('urllib3') == urllib3.http2.version('urllib3')"
        " == urllib3.__version__)"
    )
    assert said(code) == ["True", "False", "True"]


def test_importlib_metadata_that_is_there_already_stays() -> None:
    code = (
        "import sys, importlib.metadata\n"
        "before = sys.modules['importlib.metadata']\n"
        "from corten.cli.http_library import load_urllib3\n"
        "load_urllib3()\n"
        "import urllib3.http2\n"
        "print(sys.modules['importlib.metadata'] is before,"
        " urllib3.http2.version is before.version)"
    )
    assert said(code) == ["True", "True"]


def test_a_program_that_uses_corten_as_a_library_never_sees_the_stand_in() -> None:
    code = (
        "import sys\n"
        "from corten.errors import Unavailable\n"
        "from corten.remote.transport import Transport\n"
        "try:\n"
        "    Transport('127.0.0.1:1').run(iter(()))\n"
        "except Unavailable:\n"
        "    print('importlib.metadata' in sys.modules)"
    )
    assert said(code) == ["True"]
