"""Wall time and CPU time of commands, medians, and the table of ratios."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds of wall time and of CPU (user and system), and peak memory in MiB (0: not known)."""

    wall: float
    cpu: float
    peak: float = 0


peaks: list[int] = []
"""KiB of resident memory that each command at most had, in order; clear it when you like."""


def run(args: Sequence[str | Path], env: dict[str, str] | None = None) -> str:
    """Run a command that has to succeed; returns its output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with subprocess.Popen(
            [str(arg) for arg in args], stdout=out, stderr=err, env={**os.environ, **(env or {})}
        ) as process:
            # Unlike wait(), this tells what this very process and its children used.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        peaks.append(usage.ru_maxrss)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            said = err.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{' '.join(map(str, args))}: exit {process.returncode}\n{said}")
        return out.read().decode(errors="replace")


def children_cpu() -> float:
    """CPU seconds of all children that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def processes_cpu(pids: Sequence[int]) -> float:
    """CPU seconds of running processes and of their children that were waited for."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(
    work: Callable[[], object],
    *,
    times: int = 5,
    before: Callable[[], object] | None = None,
    daemons: Sequence[int] = (),
) -> Cost:
    """The median cost of `work` over `times` runs, each after `before`, which does not count."""
    walls, cpus = [], []
    for _ in range(times):
        if before is not None:
            before()
        cpu = children_cpu() + processes_cpu(daemons)
        begin = time.perf_counter()
        work()
        walls.append(time.perf_counter() - begin)
        cpus.append(children_cpu() + processes_cpu(daemons) - cpu)
    return Cost(statistics.median(walls), statistics.median(cpus))


def table(rows: dict[str, dict[str, Cost]], ours: str = "corten") -> str:
    """Rows of work, columns of programs: wall / CPU in ms, and how many times ours that is."""
    names: list[str] = []
    for costs in rows.values():
        names += [name for name in costs if name not in names]
    width = max(len(work) for work in rows)
    lines = [f"{'':{width}}  " + "  ".join(f"{name:>28}" for name in names)]
    for work, costs in rows.items():
        cells = []
        for name in names:
            cost = costs.get(name)
            if cost is None:
                cells.append(f"{'–':>28}")
                continue
            cell = f"{cost.wall * 1000:.0f} / {cost.cpu * 1000:.0f} ms"
            base = costs.get(ours)
            if base is not None and name != ours:
                cell += f" ({cost.wall / base.wall:.1f}x / {cost.cpu / max(base.cpu, 0.001):.1f}x)"
            cells.append(f"{cell:>28}")
        lines.append(f"{work:{width}}  " + "  ".join(cells))
    return "\n".join(lines)
