"""What does a viewer wait for? From the clock to the screen, and from the click to the first picture, in Chromium.

Server, encoder and browser share this machine and its clock, so no offset is to be known. Neither is pinned to a CPU:
these figures are wall time, and a machine that is busy with something else shows in them.
"""

import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess

from . import world

SETTLE_S = 10
WATCH_S = 60
STARTS = 20
SOURCE_FPS = 30
STEP_MS = 10
#: A picture that stands longer than this is called frozen; a frame is 0.033 s.
FROZEN_S = 0.25
GOAL_LATENCY_S = 2.5
GOAL_STARTUP_S = 0.5
HERE = pathlib.Path(__file__).resolve().parent
MODULES = world.ROOT / "tests/browser/node_modules/playwright-core"


def latency(w, options):
    load = os.getloadavg()
    told = with_demo(w, ["--clock"], "latency", SETTLE_S, WATCH_S)
    frames = told["frames"]
    if not frames:
        raise SystemExit(f"no frame showed the time: {told}")
    late = sorted((now - shown) / 1000 for now, shown in frames)
    ages = sorted(ages_at_instants(frames, told["ended"]))
    # What the source made in that time, of which some frames were dropped, jumped over or not yet played.
    expected = round((told["ended"] - told["began"]) / 1000 * SOURCE_FPS)
    frozen = sum(gap for gap in gaps(frames, told["began"], told["ended"]) if gap > FROZEN_S)
    counts = [f"{told['presented']} of {expected}", len(frames), told["nonsense"], told["stalls"], f"{frozen:.1f}"]
    rows = []
    for what, values in (("each frame, when it came", late), ("what is on screen, every 10 ms", ages)):
        median = statistics.median(values)
        cells = [what, *(f"{x:.3f}" for x in (median, percentile(values, 95), percentile(values, 99), values[-1])), *counts]
        rows.append({"cells": cells, "goal": f"median <= {GOAL_LATENCY_S}", "met": median <= GOAL_LATENCY_S})
    return {"title": f"seconds from the clock to the screen, watch page at {told['rung']['height']}p, {WATCH_S} s", "rows": rows,
            "columns": ["median", "p95", "p99", "max", "presented", "read", "discarded", "stalls", "frozen s"],
            "load_before": load, "watched": told}


def ages_at_instants(frames, ended):
    """Seconds between the clock and what is on the screen, every STEP_MS. A frozen picture grows old here, while the
    frames that never came are missing from a count of frames."""
    following = [now for now, _ in frames[1:]] + [ended]
    for (now, shown), until in zip(frames, following):
        yield from ((instant - shown) / 1000 for instant in range(-(-now // STEP_MS) * STEP_MS, until, STEP_MS))


def gaps(frames, began, ended):
    """Seconds that each picture stood."""
    instants = [began, *(now for now, _ in frames), ended]
    return [(after - before) / 1000 for before, after in zip(instants, instants[1:])]


def startup(w, options):
    load = os.getloadavg()
    # The first one warms the browser up and is not counted.
    starts = with_demo(w, [], "startup", STARTS + 1)["starts"][1:]
    rows = []
    for key, what in (("page_ms", "as the page says"), ("frame_ms", "as requestVideoFrameCallback says")):
        seconds = sorted(start[key] / 1000 for start in starts)
        median = statistics.median(seconds)
        cells = [what, f"{median:.3f}", f"{percentile(seconds, 95):.3f}", f"{seconds[0]:.3f}", f"{seconds[-1]:.3f}", len(seconds)]
        rows.append({"cells": cells, "goal": f"median <= {GOAL_STARTUP_S}", "met": median <= GOAL_STARTUP_S, "all": seconds})
    return {"title": "seconds from navigation start to the first picture, sample clip, fresh browser contexts",
            "load_before": load, "columns": ["median", "p95", "min", "max", "starts"], "rows": rows}


def with_demo(w, flags, question, *numbers):
    """What page.mjs answers about a demo that runs meanwhile."""
    name = f"demo-{question}"
    port = world.free_port()
    demo = w.start([w.binary, "demo", *flags, "--json", "--listen", f"127.0.0.1:{port}"], name)
    log = w.dir / f"{name}.log"
    world.wait_for(lambda: watch_url(log), name, demo, log, seconds=60)
    command = ["node", HERE / "page.mjs", question, browser(), watch_url(log), *numbers]
    run = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600)
    world.stop(demo)
    if run.returncode:
        raise SystemExit(f"{question}: {run.stderr}")
    return json.loads(run.stdout)


def watch_url(log):
    lines = [line for line in log.read_text().splitlines() if line.startswith('{"')]
    return next((told["watch"] for told in map(json.loads, lines) if "watch" in told), None)


def browser():
    if not MODULES.is_dir():
        raise SystemExit("no playwright-core: npm ci --prefix tests/browser --ignore-scripts")
    found = shutil.which("chromium-headless-shell")
    if not found:
        raise SystemExit("no chromium-headless-shell: apt install chromium-headless-shell")
    return found


def percentile(ordered, percent):
    """Nearest rank: a value that was measured."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
