"""What is said of a RUN that failed."""

from __future__ import annotations

import io

from corten.builder.failing import excerpt, run_failed
from corten.builder.graph import Origin, Run
from corten.cli.failures import report

TEXT = "FROM a\nENV B=c\nRUN one && \\\n    two\nCMD d\nUSER e\nUSER f\n"


def test_the_lines_around_are_shown_and_the_step_s_are_marked() -> None:
    assert excerpt(TEXT, 3, 4) == (
        "   1 |     FROM a\n   2 |     ENV B=c\n   3 | >>> RUN one && \\\n   4 | >>>     two\n"
        "   5 |     CMD d\n   6 |     USER e"
    )
    assert excerpt("RUN a\n", 1) == "   1 | >>> RUN a"


def test_a_long_instruction_is_shortened() -> None:
    shown = excerpt("RUN <<E\n" + "x\n" * 50 + "E\nCMD y\n", 1, 52).split("\n")
    assert len(shown) == 10
    assert shown[8:] == ["     | >>> … 44 more lines", "  53 |     CMD y"]


def test_the_command_the_status_and_the_place_are_said() -> None:
    error = run_failed(
        Run(("/bin/sh", "-c", "one")), 137, "Dockerfile:3: ", TEXT, Origin("t", 3, last=4)
    )
    stream = io.StringIO()
    report(error, stream)
    lines = stream.getvalue().split("\n")
    assert lines[0] == "corten: Dockerfile:3: RUN failed with exit status 137: /bin/sh -c one"
    assert lines[3] == "   3 | >>> RUN one && \\"
    assert lines[-2] == "hint: killed by signal 9"
    assert error.status == 137
