"""Every setting, once: its default, its flag, its help, and the topic file.

The order is default < topic file's [settings] < PIPELINE_* in the environment < flag (click's own
order of default_map, envvar and command line). A flag `--max-pages` reads PIPELINE_MAX_PAGES.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import click

from pipeline.errors import InputError
from pipeline.records import SPLITS

CHECKOUT = Path(__file__).resolve().parent.parent
ENV_PREFIX = "PIPELINE"
EMBEDDED_MODEL = "embedded"
USER_AGENT_NAME = "abstention-pipeline"
RUN_FOLDER = Path("data/run")


class Finite(click.FloatRange):
    """A range that `nan` is not in: every comparison with it is false, so click lets it pass, as a cap that caps nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fail as click does."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def _filled(_ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty name: a shell variable that was not set would mean something else than what it stands for."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty", param=param)
    return value


def _path_named(_ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """Return a path; refuse an empty one, which would be the folder that one stands in."""
    filled = _filled(_ctx, param, value)
    return None if filled is None else Path(filled)


def bundled(*parts: str) -> Path:
    """Return the path of a file of `data/`: in a checkout beside the package, in a wheel inside it."""
    beside = CHECKOUT.joinpath("data", *parts)
    return beside if beside.exists() else Path(str(resources.files("pipeline"))).joinpath("bundled", *parts)


@dataclass(frozen=True, slots=True)
class Topic:
    """What to collect: seeds, filters, and which sections count. One TOML file each."""

    name: str
    """what the topic is called"""
    language: str = "en"
    """of the wiki, as in its address: en, de, zh-yue"""
    seeds: tuple[str, ...] = ()
    """titles of the pages to begin with; from there over links"""
    title_contains: tuple[str, ...] = ()
    """a page is collected if its title contains each of these, in any case"""
    title_excludes: tuple[str, ...] = ()
    """regular expressions, none of which a title may match"""
    low_information: tuple[str, ...] = ("See also", "References", "External links", "Further reading", "Notes")
    """headings of sections that say nothing one could ask about, in any case"""
    min_tokens: int = 40
    """of the whole context: shorter sections are dropped"""
    max_tokens: int = 1500
    """of the whole context: longer sections are split at sentence ends"""
    settings: dict[str, object] = field(default_factory=dict)
    """defaults of flags, by the flag's name without its dashes"""
    title_matches: tuple[str, ...] = ()
    """regular expressions, one of which a title must match; none: any title"""
    categories: tuple[str, ...] = ()
    """categories whose members are seeds too, with or without their namespace's name"""
    category_depth: int = 0
    """how many levels of subcategories are seeds too"""
    facts: bool = False
    """whether a page's infobox becomes a section called Facts"""


def load_topic(path: Path) -> Topic:
    """Read a topic file.

    Raises InputError naming the key that is missing, unknown or of the wrong type.
    """
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except OSError as error:
        raise InputError("the topic file cannot be read", f"{path}: {error.strerror}", "name one with --topic") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("the topic file is not TOML", f"{path}: {error}", "mend that line") from error
    return Topic(**_checked(raw, path))


_TOPIC_TYPES: dict[str, type] = {
    "name": str, "language": str, "seeds": list, "title_contains": list, "title_excludes": list,
    "low_information": list, "min_tokens": int, "max_tokens": int, "settings": dict,
    "title_matches": list, "categories": list, "category_depth": int, "facts": bool,
}  # fmt: skip
_REQUIRED = ("name", "seeds")


def _checked(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    unknown = sorted(raw.keys() - _TOPIC_TYPES.keys())
    if unknown:
        raise InputError("the topic file has an unknown key", f"{path}: {unknown[0]}", f"known: {', '.join(_TOPIC_TYPES)}")
    for name, kind in _TOPIC_TYPES.items():
        if name not in raw:
            if name not in _REQUIRED or (name == "seeds" and raw.get("categories")):
                continue
            raise InputError("the topic file lacks a key", f"{path}: {name}", "see data/topics/olympics-2020.toml")
        value = raw[name]
        strings = not isinstance(value, list) or all(isinstance(item, str) for item in value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or not strings:
            raise InputError("a key of the topic file has the wrong type", f"{path}: {name}", f"it must be a {kind.__name__}")
    _check_values(raw, path)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}


def _check_values(raw: dict[str, Any], path: Path) -> None:
    """Raise InputError for values that would only fail in the middle of a crawl."""
    if not re.fullmatch(r"[a-z]{2,12}(-[a-z0-9]+)*", raw.get("language", "en")):
        raise InputError("a key of the topic file has no sense", f"{path}: language = {raw['language']!r}", 'write a code like "en"')
    if not [seed for seed in [*raw.get("seeds", ()), *raw.get("categories", ())] if seed.strip()]:
        raise InputError("a key of the topic file has no sense", f"{path}: seeds is empty", "name the pages to begin with, or categories")
    if raw.get("category_depth", 0) < 0:
        raise InputError("a key of the topic file has no sense", f"{path}: category_depth = {raw['category_depth']}", "write 0 or more")
    least, most = raw.get("min_tokens", 40), raw.get("max_tokens", 1500)
    if not 0 <= least < most:
        raise InputError("a key of the topic file has no sense", f"{path}: max_tokens = {most}", "it must be above min_tokens, and that 0 or more")
    for name in ("title_matches", "title_excludes"):
        for pattern in raw.get(name, ()):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError("a pattern of the topic file is none", f"{path}: {name}: {pattern!r}: {error}", "mend it") from error


def _use_topic_defaults(context: click.Context, _: click.Parameter, path: Path) -> Path:
    """Make the topic file's [settings] the defaults of the flags that come after (an eager option)."""
    known = {parameter.name for parameter in context.command.params}
    given = {name.replace("-", "_"): value for name, value in load_topic(path).settings.items()}
    unknown = sorted(given.keys() - known)
    if unknown:
        flags = ", ".join(sorted(name for name in known if name))
        raise InputError("the topic file sets what is no flag of this command", f"{path}: [settings] {unknown[0]}", f"known: {flags}")
    context.default_map = {**(context.default_map or {}), **given}
    return path


data = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), default=RUN_FOLDER, show_default=True,
    metavar="DIR", help="The run folder: every stage reads and writes there.",
)  # fmt: skip
force = click.option("--force", is_flag=True, help="Do this stage anew though it is finished. What the ledger holds is not paid for again.")
quiet = click.option("--quiet", is_flag=True, help="No progress and no summary; errors are still said.")
as_json = click.option(
    "--json", "as_json", envvar=f"{ENV_PREFIX}_JSON", is_flag=True, help="End with one line of JSON on stdout: counts, seconds, paths."
)
topic = click.option(
    "--topic", type=click.Path(path_type=Path, dir_okay=False), default=lambda: bundled("topics", "olympics-2020.toml"),
    show_default="the 2020 Summer Olympics", metavar="FILE", is_eager=True, callback=_use_topic_defaults,
    help="What to collect: seeds, title filters, dropped headings (TOML).",
)  # fmt: skip
source = click.option(
    "--source", type=click.Choice(["wikipedia", "sample", "csv"]), default="wikipedia", show_default=True,
    help="Where pages come from: a live wiki, the bundled sample, or a notebook's sections CSV.",
)  # fmt: skip
file = click.option(
    "--file", type=click.Path(path_type=Path), metavar="FILE",
    help="With --source csv: a CSV (also .gz) with the columns title, heading, content.",
)  # fmt: skip
api_url = click.option("--api-url", metavar="URL", help="api.php of another MediaWiki. Default: the Wikipedia of the topic's language.")
max_pages = click.option(
    "--max-pages", type=click.IntRange(min=1), metavar="N", help="Stop after N kept pages, nearest to the seeds first.  [default: all]"
)
contact = click.option("--contact", metavar="MAIL_OR_URL", help="How the wiki's operators reach you; sent with each request, as their rules ask.")
rate = click.option(
    "--rate", type=Finite(min=0, min_open=True), metavar="N",
    help="Requests a minute, at most.  [default: 200, as Wikimedia asks; none for a wiki on this machine]",
)  # fmt: skip
encoding = click.option("--encoding", default="cl100k_base", show_default=True, metavar="NAME", help="tiktoken encoding that counts tokens.")

