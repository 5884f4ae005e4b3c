"""Engine: what a driver needs of whatever runs stations on other machines, and Ray as such an engine."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ftax_model.errors import MissingError, one_line
from ftax_model.fleet.station import Station

RESOURCE = "ftax"
"""What a node of a cluster has 1 of, and a station takes: whoever holds it is the only one who measures there."""


TRIES = 3
"""How often a cluster is asked that answers and is too busy."""


@dataclass(frozen=True)
class Answer:
    """What came of a call to the station of a machine: its ``value``, or why the station is ``lost``."""

    machine: str
    value: Any = None
    lost: str = ""


class Engine(Protocol):
    """Runs a station on each machine; calls to it are answered one after the other, those of several in any order."""

    def machines(self) -> list[str]:
        """The names of the machines that are there now."""

    def start(self, machine: str) -> None:
        """Begin a station there, the only one at a time; one that cannot begin is lost by its first answer."""

    def call(self, machine: str, method: str, arguments: Sequence[Any]) -> None:
        """Have a station that was started do something; `next` gives the answer."""

    def next(self, within_s: float) -> Answer | None:
        """The next answer of any machine; ``None`` where none comes in so many seconds."""

    def stop(self, machine: str) -> None:
        """End the station there; calls that have no answer yet get none."""

    def now(self) -> float:
        """Seconds of a clock of this process."""

    def close(self) -> None:
        """End all stations."""


class Ray:
    """The nodes of a Ray cluster that have `RESOURCE`, and a GPU where devices of ``kind`` ``cuda`` are measured.

    Machines go by the names of nodes, which are their addresses unless they were given one; of several nodes of one
    name, which may be one machine, the first is used. ``address`` is ``ray://HEAD:PORT`` or whatever else ``ray.init``
    takes. Raises `MissingError` where Ray is not installed or no cluster answers.
    """

    def __init__(self, address: str, kind: str) -> None:
        try:
            import ray
        except ImportError as error:
            cure = "pip install 'ftax_model[fleet]'"
            raise MissingError("a fleet is a Ray cluster", f"no package ray ({error})", cure) from error
        for tries in reversed(range(TRIES)):
            try:
                ray.init(address=address, namespace="ftax_model", log_to_driver=False, logging_level=logging.ERROR)
                break
            except Exception as error:  # Ray and gRPC raise anything
                if tries and isinstance(error, ConnectionAbortedError):
                    continue  # the cluster is there, and was too busy to serve one more
                cure = "start it (ray start --head); see that address, port and RAY_AUTH_TOKEN are the cluster's"
                raise MissingError("a Ray cluster answers", f"{address}: {one_line(error)}", cure) from error
        self._ray = ray
        self._kind = kind
        self._answers: queue.SimpleQueue[tuple[Any, Answer]] = queue.SimpleQueue()
        self._stations: dict[str, Any] = {}

    def machines(self) -> list[str]:
        """As `Engine` says."""
        return [*self._nodes()]

    def start(self, machine: str) -> None:
        """As `Engine` says; where another collection holds the machine, its first call waits."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = self._nodes().get(machine, "0" * 56)  # no such node: the station is lost
        station = self._ray.remote(Station).options(
            num_cpus=0,
            num_gpus=int(self._kind == "cuda"),
            resources={RESOURCE: 1},
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        self._stations[machine] = station.remote(machine, self._kind)

    def call(self, machine: str, method: str, arguments: Sequence[Any]) -> None:
        """As `Engine` says."""
        station = self._stations[machine]

        def answered(future: Any) -> None:
            error = future.exception()
            answer = Answer(machine, lost=_why(error)) if error else Answer(machine, future.result())
            self._answers.put((station, answer))

        getattr(station, method).remote(*arguments).future().add_done_callback(answered)

    def next(self, within_s: float) -> Answer | None:
        """As `Engine` says."""
        end = time.monotonic() + within_s
        while True:
            try:
                station, answer = self._answers.get(timeout=max(end - time.monotonic(), 0.0))
            except queue.Empty:
                return None
            if self._stations.get(answer.machine) is station:  # not of one that was stopped since
                return answer

    def stop(self, machine: str) -> None:
        """As `Engine` says."""
        station = self._stations.pop(machine, None)
        if station is not None:
            self._ray.kill(station)

    def now(self) -> float:
        """As `Engine` says."""
        return time.monotonic()

    def close(self) -> None:
        """As `Engine` says, and leave the cluster."""
        for machine in [*self._stations]:
            self.stop(machine)
        self._ray.shutdown()

    def _nodes(self) -> dict[str, str]:
        """Identifiers of the nodes that measure, by the names of their machines."""
        needs = {RESOURCE, "GPU"} if self._kind == "cuda" else {RESOURCE}
        found: dict[str, str] = {}
        nodes: list[dict[str, Any]] = self._ray.nodes()  # type: ignore[no-untyped-call]
        for node in nodes:
            if node["Alive"] and all(node["Resources"].get(name, 0) >= 1 for name in needs):
                found.setdefault(node["NodeName"] or node["NodeManagerAddress"], node["NodeID"])
        return found


def _why(error: BaseException) -> str:
    """What ended a station, without what Ray prints around it."""
    cause = getattr(error, "cause", None)
    return one_line(cause if isinstance(cause, Exception) else error)  # type: ignore[arg-type]
