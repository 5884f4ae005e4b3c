"""The comparison with torch's Timer, on two cells."""

import json

import pytest


@pytest.mark.slow
def test_both_clocks_read_the_same_cell(script, capsys):
    import torch

    bench, threads = script("bench_clock"), torch.get_num_threads()
    assert len(bench.CELLS) == 20
    try:
        assert bench.main(["--cells", "2", "--turns", "1", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert bench.main(["--cells", "1", "--turns", "1"]) == 0
    finally:
        torch.set_num_threads(threads)
    assert len(found["cells"]) == 2
    for row in found["cells"]:
        assert row["ratio"] == row["latency_s"] / row["timer_s"]
        assert 0.01 < row["ratio"] < 100  # the same unit and the same call, whatever the load
    text = capsys.readouterr().out
    assert text.splitlines()[-1].startswith("median ratio")