import_csv = click.option(
    "--import", "import_csv", envvar=f"{ENV_PREFIX}_IMPORT", type=click.Path(path_type=Path), metavar="NOTEBOOK_CSV",
    help="Add numbered questions and answers from a CSV instead of asking a model.",
)  # fmt: skip
model = click.option("--model", metavar="NAME", help=f"The model to ask; '{EMBEDDED_MODEL}' is the small one that runs here without a key.")
base_url = click.option(
    "--base-url", metavar="URL", help="An OpenAI-compatible endpoint, ending in /v1.  [default: OPENAI_BASE_URL, or OpenAI's own]"
)
questions_per_section = click.option(
    "--questions-per-section", type=click.IntRange(1, 20), default=3, show_default=True, metavar="N",
    help="How many questions to ask for.",
)  # fmt: skip
style = click.option(
    "--style", type=click.Choice(["question-first", "answer-first"]),
    help="question-first: the model writes questions with answers and evidence. answer-first: spans of the section are the "
    "answers, the model writes a question for each and must find the answer again.  [default: answer-first for the "
    "embedded model, else question-first]",
)  # fmt: skip
round_trip = click.option(
    "--round-trip", type=Finite(0, 1), metavar="F1",
    help="Asked again with the context alone, the model's answer must reach this token F1; 0 switches the check off.  "
    "[default: 0.6 for answer-first, else 0]",
)  # fmt: skip
limit = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Ask about N sections only, drawn evenly over the pages.")
concurrency = click.option(
    "--concurrency", type=click.IntRange(1, 1024), default=64, show_default=True, metavar="N",
    help="Calls in flight, at most; how many of these the endpoint bears is found out.",
)  # fmt: skip
timeout = click.option(
    "--timeout", type=Finite(min=0, min_open=True), default=120.0, show_default=True, metavar="SECONDS",
    help="No call is waited for longer; one that takes far longer than the others is cut sooner, and sent again.",
)  # fmt: skip
max_cost = click.option(
    "--max-cost", type=Finite(min=0, min_open=True), metavar="USD",
    help="Send nothing any more once this call of the command has spent so much; what came is kept.",
)  # fmt: skip
max_total_tokens = click.option(
    "--max-total-tokens", type=click.IntRange(min=1), metavar="N", help="The same for tokens, in and out together."
)  # fmt: skip
prices = click.option(
    "--prices", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="A table of prices (TOML) that goes before the shipped one, which is pipeline/llm/prices.toml.",
)  # fmt: skip
batch = click.option(
    "--batch", is_flag=True,
    help="Send through the Batch API: half the price, within a day. The command waits; stopped, it goes on when it is run again.",
)  # fmt: skip
dry_run = click.option("--dry-run", is_flag=True, help="Say how many calls, tokens and US dollars it would take, and send nothing.")

