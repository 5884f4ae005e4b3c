"""Frameworks that misbehave, for a runner to survive; a worker server that knows them, too."""

import dataclasses
import itertools
import os
import signal
import sys

from ftax_model.collection import frameworks, worker
from ftax_model.collection.frameworks.fake import Fake

_names, _load = frameworks.names, frameworks.load


class Faulty(Fake):
    """Fake, but the call on 4 rows goes wrong."""

    def prepare(self, model, inputs, device):
        good = super().prepare(model, inputs, device)
        return self.fault if model.operators[0].inputs[0][0] == 4 else good

    def fault(self):
        raise NotImplementedError


class Segfaulting(Faulty):
    def fault(self):
        print("about to crash")
        os.kill(os.getpid(), signal.SIGSEGV)


class Killed(Faulty):
    def fault(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Exiting(Faulty):
    def fault(self):
        os._exit(7)


class Quitting(Faulty):
    def fault(self):
        sys.exit("enough")


class Hanging(Faulty):
    def fault(self):
        signal.pause()


class Raising(Faulty):
    def fault(self):
        raise ValueError("this\nis wrong")


class OutOfMemory(Faulty):
    def fault(self):
        raise MemoryError("no more")


class Unable(Faulty):
    def fault(self):
        raise NotImplementedError("four is too many")


class ServerKilling(Faulty):
    def fault(self):
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()


class Unprofilable(Fake):
    """Fake, but profiling the call on 4 rows goes wrong."""

    def prepare(self, model, inputs, device):
        self.rows = model.operators[0].inputs[0][0]
        return super().prepare(model, inputs, device)

    def profile(self, call, device, protocol):
        if self.rows == 4:
            self.fault()
        return super().profile(call, device, protocol)


class ProfileKilled(Unprofilable):
    def fault(self):
        os.kill(os.getpid(), signal.SIGKILL)


class ProfileHanging(Unprofilable):
    def fault(self):
        signal.pause()


class ProfileRaising(Unprofilable):
    def fault(self):
        raise ValueError("no events")


class Silent(Fake):
    """Shows none of its operators."""

    def profile(self, call, device, protocol):
        return dataclasses.replace(super().profile(call, device, protocol), events=())


class Closed(Fake):
    def supports_profile(self, workload, device):
        return "it keeps its operators to itself"


class CudaOutOfMemory(Faulty):
    def fault(self):
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


class Poisoned(Fake):
    """One bad access on 4 rows, and no call of this process is ever answered again."""

    poisoned = False

    def prepare(self, model, inputs, device):
        good = super().prepare(model, inputs, device)

        def call():
            type(self).poisoned |= model.operators[0].inputs[0][0] == 4
            self.synchronize()
            return good()

        return call

    def synchronize(self):
        if self.poisoned:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")


class PoisonedInDisguise(Poisoned):
    """The framework says that it cannot run the module, and does not know why."""

    def prepare(self, model, inputs, device):
        call = super().prepare(model, inputs, device)
        try:
            call()
        except RuntimeError as error:
            raise NotImplementedError("no way to run it") from error
        return call


class GraphPoisoned(Poisoned):
    """Every call is good, but capturing that on 4 rows is not."""

    def prepare(self, model, inputs, device):
        self.rows = model.operators[0].inputs[0][0]
        return Fake.prepare(self, model, inputs, device)

    def graph(self, call):
        type(self).poisoned |= self.rows == 4
        self.synchronize()

    def version(self):
        return str(os.getpid())


class GpuTaken(Faulty):
    """The GPU is gone, and CUDA says so."""

    def fault(self):
        raise RuntimeError("CUDA error: no CUDA-capable device is detected")


class GpuFallen(Faulty):
    """The GPU is gone, and only NVML knows."""

    def fault(self):
        sys.modules["pynvml"].lose()
        raise RuntimeError("CUDA error: unspecified launch failure")


class BackwardsClock(Fake):
    """Whose clock jumps back in every call on 4 rows, and in one of the others."""

    def prepare(self, model, inputs, device):
        good, jumps = super().prepare(model, inputs, device), model.operators[0].inputs[0][0] == 4
        calls = itertools.count()

        def call():
            if jumps or next(calls) == 500:
                self._now -= 100.0
            return good()

        return call


class Choosy(Fake):
    def supports(self, workload, device):
        return "four is too many" if workload.batch_size == 4 else None


class Chatty(Fake):
    """Prints from every place, on every stream, in the runner's own words."""

    def prepare(self, model, inputs, device):
        good = super().prepare(model, inputs, device)

        def call():
            print('{"measured": {}}')
            os.write(1, b'{"exit": 0}\n')
            os.write(2, b"\xff\x00")
            return good()

        return call


class Telling(Fake):
    """Tells of its process in its version."""

    def version(self):
        heavy = [name for name in ("torch", "transformers", "onnxruntime", "pandas") if name in sys.modules]
        asked = os.environ.get("PYTORCH_NVML_BASED_CUDA_CHECK")
        return f"{os.getpid()} {os.getppid()} {os.environ['OMP_NUM_THREADS']} {','.join(heavy)} {asked}"


FRAMEWORKS = {
    "segfaulting": Segfaulting,
    "killed": Killed,
    "exiting": Exiting,
    "quitting": Quitting,
    "hanging": Hanging,
    "raising": Raising,
    "out-of-memory": OutOfMemory,
    "unable": Unable,
    "server-killing": ServerKilling,
    "cuda-out-of-memory": CudaOutOfMemory,
    "poisoned": Poisoned,
    "poisoned-in-disguise": PoisonedInDisguise,
    "graph-poisoned": GraphPoisoned,
    "gpu-taken": GpuTaken,
    "gpu-fallen": GpuFallen,
    "backwards-clock": BackwardsClock,
    "choosy": Choosy,
    "profile-killed": ProfileKilled,
    "profile-hanging": ProfileHanging,
    "profile-raising": ProfileRaising,
    "silent": Silent,
    "closed": Closed,
    "chatty": Chatty,
    "telling": Telling,
}


def names():
    return sorted([*_names(), *FRAMEWORKS])


def load(name):
    return FRAMEWORKS[name]() if name in FRAMEWORKS else _load(name)


def main():
    frameworks.names, frameworks.load = names, load
    worker.main()
