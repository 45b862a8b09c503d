"""python -m pipeline: the commands, in the order in which one needs them."""

from __future__ import annotations

import click

COMMANDS = (
    ("collect", "wiki pages → sections"),
    ("create_qa", "sections → questions and answers, with evidence"),
    ("train", "→ adversarial pairs, training files, a discriminator, metrics"),
    ("evaluate", "questions with contexts → answers, refusals, metrics beside baselines"),
    ("ask", "question → search → discriminator → answer or refusal"),
    ("report", "one HTML page to look at"),
    ("status", "what the run folder holds, what is missing, which command is next"),
    ("export", "sections, questions or examples as CSV, Excel, JSON lines or a datasets folder"),
    ("fetch_weights", "the embedded model's weights, once"),
)


def main() -> None:
    """Print the commands."""
    for name, what in COMMANDS:
        click.echo(f"python -m pipeline.{name:<14} {what}")
    click.echo("\n--help of each shows its flags.")


if __name__ == "__main__":
    main()
