"""The reference in docs/: pages made of what the code says of itself – the commands' --help, the records' docstrings, the topic file's keys."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import itertools
import pkgutil
from typing import TYPE_CHECKING, Any

import click

import pipeline
from pipeline import records, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE = "<!-- made by scripts/build_docs.py: change the code that it is made of, then run `make docs` -->\n"
_WIDTH = 100
_FILES = (
    ("pages.parquet", "collect", records.Page),
    ("sections.parquet", "collect", records.Section),
    ("dropped_sections.parquet", "collect", records.DroppedSection),
    ("qa.parquet", "create_qa", records.QA),
    ("rejected.parquet", "create_qa", records.RejectedQA),
    ("examples.parquet", "train", records.Example),
    ("dropped_examples.parquet", "train", records.DroppedExample),
    ("reviewed_examples.parquet", "train", records.ReviewedExample),
)
_TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command of the package, in the order in which one needs them."""
    listed = importlib.import_module("pipeline.__main__").COMMANDS
    names = [name for name, _ in listed]
    found = {m.name for m in pkgutil.iter_modules(pipeline.__path__) if not m.ispkg and not m.name.startswith("_")}
    for name in names:
        yield name, importlib.import_module(f"pipeline.{name}").main.args[0]
    unlisted = sorted(name for name in found - set(names) if hasattr(importlib.import_module(f"pipeline.{name}"), "main"))
    if unlisted:
        raise SystemExit(f"error: a command is not listed – {unlisted[0]} – add it to pipeline/__main__.py")


def commands_page() -> str:
    """Return the page of all commands: what each says of itself with --help."""
    parts = [
        MADE,
        "# Commands\n",
        "What each command says with `--help`. Every flag can also be set in the environment: `--max-pages` as `PIPELINE_MAX_PAGES`; `--model` and `--file` of",
        "`train` are `PIPELINE_TRAIN_MODEL` and `PIPELINE_TRAIN_FILE`. Those of `collect` may stand in the [topic file](topic-file.md), too. A flag goes before",
        "the environment, that before the topic file. Exit codes: 0 done, 1 an error that is said in a sentence, 2 a flag that was not understood, 130",
        "interrupted (what was done is kept, the same command goes on). Keys are read from `OPENAI_API_KEY` alone and are written nowhere.\n",
    ]
    for name, command in commands():
        context = click.Context(command, info_name=f"python -m pipeline.{name}", terminal_width=_WIDTH, **command.context_settings)
        parts += [f"## {name}\n", "```text", *(line.rstrip() for line in command.get_help(context).splitlines()), "```\n"]
    return "\n".join(parts)


def field_docs(record: type) -> dict[str, str]:
    """Return what stands under each field of a record, as one line."""
    [made] = ast.parse(inspect.getsource(record)).body
    assert isinstance(made, ast.ClassDef)
    found = {}
    for field, doc in itertools.pairwise(made.body):
        match field, doc:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _type(annotation: Any) -> str:
    name = str(annotation)
    return _TYPES[name.removesuffix(" | None")] + (", or empty" if "None" in name else "")


def tables_page() -> str:
    """Return the page of the tables of a run folder: every column with its type and what it means."""
    parts = [
        MADE,
        "# Tables of a run folder\n",
        "Parquet files, a row a record, columns in this order. Ids depend on what a row is made of and on nothing else, so the same content has the",
        "same id in every run. What else is in a run folder: [run-folder.md](run-folder.md).\n",
    ]
    for name, stage, record in _FILES:
        docs, columns = field_docs(record), dataclasses.fields(record)
        parts += [f"## {name}\n", f"From `{stage}`. {inspect.getdoc(record)}\n", "| column | type | what it is |", "|---|---|---|"]
        parts += [f"| `{column.name}` | {_type(column.type)} | {_cell(docs[column.name])} |" for column in columns]
        parts.append("")
    return "\n".join(parts)


def topic_page() -> str:
    """Return the page of the topic file: every key with its type, default and meaning, and the shipped file."""
    docs = field_docs(settings.Topic)
    parts = [
        MADE,
        "# The topic file\n",
        "What `collect` collects, in TOML. `name` and `seeds` (or `categories`) are enough; a key that is not known is an error that names it.\n",
        "| key | default | what it is |",
        "|---|---|---|",
    ]
    parts += [f"| `{column.name}` | {_default(column)} | {_cell(docs[column.name])} |" for column in dataclasses.fields(settings.Topic)]
    shipped = settings.bundled("topics", "olympics-2020.toml").read_text("utf-8")
    return "\n".join([*parts, "", "The one that is shipped, `data/topics/olympics-2020.toml`:\n", "```toml", shipped.rstrip(), "```", ""])


def _default(column: dataclasses.Field[Any]) -> str:
    if column.default is dataclasses.MISSING:
        return "must be given" if column.default_factory is dataclasses.MISSING else "none"
    value = column.default
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
