"""``ftax predict``: latency with an interval, regime and crossover of any model, and which framework is best."""

from __future__ import annotations

from typing import Any

import click

from ftax_model.cli import EXIT_NO, _options, _print


@click.command(
    "predict",
    short_help="Latency with an interval, regime and crossover; the best framework for each batch size.",
    cls=_options.ModelCommand,
)
@_options.workload_options
@click.option("--slo", metavar="10ms", help="A latency to keep: the largest batch and highest throughput inside it.")
@click.option("--confidence", type=float, default=0.9, show_default=True, help="With which --slo is kept.")
@click.option("--check", is_flag=True, help="Exit with 1 where no framework keeps --slo.")
@click.option("--explain", is_flag=True, help="Where time goes, by layer and by kind of operator.")
@click.option("--top", type=click.IntRange(1), default=8, show_default=True, help="Rows of --explain.")
@click.option("--all", "everything", is_flag=True, help="A row for each batch size on every platform that matches.")
@click.option("--strict", is_flag=True, help="Refuse workloads far outside what was measured.")
@click.option("--memory", is_flag=True, help="Peak memory of the process beside it, with an interval.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table: a row a prediction, all columns.")
@_options.as_json
def command(
    words: tuple[str, ...],
    slo: str | None,
    confidence: float,
    check: bool,
    explain: bool,
    top: int,
    everything: bool,
    strict: bool,
    memory: bool,
    as_csv: bool,
    as_json: bool,
    **asked: Any,
) -> int:
    """Predict latency with MODEL, a file that `ftax fit` wrote; else with this machine's own, or the one that ships.

    Hyperparameters are options of their own:

        ftax predict --architecture bert --num-layers 4 --slo 10ms
    """
    from ftax_model.advice.decision import decide, within
    from ftax_model.advice.parts import parts
    from ftax_model.advice.place import place
    from ftax_model.cli import _decision

    slo_s = _options.latency(slo)
    if slo_s is None and check:
        raise click.UsageError("--check is of a latency to keep: give --slo 10ms")
    if everything:
        found = _options.predict(words, asked, strict=strict, memory=memory)
        _decision.rows(found, as_csv=as_csv, as_json=as_json)
        return 0
    question = _options.question(words, asked)
    answers = []
    for model in question.models:
        here = place(question.predictor, dtype=model.dtype, **question.place)
        own: dict[str, Any] = {"framework": question.framework, "batch_sizes": question.sizes}
        kept = told = None
        with _print.working(f"predicting {model.label}"):
            decision = decide(question.predictor, model, here, strict=strict, memory=memory, **own)
            if slo_s is not None:
                kept = within(question.predictor, model, here, slo_s=slo_s, confidence=confidence, **own)
            if explain:
                best = {name: decision.best()[name] for name in ("framework", "batch_size")}
                told = parts(question.predictor, model, here, **best)
        answers.append(_decision.Answer(decision, kept, told))
    _decision.show(answers, question.notes, slo_s=slo_s, confidence=confidence, top=top, as_csv=as_csv, as_json=as_json)
    return EXIT_NO if check and not all(one.keeps for one in answers) else 0
