"""What do viewers get, and what does it cost the server, when they help each other? Pages of one Chromium, or native
peers, on one live stream, beside plain HLS and beside the incumbent on the same stream.

Offload is 1 - media bytes the server sent / media bytes the viewers were given, both counted at the server and in the
pages; seconds are counted from when a page was opened.
"""

import json
import os
import statistics
import subprocess
import time
import urllib.parse

from . import cost, cpu, natives, page, world

INCUMBENT = world.ROOT / "bench/incumbent"
STREAM = "swarm"
#: The stream's media, bit/s, container included: what the incumbent was measured with.
RATE = 312_000
SETTLE_S = 20
#: A live channel that has just begun has nothing to start from.
WINDOW_S = 10

#: By name: viewers, ms between arrivals, seconds, the edge's budget in bit/s, what each may give in bit/s (native peers
#: only: a page's line cannot be made slow), which pages crash when, and the goals.
CASES = {
    "steady": dict(pages=8, every_ms=1250, seconds=80, goals={"offload_40s": 0.75, "offload": 0.85, "delay_s": 3.0}),
    "steady12": dict(pages=12, every_ms=833, seconds=80, goals={"offload": 0.90}),
    "steady20": dict(pages=20, every_ms=500, seconds=80, goals={"offload": 0.94}),
    "flash": dict(pages=8, every_ms=0, seconds=60, budget=1_000_000, goals={"stalls": 0, "start_s": 2.0}),
    "joins": dict(pages=8, every_ms=1250, seconds=60, budget=1_500_000, goals={"stalls": 0, "start_s": 1.0}),
    "crash": dict(pages=8, every_ms=1250, seconds=62, crash=dict(at_s=30, pages=[1, 3, 5, 7]), window=(20, 60),
                  goals={"offload": 0.78, "stalls": 0}),
    "capped": dict(pages=6, every_ms=1250, seconds=80, upload=600_000, engines=["native"],
                   goals={"offload": 0.75, "missed": 0}),
    "page": dict(pages=2, every_ms=1250, seconds=86, film="large", looks=[25, 60], profile=dict(at_s=62, seconds=20),
                 engines=["incumbent", "plain", "mesh"], goals={"js_share": 0.015, "page_ratio": 1.2}),
    "memory": dict(pages=2, every_ms=1250, minutes=60, collect=True, goals={"growth_mb": 5}),
}
#: Native peers, so many: they come twice a second, and count from twenty seconds after the last one came.
#: The edge sends each substream once, from 25 viewers on twice (`core/cluster/seeding`): so much of that is the goal.
NATIVES = [2, 6, 12, 30, 60]
CASES.update({f"natives{n}": dict(pages=n, every_ms=500, seconds=60 + n // 2, window=(20 + n // 2, 58 + n // 2), engines=["native"],
                                  goals={"offload": 0.97 * (1 - (1 if n < 25 else 2) / n), "missed": 0}) for n in NATIVES})
GROUPS = {"natives": [f"natives{n}" for n in NATIVES]}
#: Asked for by name only: they take long, or all of the machine.
APART = {"memory", *GROUPS["natives"]}
AT_MOST = {"delay_s", "stalls", "start_s", "missed", "js_share", "page_ratio", "growth_mb"}
#: So many looks, the first when so much of the time is over.
LOOKS = 6
ENGINES = ["mesh", "native", "plain", "incumbent"]


#: What is published: the size of the pictures, and how ffmpeg is told the rate of pictures and sound. The small one is what the
#: incumbent was measured with; the large one makes 2.5 Mbit/s, at a constant rate.
FILMS = {
    "small": ("testsrc2=s=320x180:r=30", ["-profile:v", "baseline", "-b:v", "230k", "-maxrate", "260k", "-bufsize", "260k", "-b:a", "48k"]),
    "large": ("testsrc2=s=1280x720:r=30,noise=alls=12:allf=t",
              ["-b:v", "2350k", "-minrate", "2350k", "-maxrate", "2350k", "-bufsize", "2350k", "-x264-params", "nal-hrd=cbr", "-b:a", "96k"]),
}


def clip(w, film):
    """A minute, key frames 2 s apart, encoded once: what is measured is not the encoder."""
    file = w.dir / f"{film}.mp4"
    if not file.exists():
        pictures, rate = FILMS[film]
        subprocess.run(
            ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", pictures,
             "-f", "lavfi", "-i", "sine=f=440:r=48000", "-t", "60", "-c:v", "libx264", "-preset", "veryfast",
             "-g", "60", "-keyint_min", "60", "-sc_threshold", "0", *rate, "-c:a", "aac", "-movflags", "+faststart", file],
            check=True)
    return file


