# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles distill``: short sentences on the entities of each report."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radbundles.cli.app import app

if TYPE_CHECKING:
    from radbundles.components.distillation import Distiller
    from radbundles.components.distillation.chat import ChatModel

_ANY = "Any language model"
_SERVER = "A server (--backend openai)"
_LOCAL = "A model in this process (--backend transformers)"


class Backend(str, Enum):
    """Who distills."""

    rules = "rules"
    openai = "openai"
    transformers = "transformers"


# Options that only some backends know; given to another they would be ignored in silence.
_OF_MODELS = ("model", "prompt", "attempts", "max_tokens", "cache", "retry_failed")
_OF = {
    Backend.rules: (),
    Backend.openai: (*_OF_MODELS, "base_url", "concurrency", "timeout", "retries", "api_key_variable", "allow_remote"),
    Backend.transformers: (*_OF_MODELS, "batch_size", "device"),
}


@app.command()
def distill(
    context: typer.Context,
    datalist: Annotated[Path, typer.Argument(metavar="DATALIST", help="JSON or JSON Lines datalist with reports.")],
    out: Annotated[Path | None, typer.Option(help="JSON Lines file to write.")] = None,
    entities: Annotated[
        str | None, typer.Option(help="Entity list: chest, fundus or a JSON file; by default chest, or the prompt's.")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="Who distills.")] = Backend.rules,
    evaluate: Annotated[
        Path | None,
        typer.Option(metavar="LABELS", help="Distill only the reports that are labeled here, and score the result."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Name that the server knows, or folder of a transformers model.", rich_help_panel=_ANY),
    ] = None,
    prompt: Annotated[
        str, typer.Option(help="Prompt: chest, fundus or a JSON file, in any language.", rich_help_panel=_ANY)
    ] = "chest",
    attempts: Annotated[
        int, typer.Option(min=1, help="Replies asked for until one is faultless.", rich_help_panel=_ANY)
    ] = 3,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest reply.", rich_help_panel=_ANY)] = 1024,
    cache: Annotated[
        Path | None,
        typer.Option(help="File of answers, by default OUT.answers.sqlite; may serve many jobs.", rich_help_panel=_ANY),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again where an earlier run failed.", rich_help_panel=_ANY)
    ] = False,
    base_url: Annotated[
        str, typer.Option(help="Address of the server.", rich_help_panel=_SERVER)
    ] = "http://127.0.0.1:8000/v1",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time.", rich_help_panel=_SERVER)] = 8,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for a reply.", rich_help_panel=_SERVER)] = 120.0,
    retries: Annotated[
        int, typer.Option(min=0, help="Repetitions of a request that got no reply.", rich_help_panel=_SERVER)
    ] = 8,
    api_key_variable: Annotated[
        str, typer.Option(help="Environment variable that holds the key.", rich_help_panel=_SERVER)
    ] = "OPENAI_API_KEY",
    allow_remote: Annotated[
        bool,
        typer.Option(
            "--allow-remote", help="Let report text leave this machine for the address given.", rich_help_panel=_SERVER
        ),
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Reports at a time.", rich_help_panel=_LOCAL)] = 8,
    device: Annotated[str | None, typer.Option(help="Such as cpu or cuda:0.", rich_help_panel=_LOCAL)] = None,
) -> None:
    """Distill each report into "There is X.", "There may be X." and "There is no X.".

    With a language model, a job that was killed goes on where it was when the same command is given again.

    Exit code 0: all rows done; 1: some rows failed and are listed beside the output; 2: nothing could be done, or the
    language model went away before the end.
    """
    from tqdm import tqdm

    from radbundles.components.distillation import (
        count_items,
        distill_datalist,
        find_labeled_items,
        judge_distilled,
        read_labels,
    )
    from radbundles.components.distillation.chat import ChatUnavailableError

    _refuse_options_of_others(context, backend)
    if out is None and evaluate is None:
        raise typer.BadParameter("say where to write with --out, or what to compare with by --evaluate")
    settings: dict[str, Any] = {}
    if backend is not Backend.rules:
        settings = {"cache": cache, "retry_failed": retry_failed}
    try:
        labels = None if evaluate is None else read_labels(evaluate)
        only = None if labels is None else {item.id for item in find_labeled_items(labels, datalist).values()}
        with _target(out) as target, _distiller(context.params) as distiller:
            # On stderr, and only for a terminal.
            total = count_items(datalist) if sys.stderr.isatty() else None
            with tqdm(total=total, unit=" reports", disable=None, smoothing=0.05) as bar:
                summary = distill_datalist(datalist, target, distiller, progress=bar.update, only=only, **settings)
            if labels is not None:
                summary["quality"] = judge_distilled(labels, target, datalist)
    except ChatUnavailableError as error:
        typer.secho(f"stopped: {error}", fg="red", err=True)
        if out is not None or cache is not None:
            typer.echo("What was answered so far is kept; give the same command again to go on.", err=True)
        else:
            typer.echo("No answer is kept without --out or --cache.", err=True)
        raise typer.Exit(2) from None
    except (OSError, ValueError, ImportError) as error:
        raise typer.BadParameter(str(error)) from error
    if out is None:
        summary |= {"out": None, "failures_out": None}
        if "cache" in summary and cache is None:
            summary["cache"] = None
    typer.echo(json.dumps(summary, indent=4) if as_json else "\n".join(_lines(summary)))
    if summary["failures"]:
        where = "" if out is None else f", see {summary['failures_out']}"
        typer.secho(f"failed: {summary['failures']:,}{where}", fg="red", err=True)
        raise typer.Exit(1)


