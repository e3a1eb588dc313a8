"""What does a join cost? CPU µs of the whole process, the kernel's part and the accounts' way to the disk included.

Counted from before the first join until the last one's row is on disk; the count is below what the accounts' queue
holds, so that no row is dropped to make joins look cheap.
"""

import json
import subprocess
import time

from . import cpu, load, world

JOINS = 40_000
#: By then that many have joined, and wrk goes on to its end without asking more.
SECONDS = 4
TOKENS = 500
GOALS = {"HS256": 25, "EdDSA": 65}


def measure(w, options):
    server = w.serve("joins", {"edge.upload_budget": "900000G", "edge.idle_s": 3600})
    server.publish(w.film(), access="token")
    world.wait_for(lambda: admits(server), "the stream")
    makers = {"HS256": hs256_tokens(server), "EdDSA": eddsa_tokens(w, server)}
    costs = {name: [] for name in makers}
    for name, tokens in makers.items():
        (w.dir / f"{name}.tokens").write_text("\n".join(tokens) + "\n")
        join(w, server, name, 2_000)
    for pair in range(options.pairs):
        for name in list(makers)[:: 1 if pair % 2 else -1]:
            used, joined = join(w, server, name, JOINS)
            costs[name].append(used / joined * 1e6)
    server.stop()
    rows = []
    for name, goal in GOALS.items():
        cost = cpu.spread(costs[name])
        rows.append({"cells": [f"join with an {name} token", cpu.shown(cost, 1)], "goal": f"<= {goal}",
                     "met": cost["median"] <= goal, "cost": cost})
    return {"title": f"CPU µs per join, {load.CONNECTIONS} connections kept alive, {TOKENS} viewers in turn: median [range]",
            "columns": ["µs"], "rows": rows}


def join(w, server, name, count):
    """CPU seconds, and how many joined. All must."""
    granted = lambda: int(server.metric("trellis_joins_total"))
    written = lambda: int(server.metric("trellis_sessions_recorded_total"))
    joined_before, written_before = granted(), written()
    before = cpu.seconds(server.pid)
    url = f"http://127.0.0.1:{server.port}"
    load.run(w, "joins.lua", url, w.dir / f"{name}.tokens", world.STREAM, str(count), seconds=SECONDS)
    time.sleep(0.2)
    joined = granted() - joined_before
    world.wait_for(lambda: written() - written_before >= joined, "the accounts")
    used = cpu.seconds(server.pid) - before
    if server.metric("trellis_account_writes_dropped_total"):
        raise SystemExit("the accounts dropped rows: lower JOINS")
    return used, joined


def admits(server):
    token = hs256_tokens(server, 1)[0]
    try:
        server.call("POST", f"/v1/streams/{world.STREAM}/join", authorization=f"Bearer {token}")
        return True
    except SystemExit:
        return False


def claims(viewer):
    return {"sub": f"viewer-{viewer}", "stream": world.STREAM, "exp": int(time.time()) + 6 * 3600}


def hs256_tokens(server, count=TOKENS):
    kid, secret = server.key("api").split(":", 1)
    return [world.hs256(kid, secret, claims(n)) for n in range(count)]


def eddsa_tokens(w, server):
    private = w.dir / "eddsa.pem"
    openssl = lambda *args: subprocess.run(["openssl", *args], check=True, capture_output=True).stdout
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(private))
    public = openssl("pkey", "-in", str(private), "-pubout").decode()
    server.call("POST", "/v1/admin/keys", json.dumps({"kind": "eddsa", "kid": "bench", "public_key": public}),
                authorization=f"Bearer {server.key('admin')}", content_type="application/json")
    tokens = []
    for n in range(TOKENS):
        text = world.unsigned({"alg": "EdDSA", "typ": "JWT", "kid": "bench"}, claims(n))
        (w.dir / "message").write_text(text)
        signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(private), "-in", str(w.dir / "message"))
        tokens.append(f"{text}.{world.base64url(signature)}")
    return tokens