def start(w, name, plan):
    """A server of all roles with a live channel."""
    settings = {"edge.upload_budget": plan["budget"]} if "budget" in plan else {}
    server = w.serve(name, {"manager.default_open": "true", **settings}, on=None)
    publisher = w.start([w.binary, "publish", clip(w, plan.get("film", "small")), "--copy", "--loop", "--stream", STREAM, "--to", f"http://127.0.0.1:{server.port}",
                         "--key", server.key("publish")], f"{name}-publish")
    live = lambda: subprocess.run(["curl", "-fsS", "-XPOST", f"http://127.0.0.1:{server.port}/v1/streams/{STREAM}/join"],
                                  capture_output=True).returncode == 0
    world.wait_for(live, "the channel", publisher, w.dir / f"{name}-publish.log")
    return server, publisher


def planned(case):
    """The case's plan, in seconds."""
    plan = CASES[case]
    if "minutes" not in plan:
        return plan
    seconds = plan["minutes"] * 60
    return {**plan, "seconds": seconds + 10, "looks": [seconds * (look + 1) / LOOKS for look in range(LOOKS)]}


def measure(w, case, engine):
    """One run: what the viewers saw and what the server sent."""
    plan = planned(case)
    if engine != "native" and "upload" in plan or engine == "native" and "crash" in plan:
        raise SystemExit(f"{case} is not for {engine}")
    name = f"{case}-{engine}"
    server, publisher = start(w, name, plan)
    helpers = []
    try:
        url = address(w, engine, server, name, helpers)
        time.sleep(WINDOW_S)
        asked = {key: plan.get(key) for key in ("every_ms", "seconds", "crash", "looks", "collect", "profile")}
        told = json.dumps({"urls": [url] * plan["pages"], **asked, "maps": str(cost.maps(w)) if "profile" in plan else None})
        meter = Meter(server)
        if engine == "native":
            return summary(plan, natives.run(w, name, url, plan, meter), meter)
        # Into a file: a pipe that nobody empties meanwhile would stop the pages' driver.
        answer = w.dir / f"{name}.json"
        with open(answer, "w") as out, open(w.dir / f"{name}.err", "w") as errors:
            meter.follow(subprocess.Popen(["node", page.HERE / "swarm.mjs", page.browser(), told], stdout=out, stderr=errors))
        if not answer.stat().st_size:
            raise SystemExit(f"{name}: {(w.dir / f'{name}.err').read_text()}")
        return summary(plan, json.loads(answer.read_text())["pages"], meter)
    finally:
        for process in [*helpers, publisher, server.process]:
            world.stop(process)


def address(w, engine, server, name, helpers):
    base = f"http://127.0.0.1:{server.port}"
    if engine != "incumbent":
        return f"{base}/watch/{STREAM}" + ("?p2p=off" if engine == "plain" else "")
    if not (INCUMBENT / "node_modules").is_dir():
        raise SystemExit("no incumbent: npm ci --prefix bench/incumbent --ignore-scripts")
    log = w.dir / f"{name}-pages.log"
    helper = w.start(["node", INCUMBENT / "serve.mjs"], f"{name}-pages")
    helpers.append(helper)
    world.wait_for(lambda: "tracker" in log.read_text(), "the incumbent's page", helper, log)
    told = json.loads(log.read_text().splitlines()[-1])
    source = urllib.parse.quote(f"{base}/v1/streams/{STREAM}/play.m3u8", safe="")
    ask = {"src": f"{told['page']}hls.m3u8?of={source}", "tracker": told["tracker"], "swarm": name, "segment": 2}
    return f"{told['page']}?{urllib.parse.urlencode(ask)}"


class Meter:
    """What the server sent, second by second, and the CPU time that it and the whole machine took."""

    def __init__(self, server):
        self.server, self.samples, self.used, self.began = server, [], [], time.monotonic()

    def look(self):
        now = time.monotonic() - self.began
        self.samples.append((now, media(self.server)))
        self.used.append((now, (cpu.machine(), cpu.seconds(self.server.pid))))

    def follow(self, run):
        self.began = time.monotonic()
        while run.poll() is None:
            self.look()
            try:
                run.wait(1)
            except subprocess.TimeoutExpired:
                pass

    def cores(self, start, end):
        """CPU seconds a second: the machine's, and the server's of it."""
        before, after = at(self.used, start), at(self.used, end)
        return [(late - early) / (end - start) for early, late in zip(before, after)]