trainer = click.option(
    "--trainer", type=click.Choice(["local", "openai", "none"]), default="local", show_default=True,
    help="local: train here. openai: have --model fine-tuned by OpenAI, or by whoever speaks its protocol at --base-url. none: write the files only.",
)  # fmt: skip
negatives = click.option(
    "--negatives", default="random=0.25,same_page=0.5,similar=1,altered_question=0.5,evidence_removed=0.5", show_default=True, metavar="KIND=N,...",
    help="How many of each kind of negative to make for each question (0.5: for every other one).",
)  # fmt: skip
verify = click.option(
    "--verify", type=click.Choice(["rules", "model", "none"]), default="rules", show_default=True,
    help="rules: a negative whose context holds the answer in any form, repeats or paraphrases the evidence, or nearly copies the true context, is dropped. "
    "model: then a model (--verifier) is asked on each that is left, and must decline.",
)  # fmt: skip
verifier = click.option(
    "--verifier", metavar="NAME", help=f"With --verify model: the model that is asked.  [default: '{EMBEDDED_MODEL}' where no key is set]"
)  # fmt: skip
review = click.option(
    "--review", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Apply what people said of rows: review.jsonl as the report's page exports it.",
)  # fmt: skip
audit = click.option(
    "--audit", type=click.FloatRange(0, 1, min_open=True), metavar="WIDTH",
    help="Draw a random sample of negatives to be read, as large as a 95 % interval of this width for the share of false ones asks for "
    "(0.05: five points, if a twentieth of them or fewer are false).",
)  # fmt: skip
compare = click.option(
    "--compare", type=click.Path(path_type=Path, file_okay=False), metavar="OTHER_RUN", help="Another run folder, to be put beside this one."
)
seed = click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Fixes whatever is drawn at random.")

