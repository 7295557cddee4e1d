"""Signal names."""

import signal

import pytest

from corten.errors import Invalid
from corten.runtime.signals import signal_number


@pytest.mark.parametrize("text", ["SIGUSR1", "usr1", "USR1", "sigusr1", " 10 ", "10"])
def test_one_signal_has_many_spellings(text: str) -> None:
    assert signal_number(text) == signal.SIGUSR1


def test_none_is_sigterm() -> None:
    assert signal_number("") == signal.SIGTERM


def test_real_time_signals_count_from_the_first() -> None:
    # systemd's stop signal in images.
    assert signal_number("SIGRTMIN+3") == signal.SIGRTMIN + 3
    assert signal_number("RTMIN+0") == signal.SIGRTMIN


@pytest.mark.parametrize(
    "text", ["SIGNONE", "0", "65", "999", "-9", "SIGRTMIN+x", "RTMIN+99", "9+"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        signal_number(text)