def media(server):
    """Media bytes the edge has sent, for whatever purpose."""
    return server.metric("trellis_edge_media_bytes_total") or server.metric("trellis_edge_sent_bytes_total", 'kind="media"')


def at(samples, when):
    """The last value known at that time."""
    known = [value for moment, value in samples if moment <= when]
    return known[-1] if known else (samples[0][1] if samples else 0)


def summary(plan, pages, meter):
    start, end = plan.get("window", (SETTLE_S, plan["seconds"] - 2))
    given = lambda page, until: at([(s["at"], s["httpBytes"] + s.get("edgeBytes", 0) + s["p2pBytes"]) for s in page["samples"]], until)
    taken = lambda since, until: sum(max(0, given(page, until) - (given(page, since) if page["samples"][0]["at"] <= since else 0))
                                     for page in pages if page["samples"])
    sent = lambda since, until: at(meter.samples, until) - at(meter.samples, since)
    machine, server = meter.cores(start, end)
    offload = lambda since, until: 1 - sent(since, until) / max(1, taken(since, until))
    last = [page["samples"][-1] for page in pages if page["samples"] and page["crashed"] is None]
    total = lambda *what: sum(s.get(key) or 0 for s in last for key in what)
    starts = sorted(s["startupMs"] / 1000 for s in last if s["startupMs"] is not None)
    delays = sorted(s["latencyMs"] / 1000 for page in pages for s in page["samples"] if s["latencyMs"] is not None and s["at"] >= SETTLE_S)
    return {
        "pages": len(pages), "playing": len(starts),
        "offload_40s": offload(0, 40), "offload": offload(start, end),
        "delay_s": statistics.median(delays) if delays else None, "delay_p95_s": page_percentile(delays, 95),
        "start_s": page_percentile(starts, 95), "start_median_s": statistics.median(starts) if starts else None,
        # What a native peer's own player does is not seen.
        "stalls": None if native(last) else sum(s["stalls"] for s in last),
        "stall_s": None if native(last) else sum(s["stallMs"] for s in last) / 1000,
        "missed": sum(s.get("missed") or 0 for s in last),
        "cpu_share": statistics.median(s["cpuS"] / (s["at"] - page["samples"][0]["at"] + 1) for s, page in zip(last, pages)) if native(last) else None,
        # Of the whole machine, and what of it the server, the peers and their players took.
        "cores": machine, "cores_server": server,
        "cores_peers": cores(pages, "cpuS", start, end) if native(last) else None,
        "cores_players": cores(pages, "playerCpuS", start, end) if native(last) else None,
        "memory_mb": statistics.median(s["rssBytes"] for s in last) / 1e6 if native(last) else None,
        "server_bytes": sent(0, plan["seconds"]), "viewer_bytes": taken(0, plan["seconds"]),
        # Viewers count both at both ends of a link: so the share is that of what went over the links.
        "control_share": total("controlBytes") / max(1, total("httpBytes", "edgeBytes", "p2pBytes", "uploadedBytes")),
        "modes": sorted({str(s.get("mode")) for s in last}), "reasons": sorted({str(s.get("reason")) for s in last if s.get("reason")}),
        "samples": [page["samples"][-1] if page["samples"] else None for page in pages], "load": os.getloadavg(),
        "complaints": [c for page in pages for c in page["complaints"]], **cost.of(plan, pages),
    }


def cores(pages, what, start, end):
    """CPU seconds a second of all of them."""
    of = lambda page, when: at([(s["at"], s[what]) for s in page["samples"]], when)
    return sum(of(page, end) - of(page, start) for page in pages if page["samples"]) / (end - start)


def native(last):
    return any(s["mode"] == "native" for s in last)


def page_percentile(ordered, percent):
    return page.percentile(ordered, percent) if ordered else None


def verdicts(plan, result):
    """By goal: the value, and whether it was met."""
    for what, goal in plan["goals"].items():
        value = result.get(what)
        met = value is not None and (value <= goal if what in AT_MOST else value >= goal)
        yield what, value, goal, met and result["playing"] == sum(1 for _ in range(result["pages"])) - len((plan.get("crash") or {}).get("pages", []))
