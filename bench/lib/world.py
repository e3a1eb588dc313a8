"""What is measured: servers, a published film, a certificate. Everything started here is stopped here."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import cpu

ROOT = pathlib.Path(__file__).resolve().parents[2]
STREAM = "film"
#: Set in a bench that runs in a network of its own.
APART = "BENCH_APART"


class World:
    """A temporary directory in memory, and the processes that live in it."""

    def __init__(self, build):
        if build:
            subprocess.run(["cargo", "build", "--release", "-p", "trellis"], cwd=ROOT, check=True)
        memory = pathlib.Path("/dev/shm")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="trellis-bench-", dir=memory if memory.is_dir() else None))
        # nginx reads from here as another user.
        self.dir.chmod(0o755)
        # A copy: the bench outlasts a rebuild.
        self.binary = shutil.copy(os.environ.get("TRELLIS", ROOT / "target/release/trellis"), self.dir / "trellis")
        self.processes = []
        self._certificate = None

    def __enter__(self):
        # A bench that is told to end still stops what it started.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            stop(process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, command, name, env=None):
        log = open(self.dir / f"{name}.log", "ab")
        process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, env=env, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def serve(self, name, settings, config="", on=cpu.SERVER_CPU):
        """`trellis serve`, ready. `settings` as in the file, `edge.name` for a table's key; HERE in them
        is the server's own URL."""
        port = free_port()
        file = self.dir / f"{name}.toml"
        file.write_text(config)
        scheme = "https" if "[tls]" in config else "http"
        here = f"{scheme}://127.0.0.1:{port}"
        variables = {f"TRELLIS_{key.replace('.', '_').upper()}": str(value).replace("HERE", here) for key, value in settings.items()}
        variables.update(TRELLIS_LISTEN=f"127.0.0.1:{port}", TRELLIS_DATA_DIR=str(self.dir / name))
        if "metrics_listen" not in settings:
            variables["TRELLIS_METRICS_LISTEN"] = f"127.0.0.1:{free_port()}"
        command = [self.binary, "serve", "--config", file]
        if on is not None:
            command = cpu.pinned(on, command)
        process = self.start(command, name, {**os.environ, **variables})
        server = Server(process, port, self.dir / name, variables["TRELLIS_METRICS_LISTEN"])
        log = self.dir / f"{name}.log"
        wait_for(lambda: "listening" in log.read_text() and answers(port), name, process, log)
        return server

    def certificate(self):
        """Self-signed, ECDSA P-256: `(cert, key)` for both sides."""
        if not self._certificate:
            cert, key = self.dir / "cert.pem", self.dir / "key.pem"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
                check=True, capture_output=True)
            self._certificate = cert, key
        return self._certificate

    def film(self):
        """Fragmented MP4 whose segments are 1 MB, parts 100 kB and audio parts 1 kB: keyframes 10 parts apart, and
        an encoder held at a constant rate with noise to spend it on."""
        file = self.dir / "film.mp4"
        if not file.exists():
            subprocess.run(
                ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y",
                 "-f", "lavfi", "-i", "testsrc2=s=640x360:r=30,noise=alls=60:allf=t",
                 "-f", "lavfi", "-i", "anoisesrc=c=pink:r=24000", "-t", "80", "-ac", "1",
                 "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "main", "-g", "100", "-keyint_min", "100",
                 "-sc_threshold", "0", "-bf", "0", "-b:v", "2400k", "-minrate", "2400k", "-maxrate", "2400k",
                 "-bufsize", "240k", "-x264-params", "nal-hrd=cbr:rc-lookahead=0", "-c:a", "aac", "-b:a", "20k",
                 "-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", file],
                check=True)
        return file


class Server:
    """A running `trellis serve`."""

    def __init__(self, process, port, data, metrics):
        self.process, self.port, self.data, self.metrics_address = process, port, data, metrics

    @property
    def pid(self):
        return self.process.pid

    def key(self, name):
        return (self.data / f"{name}.key").read_text().strip()

    def call(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        reply = connection.getresponse()
        text = reply.read()
        if reply.status >= 300:
            raise SystemExit(f"{method} {path}: {reply.status} {text.decode(errors='replace')}")
        return text

    def publish(self, file, stream=STREAM, access="open"):
        """On demand: complete at once."""
        self.call("POST", f"/v1/ingest/{stream}", file.read_bytes(), authorization=f"Bearer {self.key('publish')}",
                  trellis_mode="vod", trellis_access=access)

    def joins(self, count, stream=STREAM):
        """That many places, as URLs of what stands below `…/s/{stream}/`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        places = []
        for _ in range(count):
            connection.request("POST", f"/v1/streams/{stream}/join")
            reply = connection.getresponse()
            text = reply.read()
            if reply.status != 200:
                raise SystemExit(f"join: {reply.status} {text.decode()}")
            places.append(json.loads(text)["hls"].rsplit("/", 1)[0])
        return places

    def metric(self, name, label=""):
        """The sum of a metric's series, of those with this label, as it is written."""
        host, port = self.metrics_address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name and label in line)

    def stop(self):
        stop(self.process)


def hs256(kid, secret, claims):
    """A viewer token."""
    text = unsigned({"alg": "HS256", "typ": "JWT", "kid": kid}, claims)
    return f"{text}.{base64url(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def unsigned(header, claims):
    return ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(ready, what, process=None, log=None, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process and process.poll() is not None:
            break
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"{what} did not come up\n{log.read_text() if log else ''}")


def answers(port):
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run_apart(congestion):
    """Starts the bench over in a network of its own with this congestion control; the system's stays as it is."""
    script = 'ip link set lo up && echo "$0" > /proc/sys/net/ipv4/tcp_congestion_control && exec "$@"'
    command = ["unshare", "--net", "sh", "-c", script, congestion, sys.executable, *sys.argv]
    os.execvpe(command[0], command, {**os.environ, APART: "1"})


def machine():
    """What it ran on, for the results' sake."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg(),
            "congestion": pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()}
