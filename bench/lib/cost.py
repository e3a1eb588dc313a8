"""What does a page cost? Shares of a core, and memory over an hour, from what `cost.mjs` asked the pages.

A page's share is of all the browser's processes, divided by its pages: the network's process and the renderer work for it
alike. Ours is what was sampled in the SDK, in WebAssembly and in the watch page's own script, and what its workers' threads used; of
the garbage collector's time nobody knows whose it is, so it stands beside.
"""

import os
import statistics
import subprocess

from . import world

OURS = ["sdk", "wasm", "watch page", "worker"]
MB = 1e6


def maps(w):
    """The folder with the source maps of the page's bundle, built again for them, and checked to be the same bundle."""
    folder = w.dir / "maps"
    if not folder.exists():
        node = subprocess.run([world.ROOT / "scripts/node-path"], capture_output=True, text=True, check=True).stdout.strip()
        env = {**os.environ, "PATH": f"{node}:{os.environ['PATH']}" if node else os.environ["PATH"]}
        if not (world.ROOT / "web/node_modules").is_dir():
            raise SystemExit("no bundler: npm ci --prefix web --ignore-scripts")
        subprocess.run(["npx", "--no-install", "vite", "build", "--sourcemap", "hidden", "--logLevel", "error", "--outDir", folder],
                       cwd=world.ROOT / "web", env=env, check=True)
        scripts = lambda place: {file.name: file.read_bytes() for file in (place / "assets").glob("*.js")}
        if scripts(folder) != scripts(world.ROOT / "web/dist"):
            raise SystemExit("web/dist is not what its sources make: scripts/build-web")
    return folder / "assets"


def of(plan, pages):
    """Figures of the run, by name; nothing where nobody looked."""
    told = {}
    looked = [page for page in pages if len(page.get("looks") or []) > 1]
    if not looked:
        return told
    if plan.get("collect"):
        told.update(growth(looked))
    else:
        told.update(shares(looked))
    profiles = [page["profile"] for page in looked if page["profile"]]
    if profiles:
        told["owners"] = owners(profiles, told["worker_share"])
        told["js_share"] = sum(told["owners"].get(owner, 0) for owner in OURS)
    return told


def shares(pages):
    """Of a core, between the first look and the last."""
    def share(name, page):
        first, last = page["looks"][0], page["looks"][-1]
        return (last[name] - first[name]) / (last["at"] - first["at"])
    median = lambda name: statistics.median(share(name, page) for page in pages)
    return {"page_share": median("browserS") / len(pages), "renderer_share": median("rendererS"), "task_share": median("taskS"),
            "worker_share": median("workerS")}


def owners(profiles, worker):
    """Of a core, by whose code the main thread was in; the median of the pages. The CPU time it used, in parts as it was sampled."""
    names = {name for profile in profiles for name in profile["spent"]} - {"idle"}

    def share(name):
        busy = lambda profile: sum(profile["spent"].get(owner, 0) for owner in names)
        return statistics.median(profile["cpuS"] / profile["seconds"] * profile["spent"].get(name, 0) / busy(profile) for profile in profiles)
    return {**{name: share(name) for name in sorted(names)}, "worker": worker}


def growth(pages):
    """The most that a page grew by from the first look to the last, MB, and what each look saw."""
    def by(name):
        return max(page["looks"][-1][name] - page["looks"][0][name] for page in pages) / MB
    return {"growth_mb": by("rssBytes"), "own_growth_mb": by("ownBytes"), "heap_growth_mb": by("heapBytes"), "buffers_growth_mb": by("buffersBytes"),
            "looks": [page["looks"] for page in pages]}


def shown(result):
    """Lines for people."""
    if "owners" in result:
        yield "of a core, by owner: " + ", ".join(f"{name} {share:.2%}" for name, share in sorted(result["owners"].items(), key=lambda pair: -pair[1]))
    if "page_share" in result:
        yield ", ".join(f"{what} {result[f'{what}_share']:.1%}" for what in ("page", "renderer", "task", "worker")) + " of a core a page"
    for number, looks in enumerate(result.get("looks", [])):
        cells = (f"{look['at'] / 60:.0f}: {look['rssBytes'] / MB:.1f}/{look['ownBytes'] / MB:.1f}/{look['heapBytes'] / MB:.2f}/{look['buffersBytes'] / MB:.2f}" for look in looks)
        yield f"page {number}, minute: resident/own/heap/buffers MB: " + "  ".join(cells)
