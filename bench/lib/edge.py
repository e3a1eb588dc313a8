"""What does a byte cost at an edge, beside nginx with the same bytes? CPU seconds per Gbit of body.

The edge paces each viewer at twice its ticket's rate, so the load is spread over many viewers' places, as it would be
in life: each request comes from the next of SESSIONS, and none of them is ever near its pace.
"""

import re
import statistics
import subprocess
import time
import urllib.request

from . import cpu, load, world

SESSIONS = 8192
#: Bytes, what it is, and the least nginx/Trellis.
SIZES = {
    False: [(1_000_000, "1 MB segment", 1.3), (100_000, "100 kB part", 1.0), (1_000, "1 kB audio part", 1.2)],
    True: [(1_000_000, "1 MB segment", 1.6), (100_000, "100 kB part", 1.8)],
}
TOLERANCE = 0.1


def compare(w, options, tls):
    head = w.serve("origin-tls" if tls else "origin", {"role": "manager"}, on=cpu.LOAD_CPU)
    server_key = head.key("server")
    base = f"http://127.0.0.1:{head.port}"
    origin = w.serve("source-tls" if tls else "source", on=cpu.LOAD_CPU, settings={
        "role": "origin", "manager_url": base, "server_key": server_key, "origin.name": "bench", "origin.media_url": "HERE/origin"})
    origin.key = lambda _: head.key("publish")
    edge = w.serve("edge-tls" if tls else "edge", config=tls_config(w) if tls else "", settings={
        "role": "edge", "manager_url": base, "server_key": server_key,
        "edge.name": "bench", "edge.public_url": "HERE", "edge.upload_budget": "900000G", "edge.idle_s": 3600})
    origin.publish(w.film())
    world.wait_for(lambda: ready(head), "the edge")
    places = head.joins(SESSIONS)
    objects = download(places[0], w.dir / "www")
    nginx, nginx_port = start_nginx(w, tls)
    servers = {
        "nginx": (nginx.pid, f"{scheme(tls)}://127.0.0.1:{nginx_port}", [""]),
        "trellis": (edge.pid, f"{scheme(tls)}://127.0.0.1:{edge.port}", [re.sub(r"^https?://[^/]+", "", p) for p in places]),
    }
    if tls:
        for _, url, _ in servers.values():
            check_cipher(url)
    result = {"title": title(tls), "columns": ["nginx", "trellis", "nginx/trellis"], "rows": [], "sessions": SESSIONS}
    for size, what, goal in SIZES[tls]:
        names = [name for name, length in objects.items() if abs(length - size) <= TOLERANCE * size]
        if not names:
            raise SystemExit(f"the film has no object of {size} bytes")
        mean = statistics.mean(objects[name] for name in names)
        row = alternate(w, servers, names, mean, options, tls)
        row["met"] = row["ratio"]["median"] >= goal
        digits = 4 if size > 10_000 else 3
        row["cells"] = [f"{what}, {len(names)} of them", cpu.shown(row["nginx"], digits), cpu.shown(row["trellis"], digits),
                        cpu.shown(row["ratio"], 2)]
        row["goal"] = f">= {goal}"
        row["mean_bytes"] = mean
        result["rows"].append(row)
    for process in (edge, origin, head):
        process.stop()
    world.stop(nginx)
    return result


def alternate(w, servers, names, mean, options, tls):
    costs = {name: [] for name in servers}
    rates = {name: [] for name in servers}
    for name, (_, _, prefixes) in servers.items():
        # As many requests in turn as there are places; for nginx as many, so that the load generator does the same.
        lines = [f"{prefixes[i % len(prefixes)]}/{names[i % len(names)]}" for i in range(SESSIONS)]
        (w.dir / f"{name}.paths").write_text("\n".join(lines) + "\n")
        drive(w, servers, name, 2, tls)
    for pair in range(options.pairs):
        for name in list(servers)[:: 1 if pair % 2 else -1]:
            used, told = drive(w, servers, name, options.seconds, tls)
            costs[name].append(used / (told["requests"] * mean * 8 / 1e9))
            rates[name].append({"cpu_s": used, "requests": told["requests"], "wall_s": told["micros"] / 1e6})
    ratio = [nginx / trellis for nginx, trellis in zip(costs["nginx"], costs["trellis"])]
    return {"nginx": cpu.spread(costs["nginx"]), "trellis": cpu.spread(costs["trellis"]), "ratio": cpu.spread(ratio), "runs": rates}