context_file = click.option(
    "--context", "context_file", envvar=f"{ENV_PREFIX}_CONTEXT", type=click.Path(path_type=Path), metavar="FILE",
    help="Judge and answer from this text instead of searching the run's sections.",
)  # fmt: skip
threshold = click.option(
    "--threshold", type=Finite(0, 1), metavar="P",
    help="Answer only if the discriminator's probability reaches this.  [default: the one chosen on validation]",
)  # fmt: skip
top_k = click.option(
    "--candidates", "candidates", type=click.IntRange(1, 100), default=5, show_default=True, metavar="N",
    help="How many sections the search hands to the discriminator, at most.",
)  # fmt: skip
max_tokens = click.option(
    "--max-tokens", type=click.IntRange(min=1), default=1800, show_default=True, metavar="N",
    help="How many tokens these sections may have together (the first is taken in any case).",
)  # fmt: skip
discriminator = click.option(
    "--discriminator", callback=_filled, default="discriminator", show_default=True, metavar="NAME",
    help="The discriminator that decides: a name under models/, or a folder.",
)  # fmt: skip
qa_model = click.option(
    "--qa", callback=_filled, metavar="NAME",
    help=f"Have answers worded by this: '{EMBEDDED_MODEL}', a QA model under models/ (or its folder), or, with --base-url, a model of "
    f"that endpoint.  [default: the sentence that fits best]",
)  # fmt: skip
qa_base_url = click.option("--base-url", metavar="URL", help="An OpenAI-compatible endpoint, ending in /v1, that has the model named by --qa.")
classifier = click.option(
    "--classifier", callback=_filled, metavar="NAME", help="A classifier under models/ (or its folder) instead: it names the class of each text."
)  # fmt: skip
dataset = click.option(
    "--dataset", type=click.Path(path_type=Path), metavar="FILE",
    help="SQuAD 2.0 JSON, or JSON lines of {context, question, answers, answerable} (for a classifier {prompt, completion}); .gz too.  "
    "[default: the run's test split]",
)  # fmt: skip
evaluation_name = click.option(
    "--name", metavar="NAME", help="The folder under evaluation/.  [default: made of the dataset and the models]"
)  # fmt: skip

yes = click.option("--yes", is_flag=True, help="With --trainer openai: spend what it says without asking.")
cancel = click.option(
    "--cancel", is_flag=True, help="With --trainer openai: cancel the jobs that this run folder has under way, and do nothing else."
)  # fmt: skip

