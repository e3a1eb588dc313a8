"""What do native peers get? Processes of `trellis peer`, each with a player at it, asked for their figures every second."""

import json
import os
import time
import urllib.request

from . import world

#: Between two looks at everybody.
EVERY_S = 1.0
TICKS = os.sysconf("SC_CLK_TCK")


def run(w, name, url, plan, meter):
    """Starts them as the plan says, and watches until its end. Per peer, as pages do: `{"samples": [...], "crashed": None}`."""
    began = time.monotonic()
    peers = []
    processes = []
    try:
        while (now := time.monotonic() - began) < plan["seconds"]:
            due = plan["pages"] if plan["every_ms"] == 0 else min(plan["pages"], 1 + int(now * 1000 / plan["every_ms"]))
            while len(peers) < due:
                peers.append(Peer(w, f"{name}-peer{len(peers)}", url, plan.get("upload")))
                processes.append(peers[-1].process)
            meter.look()
            for peer in peers:
                processes += peer.look(w, time.monotonic() - began)
            time.sleep(max(0, EVERY_S - (time.monotonic() - began - now)))
    finally:
        for process in reversed(processes):
            world.stop(process)
    return [{"samples": peer.samples, "crashed": None, "complaints": []} for peer in peers]


class Peer:
    """One of them."""

    def __init__(self, w, name, url, upload):
        self.log, self.name, self.samples, self.urls, self.player = w.dir / f"{name}.log", name, [], None, None
        limit = ["--upload-limit", str(upload)] if upload else []
        self.process = w.start([w.binary, "peer", url, "--listen", "127.0.0.1:0", "--json", *limit], name)

    def look(self, w, now):
        """Its figures; its player begins as soon as there is something to play."""
        players = []
        if self.urls is None:
            lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
            if not lines:
                return players
            self.urls = json.loads(lines[0])
            self.player = w.start(["ffmpeg", "-v", "error", "-i", self.urls["url"], "-c", "copy", "-f", "null", "-"], f"{self.name}-player")
            players.append(self.player)
        try:
            with urllib.request.urlopen(self.urls["stats"], timeout=2) as answer:
                told = json.load(answer)
        except OSError:
            # A machine that is too busy to answer is one of the things measured.
            return players
        player = used(self.player.pid)["cpuS"] if self.player.poll() is None else self.samples[-1]["playerCpuS"] if self.samples else 0
        self.samples.append({"at": now, "mode": "native", **told, **used(self.process.pid), "playerCpuS": player,
                             "startupMs": told["startupMs"] or None, "latencyMs": told["latencyMs"] or None})
        return players


def used(pid):
    """CPU seconds and bytes of memory."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return {"cpuS": (int(fields[11]) + int(fields[12])) / TICKS, "rssBytes": int(fields[21]) * os.sysconf("SC_PAGE_SIZE")}
