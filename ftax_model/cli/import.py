"""``ftax import``: a table that others measured in, a dataset out."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _options, _print


@click.command("import", short_help="Bring a table that others measured into a dataset.")
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "--map", "columns", multiple=True, required=True, help="A known layout, or NAME=COLUMN[:UNIT]; repeatable."
)
@click.option("--set", "constants", multiple=True, help="NAME=VALUE of what is the same in all rows; again.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Dataset to append to.")
@click.option("--trace", is_flag=True, help="Attach traces to models of ours, by name, so that they can be fitted.")
@click.option(
    "--traces", type=click.Path(path_type=Path), help="Attach those of a file: JSON Lines of model and operators."
)
@click.option(
    "--module", "modules", multiple=True, metavar="NAME=PACKAGE:FUNCTION", help="Trace what FUNCTION() builds; again."
)
@_options.as_json
def command(
    table: Path,
    columns: tuple[str, ...],
    constants: tuple[str, ...],
    out: Path,
    trace: bool,
    traces: Path | None,
    modules: tuple[str, ...],
    as_json: bool,
) -> None:
    """Append the rows of TABLE (CSV or JSON) to a dataset.

        ftax import timm.csv --map timm --set device=nvidia-l4 --out timm.jsonl

    Known layouts: timm (its benchmark CSV), optimum-benchmark (benchmark.json). Of any other table say which column is
    which, with units: --map latency_s=time:ms --map macs=gmacs:G/sample --set device=rtx-3090. A dataset needs model,
    framework, device, dtype, batch_size and latency_s; all or nothing is written.

    Rows with a trace can be fitted by operators and bytes; others by what the table counts, MACs at least. FUNCTION()
    of --module is your own code: it returns an nn.Module and the inputs of one call by name.
    """
    from ftax_model import dataset
    from ftax_model.errors import DataError
    from ftax_model.importer import parse_map, read_table

    found = read_table(table, parse_map(columns, constants))
    traced = None
    if trace or traces or modules:
        from ftax_model.tracing.attach import attach, of_module, read_traces

        given = {**(read_traces(traces) if traces else {}), **dict(map(of_module, modules))}
        with _print.working("tracing"):
            found, why = attach(found, given, ours=trace)
        for name, reason in list(why.items())[:_MOST]:
            _print.say(f"note: {name} has no trace: {reason}", err=True)
        if len(why) > _MOST:
            _print.say(f"note: and {len(why) - _MOST} more models have none", err=True)
        traced = sum("n_ops" in one.features for one in found)
    with dataset.Writer(out) as writer:
        twice = [one.cell.key for one in found if one.cell.key in writer.done]
        if twice:
            got = f"{len(twice)} rows of {table} again, the first {twice[0]}"
            raise DataError("a key is unique in a dataset", got, "choose another output")
        for one in found:
            writer.write(one)
    if as_json:
        _print.as_json({"rows": len(found), "out": str(out)} | ({} if traced is None else {"traced": traced}))
    else:
        said = "" if traced is None else f", {traced} of them traced"
        _print.say(f"{len(found)} rows of {table} written to {out}{said}")


_MOST = 10  # models that notes name