target = click.option(
    "--target", type=click.Choice(["discriminator", "qa", "both", "classifier"]), default="discriminator", show_default=True,
    help="What to train: what decides whether a context answers, what answers, both, or what tells the classes of --file apart.",
)  # fmt: skip
base_model = click.option(
    "--model", callback=_filled, envvar=f"{ENV_PREFIX}_TRAIN_MODEL", metavar="NAME_OR_FOLDER",
    help=f"Fine-tune this: a folder, a model of the hub, or '{EMBEDDED_MODEL}'; an encoder gets a head, a causal model a LoRA. With --trainer openai: "
    "a model of the service, always to be named.  "
    f"[default: {EMBEDDED_MODEL} for qa; else no torch, the light one]",
)  # fmt: skip
n_epochs = click.option("--n-epochs", type=click.IntRange(1, 1000), default=4, show_default=True, metavar="N", help="How often each row is seen.")
batch_size = click.option(
    "--batch-size", type=click.IntRange(1, 4096), metavar="N",
    help="Rows a step.  [default: 0.2 % of the rows, at least 8, at most 256; a service has its own]",
)  # fmt: skip
learning_rate_multiplier = click.option(
    "--learning-rate-multiplier", type=Finite(min=0, max=100, min_open=True), metavar="X",
    help="Of the highest rate, which is 0.02 for a LoRA and 0.002 for an encoder.  [default: 0.05, 0.1 or 0.2, the larger the batch]",
)  # fmt: skip
suffix = click.option(
    "--suffix", metavar="S", help="Stands in the model's name, at most 40 characters; 64 with --trainer openai.  [default: the target]"
)
begin = click.option(
    "--from",
    "begin",
    callback=_filled,
    metavar="MODEL",
    help="Go on from an earlier fine-tune: its name or folder (with --trainer openai also a service's ft:…).",
)
max_minutes = click.option(
    "--max-minutes", type=Finite(min=0, min_open=True), metavar="N",
    help="Stop training after N minutes with a model to use; the rate falls to nothing by then. What is measured at the end comes on top.",
)  # fmt: skip
track = click.option(
    "--track", type=click.Choice(["wandb", "trackio", "none"]), default="none", show_default=True,
    help="Send the curves there too (WANDB_MODE=offline keeps wandb on this machine). With --trainer openai the service is asked to send them; "
    "offline they are written here.",
)  # fmt: skip
train_file = click.option(
    "--file", envvar=f"{ENV_PREFIX}_TRAIN_FILE", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Rows of one's own: for a classifier JSON lines of {prompt, completion}; else SQuAD 2.0 or JSON lines of {context, question, "
    "answers, answerable}, added to the run's training rows, or all there is.",
)  # fmt: skip
validation_file = click.option(
    "--validation-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Validate on this instead of the run's validation split (without one: on a tenth of --file, of a classifier's on a fifth).",
)  # fmt: skip
n_classes = click.option("--classification-n-classes", "n_classes", type=click.IntRange(2), metavar="N", help="How many classes --file must have.")
positive_class = click.option(
    "--positive-class", metavar="C", help="Of two classes the one that precision and recall are of.  [default: the first by the alphabet]"
)  # fmt: skip
beta = click.option("--beta", default="1", show_default=True, metavar="B,...", help="F-beta of the two classes, for these betas.")

exported = click.argument("what", type=click.Choice(["sections", "qa", "examples", "rejected", "pages"]))
export_format = click.option(
    "--format", "form", envvar=f"{ENV_PREFIX}_FORMAT", type=click.Choice(["csv", "excel", "jsonl", "datasets"]), default="csv", show_default=True,
    help="CSV for any spreadsheet, an Excel workbook, JSON lines, or a folder for datasets.load_dataset.",
)  # fmt: skip
output = click.option(
    "--output", type=click.Path(), callback=_path_named, metavar="FILE_OR_DIR",
    help="Where to write.  [default: export/ in the run folder, under the table's name]",
)  # fmt: skip
split = click.option("--split", type=click.Choice(SPLITS), help="Of examples, those of one split alone.  [default: all]")
bom = click.option(
    "--bom", is_flag=True, help="Begin a CSV with a byte-order mark: Excel then sees that it is UTF-8; other readers see a stray character."
)
overwrite = click.option("--force", is_flag=True, help="Replace what an earlier export wrote there.")