def drive(w, servers, name, seconds, tls):
    """CPU seconds the server used, and the requests it answered."""
    pid, url, _ = servers[name]
    before = cpu.seconds(pid)
    told = load.run(w, "rotate.lua", url, w.dir / f"{name}.paths", seconds=seconds, tls=tls)
    time.sleep(0.1)
    return cpu.seconds(pid) - before, told


def ready(head):
    """The edge has registered and the film is known."""
    try:
        head.joins(1)
        return True
    except SystemExit:
        return False


def download(place, docroot):
    """Every media object of the film, into nginx's document root; name and length of each."""
    ask = urllib.request.Request
    context = insecure()
    get = lambda name: urllib.request.urlopen(ask(f"{place}/{name}"), context=context).read()
    index = get("index.m3u8").decode()
    lists = set(re.findall(r"[va]\d+\.m3u8", index))
    objects = {}
    for name in sorted(lists):
        text = get(name).decode()
        inits = re.findall(r'URI="([^"]+/init\.mp4)"', text)
        segments = re.findall(r"^(\S+\.m4s)$", text, re.M)
        prefix = inits[0].rsplit("/", 1)[0]
        parts = [f"{prefix}/p{n}.m4s" for n in range(5, 235)]
        for path in [inits[0], *segments, *parts]:
            data = get(path)
            target = docroot / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            objects[path] = len(data)
    return objects


def start_nginx(w, tls):
    port = world.free_port()
    cert, key = w.certificate()
    secure = f"""ssl_certificate {cert}; ssl_certificate_key {key};
            ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;""" if tls else ""
    directory = w.dir / ("nginx-tls" if tls else "nginx")
    directory.mkdir()
    config = directory / "nginx.conf"
    temporary = "\n".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config.write_text(f"""daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
    events {{ worker_connections 1024; }}
    http {{
        {temporary}
        access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 1h;
        open_file_cache max=10000 inactive=1h; open_file_cache_valid 1h;
        types {{ video/mp4 mp4; video/iso.segment m4s; }}
        server {{
            listen 127.0.0.1:{port}{' ssl' if tls else ''};
            {secure}
            root {w.dir / 'www'};
            location / {{ add_header Cache-Control "public, max-age=31536000, immutable"; add_header Access-Control-Allow-Origin *; }}
        }}
    }}
    """)
    command = cpu.pinned(cpu.SERVER_CPU, ["nginx", "-c", config, "-e", directory / "error.log"])
    process = w.start(command, "nginx")
    world.wait_for(lambda: world.answers(port), "nginx", process)
    return process, port


def tls_config(w):
    cert, key = w.certificate()
    return f'[tls]\ncert = "{cert}"\nkey = "{key}"\n'


def check_cipher(url):
    run = subprocess.run(["openssl", "s_client", "-connect", url.split("//")[1], "-ciphersuites", "TLS_AES_128_GCM_SHA256", "-brief"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True)
    text = run.stdout + run.stderr
    if "TLSv1.3" not in text or "TLS_AES_128_GCM_SHA256" not in text:
        raise SystemExit(f"{url} did not agree on TLS 1.3 with AES-128-GCM:\n{text}")


def insecure():
    import ssl
    return ssl._create_unverified_context()


def scheme(tls):
    return "https" if tls else "http"


def title(tls):
    how = "HTTP/1.1 over TLS 1.3, AES-128-GCM" if tls else "HTTP/1.1"
    return f"CPU seconds per Gbit of body, {how}, {load.CONNECTIONS} connections kept alive: median [range]"
