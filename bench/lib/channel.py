"""What does a data channel between two native peers cost? CPU seconds per Gbit of each end, a thread each, on loopback.

On loopback the sender pays for the kernel's way to the receiver, too.
"""

import subprocess

from . import cpu, world

#: A part of a chunk, a whole one, and what is the largest elsewhere.
SIZES = {"4096": "4 KiB", "16320": "16 KiB - 64", "65536": "64 KiB"}
GOAL_MBPS = 500


def measure(w, options):
    if not options.no_build:
        subprocess.run(["cargo", "build", "--release", "--workspace", "--example", "channel"], cwd=world.ROOT, check=True)
    runs = [run() for _ in range(options.pairs)]
    rows = []
    for size, name in SIZES.items():
        sender, receiver, speed = ([figures[size][at] for figures in runs] for at in (1, 2, 0))
        cores = cpu.spread([1000 / seconds for seconds in sender])
        rows.append({"cells": [name, cpu.shown(cores, 0), cpu.shown(cpu.spread(sender), 2), cpu.shown(cpu.spread(receiver), 2), cpu.shown(cpu.spread(speed), 0)],
                     "goal": f">= {GOAL_MBPS}", "met": cores["median"] >= GOAL_MBPS, "sender": sender, "receiver": receiver, "mbps": speed})
    return {"title": "a data channel between two native peers, 128 KiB send buffer, by size of message: median [range]",
            "columns": ["Mbit/s per core of the sender", "sender, CPU s/Gbit", "receiver", "Mbit/s"], "rows": rows}


def run():
    """By size: Mbit/s, CPU seconds per Gbit of the sender, of the receiver."""
    told = subprocess.run([world.ROOT / "target/release/examples/channel"], check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in told.splitlines()[1:]]
    return {size: [float(value) for value in values] for size, *values in lines}
