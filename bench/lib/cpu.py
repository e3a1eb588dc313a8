"""What did a process use? CPU time, user and kernel, threads that ended included.

The figures of this bench are CPU seconds per unit of work, for wall time on a shared machine says little.
"""

import os
import pathlib
import statistics

SERVER_CPU, LOAD_CPU = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")


def pinned(cpu, command):
    """The command, held on one CPU, so that server and load never share one."""
    return ["taskset", "-c", str(cpu), *map(str, command)]


def seconds(pid):
    """CPU seconds of a process and its children, to 10 ms. The kernel derives them from exact run times."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    own = (int(fields[11]) + int(fields[12])) / TICKS
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(seconds(child) for child in children)


def machine():
    """CPU seconds of all that ran since the machine began."""
    user, nice, system, _, _, irq, softirq = map(int, pathlib.Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def spread(values):
    """Median and range, as they stand in the tables."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "all": values}


def shown(summary, digits):
    return f"{summary['median']:.{digits}f} [{summary['min']:.{digits}f}-{summary['max']:.{digits}f}]"
