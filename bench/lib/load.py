"""The load: wrk on its own CPU, polling, with one script for all servers; and what it says afterwards."""

import json
import os
import pathlib
import subprocess

from . import cpu

SCRIPTS = pathlib.Path(__file__).resolve().parents[1] / "load"
CONNECTIONS = 16


def run(w, script, url, *arguments, seconds, tls=False):
    """`{"requests", "bytes", "micros"}`. Every request must have been answered, and well."""
    env = {**os.environ, "LD_PRELOAD": str(spin(w))}
    if tls:
        env["OPENSSL_CONF"] = str(one_cipher(w))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", SCRIPTS / script, url, "--", *arguments]
    done = subprocess.run(cpu.pinned(cpu.LOAD_CPU, command), capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"wrk: {done.stdout}{done.stderr}")
    told = json.loads(done.stdout.strip().splitlines()[-1])
    if told["errors"] or not told["requests"]:
        raise SystemExit(f"{url}: not every request was answered: {told}")
    return told


def spin(w):
    """The library that keeps wrk awake, built once."""
    library = w.dir / "spin.so"
    if not library.exists():
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SCRIPTS / "spin.c", "-ldl"], check=True)
    return library


def one_cipher(w):
    """Makes wrk offer one cipher, so that both servers use it."""
    file = w.dir / "openssl.cnf"
    file.write_text("openssl_conf = conf\n[conf]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n[tls]\n"
                    "MinProtocol = TLSv1.3\nCiphersuites = TLS_AES_128_GCM_SHA256\n")
    return file
