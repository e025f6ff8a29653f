"""The reference of the `headrace` command, from the command itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from headrace.deploy.cli.main import app


def command_reference() -> str:
    """Return a section of Markdown for each command, in the order of `headrace --help`."""
    return "\n\n".join(_sections("headrace", typer.main.get_command(app)))


def _sections(path: str, command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from _sections(f"{path} {name}", child)
        return
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    usage = " ".join([path, *(_argument(param) for param in arguments), *(["[OPTIONS]"] if options else [])])
    parts = [f"## {path.removeprefix('headrace ')}", f"`{usage}`", command.help or ""]
    if command.params:
        rows = [_row(param) for param in (*arguments, *options)]
        parts.append("\n".join(["| | default | |", "|---|---|---|", *rows]))
    yield "\n\n".join(parts)


def _argument(param: Any) -> str:
    name = param.name.upper()
    return name if param.required else f"[{name}]"


def _row(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if param.param_type_name == "argument":
        names = f"`{param.name.upper()}`"
    return f"| {names} | {_default(param)} | {_escape(param.help or '')} |"


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if isinstance(param.show_default, str):
        return param.show_default
    if param.default is None or param.default is False or callable(param.default):
        return ""
    return f"`{param.default}`"


def _escape(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
