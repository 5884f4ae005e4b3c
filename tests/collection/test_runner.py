"""The runner: what is measured, what is recorded of faults, how it stops and goes on."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ftax_model.collection import runner, worker_pool
from ftax_model.collection.frameworks.fake import Fake
from ftax_model.collection.plan import Grid, Plan, group, load_plan
from ftax_model.collection.runner import Summary, collect
from ftax_model.collection.timing import Protocol
from ftax_model.collection.worker import REASON_LENGTH
from ftax_model.dataset import Writer, load_operators, operators_file, read
from ftax_model.device import detect
from ftax_model.errors import DataError, FtaxError, InputError, MissingError
from ftax_model.measurement import Profile
from ftax_model.workload import grid


def plan(framework="fake", batch_size=(1, 4, 16), *, layers=(2,), threads=(1,), repeats=1, **knobs):
    workloads = grid("toy", num_layers=list(layers), width=16, batch_size=list(batch_size), input_size=1)
    return Plan("test", (Grid(tuple(workloads), (framework,), threads, repeats),), protocol=Protocol(**knobs))


def by_batch_size(path):
    return {measurement.cell.workload.batch_size: measurement for measurement in read(path)}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


@pytest.fixture
def no_children_left():
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.parametrize("isolate", [True, False])
def test_every_cell_is_measured_once_and_follows_the_law(out, isolate, no_children_left):
    summary = collect("toy", out, isolate=isolate)
    assert summary == Summary(planned=200, done_before=0, measured=200)
    assert summary.remaining == 0
    measured = read(out)
    assert {one.cell for one in measured} == set(load_plan("toy").cells(detect("cpu")))
    for one in measured:
        assert one.latency_s == pytest.approx(Fake.seconds(one.features), rel=0.02)
        assert one.status == "ok"


def test_isolated_and_in_process_agree(out, tmp_path):
    other = tmp_path / "other.jsonl"
    collect(plan(), out, isolate=True)
    collect(plan(), other, isolate=False)
    assert {one.cell.key: one.samples for one in read(out)} == {one.cell.key: one.samples for one in read(other)}


def test_shards_measure_the_plan_once_whatever_is_done_already(out, tmp_path):
    whole = plan(layers=(2, 3, 4), repeats=2)
    collect(plan(layers=(3,), repeats=2), out, isolate=False)
    seen = []
    for part in (1, 2, 3, 4):
        file = out if part == 1 else tmp_path / f"{part}.jsonl"
        before = {one.cell for one in read(file)} if file.exists() else set()
        summary = collect(whole, file, isolate=False, shard=(part, 4), seed=part)
        own = {cell for sweep in whole.sweeps(detect(), seed=0, shard=(part, 4)) for cell in sweep.cells}
        assert summary.done == summary.planned == len(own)
        assert {one.cell for one in read(file)} == before | own
        seen += own
    assert sorted(cell.key for cell in seen) == sorted(cell.key for cell in whole.cells(detect()))


def test_second_run_measures_only_what_is_missing(out):
    collect(plan(batch_size=[1, 2]), out)
    before = out.read_bytes()
    summary = collect(plan(batch_size=[1, 2, 4]), out)
    assert (summary.done_before, summary.measured, summary.remaining) == (2, 1, 0)
    assert out.read_bytes().startswith(before)
    third = collect(plan(batch_size=[1, 2, 4]), out)
    assert (third.done_before, third.measured) == (3, 0)


@pytest.mark.parametrize(
    ("framework", "status", "reason"),
    [
        ("segfaulting", "crashed", "killed by SIGSEGV: about to crash"),
        ("killed", "crashed", "killed by SIGKILL"),
        ("exiting", "crashed", "ended with exit code 7"),
        ("quitting", "crashed", "ended with exit code 1: SystemExit: enough"),
        ("raising", "crashed", "ValueError: this is wrong"),
        ("out-of-memory", "out-of-memory", "MemoryError: no more"),
        (
            "cuda-out-of-memory",
            "out-of-memory",
            "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        ),
        ("poisoned", "crashed", "RuntimeError: CUDA error: an illegal memory access was encountered"),
        ("poisoned-in-disguise", "crashed", "RuntimeError: CUDA error: an illegal memory access was encountered"),
        (
            "backwards-clock",
            "crashed",
            "RuntimeError: the clock keeps going backwards: 4 blocks of calls took no time, or less",
        ),
        ("unable", "unsupported", "four is too many"),
        ("choosy", "unsupported", "four is too many"),
        ("hanging", "timeout", "took longer than 0.2 s"),
        ("server-killing", "crashed", "killed by SIGKILL"),
    ],
)
def test_fault_costs_its_own_cell_alone(faulty, out, framework, status, reason, no_children_left):
    summary = collect(plan(framework, [1, 2, 4, 8, 16], limit_s=0.2 if status == "timeout" else 60), out)
    assert (summary.measured, summary.failed, summary.remaining) == (4, 1, 0)
    found = by_batch_size(out)
    assert (found[4].status, found[4].reason) == (status, reason)
    assert found[4].latency_s is None
    assert all(found[size].status == "ok" for size in (1, 2, 8, 16))
    assert collect(plan(framework, [1, 2, 4, 8, 16]), out).done_before == 5


def test_one_setback_of_the_clock_costs_a_block(faulty, out):
    collect(plan("backwards-clock", [1, 2], half_width=1e-6), out, isolate=False)
    for one in read(out):
        assert (one.status, one.discarded_blocks) == ("ok", 1)
        assert one.latency_s == pytest.approx(Fake.seconds(one.features), rel=0.02)
        assert "clock-setback" in one.warnings()


def test_process_that_its_last_good_cell_spoilt_is_thrown_away(faulty, fake_nvml, out, monkeypatch):
    fake_nvml.installed(monkeypatch)
    assert collect(plan("graph-poisoned", [1, 2, 4, 8, 16]), out, device="cuda").measured == 5
    processes = [one.environment["framework_version"] for one in read(out)]
    spoilt = next(at for at, one in enumerate(read(out)) if one.cell.workload.batch_size == 4)
    assert by_batch_size(out)[4].telemetry["device_clock"].startswith("failed: RuntimeError: CUDA error: an illegal")
    assert len(set(processes[: spoilt + 1])) == 1
    assert len(set(processes[spoilt + 1 :])) <= 1
    assert not set(processes[: spoilt + 1]) & set(processes[spoilt + 1 :])


@pytest.mark.parametrize(
    ("framework", "isolate", "why"),
    [
        ("gpu-taken", True, "RuntimeError: CUDA error: no CUDA-capable device is detected"),
        ("gpu-taken", False, "RuntimeError: CUDA error: no CUDA-capable device is detected"),
        ("gpu-fallen", False, "NVML: GPU is lost"),
    ],
)
def test_gpu_that_disappears_stops_the_run_and_costs_no_cell(
    faulty, fake_nvml, out, monkeypatch, no_children_left, framework, isolate, why
):
    fake_nvml.installed(monkeypatch)
    cells = plan(framework, [1, 2, 4, 8, 16])
    summary = collect(cells, out, device="cuda", isolate=isolate)
    assert summary.stopped_by == f"a lost device ({why})"
    assert "run again to go on" in str(summary)
    assert "\n" not in str(summary)
    assert (summary.failed, summary.remaining) == (0, 5 - summary.measured)
    assert 4 not in by_batch_size(out)
    before = out.read_bytes()
    fake_nvml.installed(monkeypatch)
    monkeypatch.setitem(faulty.FRAMEWORKS, framework, Fake)  # the GPU is back
    summary = collect(cells, out, device="cuda", isolate=False)
    assert (summary.failed, summary.remaining) == (0, 0)
    assert {one.status for one in read(out)} == {"ok"}
    assert out.read_bytes().startswith(before)


def test_gpu_that_disappears_while_its_cell_hangs_stops_the_run(faulty, fake_nvml, out, monkeypatch, no_children_left):
    nvml = fake_nvml.installed(monkeypatch)
    lose = lambda done, planned, now: nvml.lose()  # noqa: E731
    summary = collect(plan("hanging", [4], limit_s=0.2), out, device="cuda", on_progress=lose)
    assert summary.stopped_by == "a lost device (NVML: GPU is lost)"
    assert read(out) == []


def test_another_gpu_in_its_place_stops_the_run(faulty, fake_nvml, out, monkeypatch):
    nvml = fake_nvml.installed(monkeypatch)
    swap = lambda done, planned, now: nvml.answers.update(Name="Another")  # noqa: E731
    summary = collect(plan("raising", [4]), out, device="cuda", isolate=False, on_progress=swap)
    assert summary.stopped_by == "a lost device (Another in place of NVIDIA Fake)"


def test_failure_on_a_gpu_that_is_there_is_the_cells_own(faulty, fake_nvml, out, monkeypatch):
    fake_nvml.installed(monkeypatch)
    collect(plan("raising", [1, 4]), out, device="cuda", isolate=False)
    assert {size: one.status for size, one in by_batch_size(out).items()} == {1: "ok", 4: "crashed"}


@pytest.mark.parametrize(("framework", "status"), [("raising", "crashed"), ("choosy", "unsupported")])
def test_faults_in_process(faulty, out, framework, status):
    collect(plan(framework, [1, 4, 16]), out, isolate=False)
    assert {size: one.status for size, one in by_batch_size(out).items()} == {1: "ok", 4: status, 16: "ok"}


def test_kill_by_the_kernel_for_lack_of_memory_is_told_from_others(faulty, out, monkeypatch):
    counts = iter(range(100))
    monkeypatch.setattr(worker_pool, "_oom_kills", lambda: next(counts))
    collect(plan("killed"), out)
    assert by_batch_size(out)[4].status == "out-of-memory"


def test_what_a_library_prints_corrupts_nothing(faulty, out, capfd):
    assert collect(plan("chatty"), out).measured == 3
    assert capfd.readouterr() == ("", "")


def test_cells_of_a_group_share_a_process_and_groups_do_not(faulty, out):
    collect(plan("telling", [1, 2, 4], layers=[2, 3, 4]), out)
    processes = {}
    for one in read(out):
        processes.setdefault(group(one.cell), set()).add(one.environment["framework_version"].split()[0])
    assert len(processes) == 3
    assert all(len(found) == 1 for found in processes.values())
    assert len(set.union(*processes.values())) == 3


def test_every_repeat_has_a_server_of_its_own_and_nothing_heavy_in_it(faulty, out):
    collect(plan("telling", [1, 2], layers=[2, 3], repeats=3), out)
    told = [(one.cell.repeat, *one.environment["framework_version"].split(" ")) for one in read(out)]
    servers = {(repeat, server) for repeat, _, server, *_ in told}
    assert len(servers) == len({server for _, server in servers}) == 3
    assert {heavy for *_, heavy, _ in told} == {""}


def test_importing_in_a_server_leaves_its_workers_the_gpu(faulty, out):
    collect(plan("telling", [1]), out)
    (one,) = read(out)
    assert one.environment["framework_version"].split(" ")[4] == "1"  # torch asks NVML, which survives a fork


def test_threads_and_affinity_are_those_of_the_cell(faulty, out):
    allowed = sorted(os.sched_getaffinity(0))
    collect(plan("telling", [1], threads=(1, len(allowed))), out)
    for one in read(out):
        assert one.environment["affinity"] == allowed[: one.cell.threads]
        assert one.environment["framework_version"].split()[2] == str(one.cell.threads)
    assert sorted(os.sched_getaffinity(0)) == allowed


def test_more_threads_than_cores_are_unsupported(out):
    cores = detect("cpu").cores
    collect(plan(batch_size=[1], threads=(cores + 1,)), out)
    assert by_batch_size(out)[1].reason == f"{cores + 1} threads on {cores} cores"


def test_runner_blocks_while_a_worker_is_busy(faulty, out):
    begin, busy = time.monotonic(), time.process_time()
    collect(plan("hanging", [4], limit_s=1.0), out)
    assert time.process_time() - busy < 0.5 * (time.monotonic() - begin)


def test_budget_begins_no_cell_that_would_pass_it(out):
    summary = collect(plan(), out, budget_s=0.5, isolate=False)  # the protocol's second is the first guess
    assert summary == Summary(planned=3, done_before=0, stopped_by="budget")
    assert collect(plan(), out, budget_s=60).remaining == 0


def test_budget_ends_a_cell_that_passes_it_and_keeps_the_rest(faulty, out, no_children_left):
    hung = plan("hanging", [4], cell_s=0.1)
    begin = time.monotonic()
    summary = collect(hung, out, budget_s=1.0)
    assert time.monotonic() - begin < 30
    assert (summary.stopped_by, summary.measured, summary.failed, summary.remaining) == ("budget", 0, 0, 1)
    assert read(out) == []


def test_budget_ends_a_server_that_is_still_starting(out, monkeypatch, no_children_left):
    monkeypatch.setattr(worker_pool, "ENTRY", "import signal; signal.pause()")
    assert collect(plan(cell_s=0.01), out, budget_s=0.5).stopped_by == "budget"


def test_server_that_keeps_its_workers_waiting_is_no_server(out, monkeypatch, no_children_left):
    monkeypatch.setattr(worker_pool, "ENTRY", "import signal; signal.pause()")
    monkeypatch.setattr(worker_pool, "START_S", 0.3)
    with pytest.raises(MissingError, match=r"none within 0\.3 s"):
        collect(plan(), out)


def test_few_servers_are_kept(faulty, out, monkeypatch):
    monkeypatch.setattr(worker_pool, "SERVERS", 2)
    kept = []
    tell = lambda *_: kept.append(len(psutil.Process().children()))  # noqa: E731
    collect(plan("telling", [1], layers=[2, 3], repeats=4), out, on_progress=tell)
    assert len(read(out)) == 8
    assert max(kept) == 2


def test_pace_learns_from_the_group_first():
    pace = runner.Pace(1.0)
    one, two, other = plan(batch_size=[1, 2]).cells(detect("cpu"))[:2] + plan(layers=[3]).cells(detect("cpu"))[:1]
    assert pace.expected_s(one) == 1.0
    pace.note(one, 4.0)
    pace.note(other, 2.0)
    assert pace.expected_s(two) == 4.0
    assert pace.expected_s(plan(layers=[9]).cells(detect("cpu"))[0]) == 3.0


def test_progress_tells_every_cell_and_the_end(out):
    told = []
    collect(plan(), out, isolate=False, on_progress=lambda *what: told.append(what))
    assert [(done, planned) for done, planned, _ in told] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert all("toy" in now and "batch" in now and "fake" in now for *_, now in told[:-1])
    assert told[-1][2] == "done"


def test_features_are_handed_from_one_framework_to_the_next(out, monkeypatch):
    handed = []
    measure = worker_pool.InProcess.measure

    def spy(self, cell, *, features):
        handed.append(features)
        return measure(self, cell, features=features)

    monkeypatch.setattr(worker_pool.InProcess, "measure", spy)
    collect(plan(batch_size=[2], repeats=2), out, isolate=False)
    assert handed[0] is None
    assert handed[1] == read(out)[0].features


def test_output_that_takes_no_more_stops_the_run(out, monkeypatch, no_children_left):
    write = Writer.write

    def full(self, measurement):
        if len(self.done) == 2:
            raise DataError("the output can be written", "no space left", "make room")
        write(self, measurement)

    monkeypatch.setattr(Writer, "write", full)
    with pytest.raises(DataError, match="no space left"):
        collect(plan(), out)
    monkeypatch.undo()
    assert collect(plan(), out) == Summary(planned=3, done_before=2, measured=1)


@pytest.mark.parametrize("budget_s", [0, -1, math.nan])
def test_budget_that_is_none_is_refused(out, budget_s):
    with pytest.raises(InputError, match="budget"):
        collect(plan(), out, budget_s=budget_s)


def test_refusals_write_nothing(out, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="plan is one of"):
        collect("nosuch", out)
    with pytest.raises(InputError, match="device kind"):
        collect(plan(), out, device="tpu")
    assert not out.exists()
    with pytest.raises(DataError):
        collect(plan(), tmp_path / "nosuch" / "out.jsonl")


@pytest.mark.parametrize("isolate", [True, False])
def test_cells_of_a_framework_that_is_not_here_are_unsupported(out, monkeypatch, faulty, isolate):
    monkeypatch.setattr(Fake, "preload", ("nosuchpackage",))
    both = Plan("both", (*plan().grids, *plan("choosy", [1, 2]).grids))
    assert list(runner.missing(both)) == ["fake"]
    summary = collect(both, out, isolate=isolate)
    assert (summary.measured, summary.failed, summary.remaining) == (2, 3, 0)
    for one in read(out):
        assert one.status == ("unsupported" if one.cell.framework == "fake" else "ok")
        assert one.status == "ok" or "the Python package 'nosuchpackage'" in one.reason


def test_worker_that_does_not_start_is_one_line(out, monkeypatch, no_children_left):
    monkeypatch.setattr(worker_pool, "ENTRY", "import nosuchmodule")
    with pytest.raises(MissingError, match="No module named 'nosuchmodule'") as caught:
        collect(plan(), out)
    assert isinstance(caught.value, FtaxError)
    assert "\n" not in str(caught.value)


def test_preload_that_fails_is_left_to_the_cells(out, monkeypatch, tmp_path):
    (tmp_path / "broken_library.py").write_text("raise OSError('no such library')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(Fake, "preload", ("broken_library",))
    assert collect(plan(), out).measured == 3


def test_reason_is_one_short_line(out, faulty, monkeypatch):
    monkeypatch.setattr(faulty.Raising, "fault", lambda self: {}["\x1b[31mred\x1b[0m\n" * 1_000])
    collect(plan("raising", [4]), out, isolate=False)
    reason = read(out)[0].reason
    assert len(reason) <= REASON_LENGTH
    assert "\n" not in reason
    assert "\x1b" not in reason


SCRIPT = """
import json, sys
from ftax_model.collection.runner import collect
tell = lambda *what: print(*what, flush=True)
summary = collect("toy", sys.argv[1], isolate=sys.argv[2] == "isolated", on_progress=tell)
print(json.dumps(summary.to_record()), flush=True)
"""


def started(out, how="isolated"):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(out), how], stdout=subprocess.PIPE, text=True)


def wait_for_cells(process, count):
    """Read the progress until so many cells are done."""
    for line in process.stdout:
        if int(line.split()[0]) >= count:
            return
    raise AssertionError("it ended too early")


@pytest.mark.parametrize("count", [0, 61, 199])
def test_killed_at_any_moment_it_goes_on_and_leaves_no_process(out, count):
    process = started(out)
    wait_for_cells(process, count)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert all(one.status() == psutil.STATUS_ZOMBIE for one in alive)  # of whom init has not yet taken note
    before = out.read_bytes()
    summary = collect("toy", out, isolate=False)
    assert (summary.planned, summary.remaining, summary.failed) == (200, 0, 0)
    assert summary.done_before >= count
    keys = [json.loads(line)["key"] for line in out.read_text().splitlines()]
    assert sorted(keys) == sorted(cell.key for cell in load_plan("toy").cells(detect("cpu")))
    assert out.read_bytes().startswith(before.rpartition(b"\n")[0])


@pytest.mark.parametrize(("how", "number"), [("isolated", signal.SIGINT), ("in-process", signal.SIGTERM)])
def test_signal_stops_cleanly_and_loses_nothing(out, how, number):
    process = started(out, how)
    wait_for_cells(process, 20)
    process.send_signal(number)
    rest, _ = process.communicate()
    summary = json.loads(rest.splitlines()[-1])
    assert process.returncode == 0
    assert summary["stopped_by"] == number.name
    assert summary["measured"] >= 20
    assert summary["remaining"] == 200 - summary["measured"] == 200 - len(read(out))
    assert collect("toy", out, isolate=False).remaining == 0


def test_signal_during_a_hung_cell_is_heeded_at_once(faulty, out, no_children_left):
    def interrupt(done, planned, now):
        signal.setitimer(signal.ITIMER_REAL, 0.3)

    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        summary = collect(plan("hanging", [4]), out, on_progress=interrupt)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert (summary.stopped_by, summary.remaining) == ("SIGTERM", 1)


def test_second_signal_acts_as_usual():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        with worker_pool.Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupts.name == "SIGINT"
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_summary_says_what_there_is_to_say():
    assert str(Summary(3, 0, 3)) == "3 cells measured"
    text = str(Summary(10, 2, 3, 1, "budget"))
    assert text == "3 cells measured, 1 failed, 2 done before, 4 of 10 remain, stopped by budget: run again to go on"
    assert Summary(10, 2, 3, 1, "budget").to_record()["remaining"] == 4


def profiles(out):
    return {profile.cell.workload.batch_size: profile for profile in read(operators_file(out), Profile)}


@pytest.mark.parametrize("isolate", [True, False])
def test_operators_of_every_cell_are_profiled_once_and_follow_the_law(out, isolate, no_children_left):
    summary = collect(plan(layers=(2, 3)), out, isolate=isolate, operators=True)
    assert (summary.measured, summary.operators) == (6, Summary(planned=6, done_before=0, measured=6))
    assert [one.cell.key for one in read(out)] == [one.cell.key for one in read(operators_file(out), Profile)]
    for profile in read(operators_file(out), Profile):
        assert len(profile.timings) == profile.cell.workload.settings["num_layers"]
        assert [timing.operator.layer for timing in profile.timings] == [str(n) for n in range(len(profile.timings))]
        assert profile.unmatched == 0
        assert profile.environment["seed"] == 0
        assert (profile.profiled_s - profile.latency_s) / profile.events == pytest.approx(Fake.profiler_s_per_event)
        for timing in profile.timings:
            assert timing.host_s == pytest.approx(Fake.overhead_s_per_op + Fake.profiler_s_per_event, rel=0.04)
    frame = load_operators(out)
    assert list(frame["count"]) == [one.cell.workload.settings["num_layers"] for one in read(out)]


def test_operators_are_none_unless_asked_for(out):
    assert collect(plan(), out, isolate=False).operators is None
    assert not operators_file(out).exists()


def test_operators_of_what_was_measured_before_are_profiled_and_then_no_more(out):
    collect(plan(batch_size=[1, 2]), out)
    before = out.read_bytes()
    summary = collect(plan(batch_size=[1, 2]), out, operators=True)
    assert out.read_bytes() == before
    assert (summary.done_before, summary.operators.measured) == (2, 2)
    again = collect(plan(batch_size=[1, 2, 4]), out, operators=True)
    assert (again.measured, again.operators.done_before, again.operators.measured) == (1, 2, 1)


def test_operators_are_profiled_for_the_first_repeat_in_processes_of_their_own(faulty, out):
    summary = collect(plan("telling", [1, 2], layers=[2, 3], repeats=2), out, operators=True)
    assert (summary.measured, summary.operators.measured) == (8, 4)

    def processes(records):
        return {(group(one.cell), one.environment["framework_version"].split(" ")[0]) for one in records}

    timed, profiled = processes(read(out)), processes(read(operators_file(out), Profile))
    assert {one.repeat for one, _ in profiled} == {0}
    assert (len(timed), len(profiled)) == (4, 2)
    assert len({process for _, process in timed | profiled}) == 6
    heavy = {one.environment["framework_version"].split(" ")[3] for one in read(operators_file(out), Profile)}
    assert heavy == {""}


@pytest.mark.parametrize(
    ("framework", "status", "reason"),
    [
        ("profile-killed", "crashed", "killed by SIGKILL"),
        ("profile-hanging", "timeout", "took longer than 0.2 s"),
        ("profile-raising", "crashed", "ValueError: no events"),
    ],
)
def test_fault_of_a_profile_costs_that_profile_alone(faulty, out, framework, status, reason, no_children_left):
    summary = collect(plan(framework, [1, 4, 16], limit_s=0.2 if status == "timeout" else 60), out, operators=True)
    assert (summary.measured, summary.failed) == (3, 0)
    assert (summary.operators.measured, summary.operators.failed) == (2, 1)
    found = profiles(out)
    assert (found[4].status, found[4].reason, found[4].timings) == (status, reason, ())
    assert {found[size].status for size in (1, 16)} == {"ok"}
    assert collect(plan(framework, [1, 4, 16]), out, operators=True).operators.done_before == 3


@pytest.mark.parametrize(
    ("framework", "status", "reason"),
    [
        ("silent", "unsupported", "none of the 2 operators of the trace was dispatched"),
        ("raising", "crashed", "so ended its measurement"),
        ("choosy", "unsupported", "so ended its measurement"),
    ],
)
def test_what_cannot_be_profiled_says_so(faulty, out, framework, status, reason):
    collect(plan(framework, [4]), out, isolate=False, operators=True)
    assert (profiles(out)[4].status, profiles(out)[4].reason) == (status, reason)


def test_framework_that_is_never_profiled_leaves_no_profile(faulty, out):
    summary = collect(plan("closed", [4]), out, isolate=False, operators=True)
    assert (summary.measured, summary.operators) == (1, Summary(planned=0, done_before=0))
    assert read(operators_file(out), Profile) == []


def test_run_that_is_stopped_profiles_no_more(out):
    summary = collect(plan(), out, budget_s=0.5, isolate=False, operators=True)
    assert summary.operators == Summary(planned=3, done_before=0, stopped_by="budget")
    assert summary.to_record()["operators"]["remaining"] == 3
    assert collect(plan(), out, budget_s=60, operators=True).operators.remaining == 0


def test_summary_tells_of_operators_behind_a_semicolon():
    summary = Summary(3, 0, 3, operators=Summary(3, 1, 1, 1))
    assert str(summary) == "3 cells measured; operators: 1 cells measured, 1 failed, 1 done before"
