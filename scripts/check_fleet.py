"""A fleet on this machine: a Ray cluster of several nodes on loopback, one of which is killed while it measures.

    .venv/bin/python scripts/check_fleet.py --runs 20

Each run starts a cluster, has ``ftax collect --on`` measure ``toy`` cells on its nodes, kills one in the middle, and
looks at what is in the dataset. Prints a line a run, and how many lost or doubled a cell or listened beyond loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from ftax_model import files
from ftax_model.dataset import read

PLAN = """\
frameworks: fake
repeats: 3
workloads:
  - {architecture: toy, num_layers: [2, 4, 8, 16, 32], width: [16, 32, 64, 128], batch_size: [1, 4, 16, 64, 256]}
"""
CELLS = 300
NODES = ("a", "b", "c")
AFTER = 5
"""Cells of a node after which it is killed."""

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
own = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}
head = {**own, "ray_client_server_port": int(sys.argv[1]), "include_dashboard": False, "node_name": "head"}
cluster = Cluster(initialize_head=True, connect=False, head_node_args=head)
nodes = {name: cluster.add_node(**own, node_name=name, resources={"ftax": 1}) for name in sys.argv[2:]}
print(cluster.address, flush=True)
for line in sys.stdin:
    what, name = line.split()
    if what == "kill":
        cluster.remove_node(nodes.pop(name), allow_graceful=False)
    else:
        nodes[name] = cluster.add_node(**own, node_name=name, resources={"ftax": 1})
    print(what, flush=True)
cluster.shutdown()
"""
"""Starts a cluster, says where it is, and then does what it is told, a line each: ``kill a``, ``add d``."""


class Cluster:
    """A Ray cluster on loopback whose nodes have names; a process of its own holds it.

    ``address`` is that of Ray's client server, ``environment`` what programs need that speak to it: the cluster has a
    token, as one on a real network should.
    """

    def __init__(self, process: subprocess.Popen[str], port: int, environment: dict[str, str]) -> None:
        self._process, self.environment = process, environment
        self.address = f"ray://127.0.0.1:{port}"
        self.direct = self._said()

    def kill(self, name: str) -> None:
        """Kill a node, as if its machine had lost power."""
        self._tell(f"kill {name}")

    def add(self, name: str) -> None:
        """Start another node."""
        self._tell(f"add {name}")

    def listens_at(self) -> set[str]:
        """The addresses at which its processes listen."""
        own = {one.pid for one in psutil.Process(self._process.pid).children(recursive=True)} | {self._process.pid}
        found = (one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.pid in own)
        return {one.laddr.ip for one in found}

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        self._said()

    def _said(self) -> str:
        assert self._process.stdout is not None
        while not (line := self._process.stdout.readline().strip()):
            if self._process.poll() is not None:
                raise RuntimeError("the cluster did not start")
        return line


@contextmanager
def cluster(names: Sequence[str] = NODES) -> Iterator[Cluster]:
    """A cluster of these nodes, which is shut down afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # its processes then use loopback
        "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "2",  # seconds that what a killed driver holds is kept
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [sys.executable, "-c", CLUSTER, str(port), *names]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        try:
            yield Cluster(process, port, environment)
        finally:
            family = psutil.Process(process.pid).children(recursive=True)
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
            for one in family:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def start(where: Cluster, plan: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """``ftax collect --on`` the cluster, begun."""
    command = [sys.executable, "-m", "ftax_model", "collect", str(plan), "--on", where.address, "--out", str(out)]
    return subprocess.Popen(
        [*command, "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=where.environment
    )


def wait_for(out: Path, cells: int, process: subprocess.Popen[str], machine: str = "") -> None:
    """Until a dataset has so many cells of a machine, or of any, or the process that writes it has ended."""
    mark = f'"machine":"{machine}'.encode()
    while process.poll() is None and (not out.exists() or out.read_bytes().count(mark) < cells):
        time.sleep(0.02)


def once(folder: Path) -> dict[str, Any]:
    """One run: how many cells were measured when the node was killed and at the end, and what was wrong."""
    plan, out = folder / "plan.yaml", folder / "fleet.jsonl"
    files.write(plan, PLAN.encode())
    begin = time.monotonic()
    with cluster() as where:
        listens_at = where.listens_at()
        collection = start(where, plan, out)
        wait_for(out, AFTER, collection, NODES[1])
        before = out.read_bytes().count(b"\n")
        where.kill(NODES[1])
        said, errors = collection.communicate(timeout=300)
    records = read(out)  # a key that is there twice is an error
    summary = json.loads(said) if said.strip() else {}
    return {
        "cells": len(records),
        "when killed": before,
        "by machine": {name: sum(one.environment.get("machine") == name for one in records) for name in NODES},
        "lost machines": sum(one["lost"] for one in summary.get("machines", ())),
        "exit": collection.returncode,
        "beyond loopback": sorted(one for one in listens_at if one not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")),
        "seconds": round(time.monotonic() - begin, 1),
        "bad": int(
            len(records) != CELLS
            or collection.returncode != 0
            or any(one.status != "ok" for one in records)
            or any(one not in ("127.0.0.1", "::1", "::ffff:127.0.0.1") for one in listens_at)
        ),
        "said": "" if collection.returncode == 0 else errors.strip()[-300:],
    }


CALLS = """
import sys, time
from ftax_model.fleet.engine import Ray
engine = Ray(sys.argv[1], "cpu")
machines = engine.machines()
for one in machines:
    engine.start(one)
    engine.call(one, "describe", ())
for _ in machines:
    assert not engine.next(60).lost
seconds, count, begin = float(sys.argv[2]), 0, time.monotonic()
for one in machines:
    engine.call(one, "close", ())
while time.monotonic() - begin < seconds:
    engine.call(engine.next(60).machine, "close", ())
    count += 1
print(count / seconds)
engine.close()
"""
"""Calls to stations, one under way to each, and how many of them were answered in a second."""


def calls(seconds: float = 10.0) -> dict[str, float]:
    """Calls a second through Ray that do nothing, all nodes together, by the kind of address."""
    with cluster() as where:
        addresses = {"ray://": where.address, "direct": where.direct}
        return {
            what: float(
                subprocess.run(
                    [sys.executable, "-c", CALLS, address, str(seconds)],
                    env=where.environment,
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                ).stdout
            )
            for what, address in addresses.items()
        }


def main() -> None:
    """Run, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--calls", action="store_true", help="count calls a second that do nothing, in place of runs")
    asked = parser.parse_args()
    if asked.calls:
        print(json.dumps({what: round(count) for what, count in calls().items()}))
        return
    bad = 0
    for _ in range(asked.runs):
        with tempfile.TemporaryDirectory() as folder:
            found = once(Path(folder))
        bad += found["bad"]
        print(json.dumps(found), flush=True)
    print(f"{asked.runs} runs, {bad} bad")
    raise SystemExit(bad > 0)


if __name__ == "__main__":
    main()
