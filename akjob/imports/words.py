"""What systemd makes of a value's words: quotes, escapes, variables, specifiers (systemd.syntax(7), .service(5))."""

import re
import shlex
from collections.abc import Callable

_BLANK = " \t\n\r"
_RAW = re.compile(rf"""(?:\\.|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^{_BLANK}'"\\])+""", re.DOTALL)
_PIECE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-7]{3}|.)|.", re.DOTALL)
_LETTERS = dict(zip("abfnrtvs\\\"'", b"\a\b\f\n\r\t\v \\\"'", strict=True))


def split(text: str) -> list[str]:
    """Split into words; quotes of both kinds and C escapes are taken off.

    Raises ValueError for a quote that has no end, invalid escapes, and escapes whose bytes are not UTF-8.
    """
    return [_plain(raw, _unescape) for raw in _raw_words(text)]


def split_value(text: str) -> list[str]:
    """Split the value of a variable: as ``split``, but a backslash only quotes what follows it."""
    return [_plain(raw, str.encode) for raw in _raw_words(text)]


def commands(text: str) -> list[list[str]]:
    r"""Split into commands of words: a ``;`` that is a word of its own divides them, ``\;`` is a literal one.

    An invalid escape stays as it is here.
    """
    found: list[list[str]] = [[]]
    for raw in _raw_words(text):
        if raw == ";":
            found.append([])
        else:
            found[-1].append(";" if raw == r"\;" else _plain(raw, _unescape_or_keep))
    return [words for words in found if words]


def _raw_words(text: str) -> list[str]:
    """Split at the blanks outside of quotes, leaving quotes and escapes as they are."""
    if _RAW.sub("", text).strip(_BLANK):
        raise ValueError("a quote has no end")
    return _RAW.findall(text)


def _plain(raw: str, unescape: Callable[[str], bytes]) -> str:
    quote, out = "", bytearray()
    for match in _PIECE.finditer(raw):
        char, escape = match[0], match[1]
        if escape:
            out += unescape(escape)
        elif not quote and char in "'\"":
            quote = char
        elif char == quote:
            quote = ""
        else:
            out += char.encode()
    try:
        return out.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the bytes of {raw} are not UTF-8") from None


def _unescape(escape: str) -> bytes:
    r"""Return what ``\escape`` means."""
    if escape in _LETTERS:
        return bytes([_LETTERS[escape]])
    code = 0
    if len(escape) > 1:
        code = int(escape, 8) if escape.isdigit() else int(escape[1:], 16)
    try:
        plain = chr(code).encode() if escape[0] in "uU" else bytes([code])
    except (ValueError, OverflowError):  # no byte; no character: a surrogate, or beyond the last one
        plain = b"\0"
    if plain == b"\0":
        raise ValueError(f"\\{escape} is not an escape")
    return plain


def _unescape_or_keep(escape: str) -> bytes:
    try:
        return _unescape(escape)
    except ValueError:
        return f"\\{escape}".encode()


_VARIABLE = re.compile(r"\$\$|\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def split_variable(word: str) -> str | None:
    """Return the name when a word is ``$NAME`` and nothing else, which becomes as many words as the value has."""
    return word[1:] if word.startswith("$") and word[1:2] not in ("{", "$") else None


def inner_variables(word: str) -> list[str]:
    """Return the names of the ``${NAME}`` in a word."""
    return [match[1] for match in _VARIABLE.finditer(word) if match[1] is not None]


def is_name(text: str) -> bool:
    """Return True if it can be a variable's name; any other is unset for systemd, ``${A:-b}`` too."""
    return _NAME.fullmatch(text) is not None


def without_variables(word: str) -> str:
    """Return a word that has no ``${NAME}``: ``$$`` is a dollar, any other ``$`` stays."""
    return word.replace("$$", "$")


def for_shell(word: str) -> str:
    """Quote a word for the shell so that nothing but its ``${NAME}`` is expanded."""
    parts, at = [], 0
    for match in _VARIABLE.finditer(word):
        parts.append(_quote(word[at : match.start()]))
        if match[1] is None:
            parts.append("'$'")
        elif is_name(match[1]):
            parts.append(f'"${{{match[1]}}}"')
        at = match.end()
    return "".join([*parts, _quote(word[at:])]) or "''"


def _quote(text: str) -> str:
    return shlex.quote(text) if text else ""


def specifiers(unit: str) -> dict[str, str]:
    """Return the specifiers whose values follow from a unit's name (systemd.unit(5))."""
    stem = unit.rpartition(".")[0]
    prefix, _, instance = stem.partition("@")
    last = prefix.rpartition("-")[2]
    path = "/" + _unit_unescape(instance or prefix)
    plain = {"%": "%", "n": unit, "N": stem, "p": prefix, "i": instance, "j": last, "f": path}
    return {**plain, **{letter.upper(): _unit_unescape(plain[letter]) for letter in "pij"}}


def _unit_unescape(text: str) -> str:
    r"""Undo what ``systemd-escape`` does: ``-`` is a slash, ``\x2d`` a byte."""
    plain = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), text.replace("-", "/").encode())
    return plain.decode("utf-8", "replace")