def _refuse_options_of_others(context: typer.Context, backend: Backend) -> None:
    for name in context.params:
        owners = [owner.value for owner, names in _OF.items() if name in names]
        source = context.get_parameter_source(name)
        if owners and backend.value not in owners and source is not None and source.name == "COMMANDLINE":
            flag = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{flag} is an option of --backend {' and '.join(owners)}, not of {backend.value}")


@contextmanager
def _target(out: Path | None) -> Iterator[Path]:
    """The file to write, or one that is gone afterwards."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "distilled.jsonl"


@contextmanager
def _distiller(options: dict[str, Any]) -> Iterator[Distiller]:
    from radbundles.components.distillation import LanguageModelDistiller, Prompt, RuleDistiller

    if options["backend"] is Backend.rules:
        yield RuleDistiller(options["entities"] or "chest")
        return
    prompt = Prompt.read(options["prompt"], options["entities"])
    with closing(_chat_model(options)) as model:
        yield LanguageModelDistiller(model, prompt, attempts=options["attempts"])


def _chat_model(options: dict[str, Any]) -> ChatModel:
    from radbundles.components.distillation import OpenAIChat, TransformersChat

    if options["backend"] is Backend.openai:
        return OpenAIChat(
            options["base_url"],
            options["model"],
            allow_remote=options["allow_remote"],
            api_key_variable=options["api_key_variable"],
            slots=options["concurrency"],
            timeout=options["timeout"],
            retries=options["retries"],
            max_tokens=options["max_tokens"],
        )
    if options["model"] is None:
        raise ValueError("--backend transformers needs --model: the folder of an instruction-tuned model")
    return TransformersChat(
        options["model"],
        device=options["device"],
        batch_size=options["batch_size"],
        max_new_tokens=options["max_tokens"],
    )


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    from radbundles.components.distillation import quality_lines

    where = "" if summary["out"] is None else f"{summary['out']}: "
    yield f"{where}{summary['reports']:,} reports, {summary['reports_per_second']:,.1f} a second"
    mix = ", ".join(f"{count:,} {name}" for name, count in summary["certainty"].items())
    yield f"{summary['sentences']:,} sentences: {mix}"
    yield f"without report: {summary['without_report']:,}, without entity: {summary['without_entity']:,}"
    if "asked" in summary:
        tokens = summary["tokens"]
        yield (
            f"asked: {summary['asked']:,} reports in {summary['requests']:,} requests, "
            f"from earlier answers: {summary['from_cache']:,}; "
            f"tokens: {tokens['prompt']:,} in, {tokens['completion']:,} out"
        )
        yield (
            f"rejected because the report does not hold them: {summary['rejected_spans']:,} quotes, "
            f"{summary['rejected_descriptors']:,} descriptors"
        )
    for reason, count in summary.get("failed_reasons", {}).items():
        yield f"failed, {reason}: {count:,}"
    if "quality" in summary:
        yield ""
        yield from quality_lines(summary["quality"])
