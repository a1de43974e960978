"""``akjob inspect``: what is inside a dill file, without running any of it."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from akjob.cli.common import colours, examples, json_option, say, say_json
from akjob.errors import AkjobError, UsageError

_COLOURS = {"dangerous": "red", "unknown": "yellow"}
_SHOWN = 20


@click.command(
    name="inspect",
    epilog=examples("akjob inspect jobs.d/send.dill", "akjob inspect jobs.d/send.dill --json | jq .calls"),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@json_option
def command(file: Path, *, as_json: bool) -> None:
    """List what is inside a dill file, without running it.

    What it gives, what loading it would import and call, its code, its strings, and the source in its record. Exits
    with 1 when loading it would do more than build a value, or when it is not a dill file. What the code does when a
    job calls it is another matter: read the source.
    """
    from akjob.code.pickles import examine_bytes

    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="check its name") from None
    digest = sha256(content).hexdigest()
    record, remark = _record(file, digest)
    report = examine_bytes(content, str((record or {}).get("python", "")))
    report = {"file": str(file), "sha256": digest, "size": len(content), **report, "record": record}
    if as_json:
        say_json(report)
    else:
        say(_lines(_printable(report), remark, colour=colours()))
    if report["error"] or any(call["verdict"] == "dangerous" for call in report["calls"]):
        raise SystemExit(1)


def _printable(value: object) -> Any:
    """Return the report with control characters escaped: a hostile file must not speak to the terminal."""
    if isinstance(value, str):
        return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    return value


def _record(file: Path, digest: str) -> tuple[dict[str, Any] | None, str]:
    """Return the record, and what is wrong with it."""
    from akjob.code.pack import read_record

    if not Path(f"{file}.json").exists():
        return None, f"there is no {file.name}.json"
    try:
        record = read_record(file)
    except AkjobError as error:
        return None, error.message
    if record.get("sha256") != digest:
        return record, f"NOT of this file: it is of {record.get('sha256')}"
    return record, f"{file.name}.json"


def _lines(report: dict[str, Any], remark: str, *, colour: bool) -> list[str]:
    from akjob.cli.text import paint

    record = report["record"] or {}
    lines = [paint(f"{report['file']}: {report['gives'] or 'unreadable'}", "bold", on=colour)]
    lines.append(f"  size       {report['size']} bytes, SHA-256 {report['sha256']}")
    if report["error"]:
        lines.append("  " + paint(f"error      {report['error']}", "red", on=colour))
    lines += _loading(report, colour=colour)
    modules = [module for module in report["modules"] if module not in ("builtins", "dill._dill")]
    lines.append(f"  imports    {', '.join(modules) or 'nothing'}")
    for code in report["code"]:
        uses = f", uses {', '.join(code['names'])}" if code["names"] else ""
        lines.append(
            f"  code       {code['name']}({', '.join(code['parameters'])}) {code['file']}:{code['line']}{uses}"
        )
    texts = [repr(text) for text in _texts(report)]
    lines += [f"  string     {text}" for text in texts[:_SHOWN]]
    if len(texts) > _SHOWN:
        lines.append(f"  string     and {len(texts) - _SHOWN} more: see --json")
    lines.append(f"  record     {remark}")
    if record:
        lines.append(f"  made by    Python {record.get('python')}, dill {record.get('dill')}")
        made_from = record.get("made_from") or {}
        source = made_from.get("text") or record.get("source")
        if source:
            lines += [f"  source     {made_from.get('file') or record.get('qualname')}, as the record has it", ""]
            lines += [f"    {line}".rstrip() for line in source.splitlines()]
    return lines


def _loading(report: dict[str, Any], *, colour: bool) -> list[str]:
    from akjob.cli.text import paint

    if not report["calls"]:
        return ["  loading    builds it, and does nothing else" if not report["error"] else "  loading    fails"]
    lines = []
    for call in report["calls"]:
        text = f"{call['verdict'].upper():10} {call['what']}({call['arguments']})"
        lines.append(f"  loading    {paint(text, _COLOURS.get(call['verdict']), on=colour)}")
    return lines


def _texts(report: dict[str, Any]) -> list[str]:
    """Return the strings of the code, without names and what Python itself puts there."""
    found = dict.fromkeys(text for code in report["code"] for text in code["strings"])
    return [text for text in found if ".<locals>" not in text]
