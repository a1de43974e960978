"""Where each key and each value of a TOML 1.0 text is.

``tomllib`` gives no positions, so this scanner walks the text again, without making values. It is used only when there
is something to say about a file. On a valid text its paths are exactly those of what ``tomllib`` returns; on
an invalid one it raises :class:`ScanError` at the first thing that it can explain better than ``tomllib`` does.
"""

import re
import tomllib

from akjob.toml.bounds import MOST_LEVELS, too_deep

Path = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
    r"|[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
)
_NUMBER = re.compile(
    r"0x[0-9A-Fa-f](?:_?[0-9A-Fa-f])*|0b[01](?:_?[01])*|0o[0-7](?:_?[0-7])*|[+-]?(?:inf|nan)"
    r"|[+-]?(?:0|[1-9](?:_?[0-9])*)(?:\.[0-9](?:_?[0-9])*)?(?:[eE][+-]?[0-9](?:_?[0-9])*)?"
)
_WORD = re.compile(r"true|false")
_TOKEN = re.compile(r"[^\s,\]\}#=\[\{\"']+")
_SHORT_TIME = re.compile(
    r"(?:([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ])?([0-9]{1,2}):([0-9]{2})(Z|[+-][0-9]{2}:[0-9]{2})?(?![0-9:])"
)
_LINE_REST = re.compile(r"[^\n#,\]\}]*")
_ESCAPE = re.compile(r'\\(?:[btnfr"\\]|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))')
_BASIC_RUN = re.compile(r'[^"\\\n]*')
_MULTI_RUN = re.compile(r'[^"\\]*')
_LINE_END_ESCAPE = re.compile(r"\\[ \t]*\n[ \t\n]*")
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


_LONGEST = 180  # characters of what is said of a token, however long it is


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 3 :]}"


class ScanError(Exception):
    """The text is not TOML 1.0: at which ``offset``, what is wrong, and what to write instead (or nothing)."""

    def __init__(self, offset: int, message: str, hint: str = "", code: str = "toml-syntax") -> None:
        message, hint = _shortened(message), _shortened(hint)
        super().__init__(message)
        self.offset = offset
        self.message = message
        self.hint = hint
        self.code = code


class Positions:
    """Line and column, both from 1, of the keys and values of one text.

    ``keys`` and ``values`` map a path (``("schedule", "weekly", 0, "days")``) to the offset of the key and to the
    ``(start, end)`` of the value. A table made by a header has the header as its value; one that only longer headers or
    dotted keys imply has a key and no value.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, tuple[int, int]] = {}

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset into the text."""
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)

    def of_key(self, path: Path) -> tuple[int, int]:
        """Return where the key is; of an element of an array its value; of what is not there its parent."""
        if path in self.keys:
            return self.place(self.keys[path])
        return self.of_value(path)

    def of_value(self, path: Path) -> tuple[int, int]:
        """Return where the value begins; of what is not there the nearest table around it, at last 1:1."""
        while path:
            if path in self.values:
                return self.place(self.values[path][0])
            if path in self.keys:
                return self.place(self.keys[path])
            path = path[:-1]
        return 1, 1


def locate(text: str) -> Positions:
    """Return the positions of everything in ``text``. Raises ScanError where it is not TOML 1.0."""
    return _Scanner(text.replace("\r\n", "\n")).document()


class _Scanner:
    """One walk over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found = Positions(text)
        self.lengths: dict[Path, int] = {}  # of arrays of tables, so far
        self.headers: set[Path] = set()
        self.dotted: set[Path] = set()  # tables made by dotted keys: no header may open them again

    def document(self) -> Positions:
        table: Path = ()
        while True:
            self._skip(_BLANK_LINES)
            if self.at >= len(self.text):
                return self.found
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._end_of_line()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()

    def _peek(self, size: int = 1) -> str:
        return self.text[self.at : self.at + size]

    def _end_of_line(self) -> None:
        match = _REST.match(self.text, self.at)
        if match is None:
            rest = _LINE_REST.match(self.text, self.at)
            shown = rest.group().strip() if rest else ""
            raise ScanError(
                self.at + len(self.text[self.at :]) - len(self.text[self.at :].lstrip(" \t")),
                f"`{shown or self._peek()}` is after the end of the value",
                "one key and value a line; put strings in quotes",
            )
        self.at = match.end()

    # -- tables

    def _header(self) -> Path:
        """Read ``[a.b]`` or ``[[a.b]]`` and return the path of its table."""
        start = self.at
        array = self._peek(2) == "[["
        close = "]]" if array else "]"
        self.at += len(close)
        parts = self._dotted_key()
        self._skip(_BLANK)
        if self._peek(len(close)) != close:
            raise ScanError(self.at, f"the table's header does not end with `{close}`", f"write {close} after the name")
        self.at += len(close)
        path: Path = ()
        for number, (name, offset) in enumerate(parts, 1):
            path = (*path, name)
            self.found.keys.setdefault(path, offset)
            if number == len(parts) and array:
                self.lengths[path] = self.lengths.get(path, 0) + 1
                self.found.values.setdefault(path, (start, self.at))
            if path in self.lengths:
                path = (*path, self.lengths[path] - 1)
        if path in self.headers or path in self.dotted or (path in self.found.values and not array):
            first, _ = self.found.of_value(path)
            shown = ".".join(name for name, _ in parts)
            raise ScanError(start, f"table [{shown}] is defined here a second time, after line {first}", "join the two")
        self.headers.add(path)
        self.found.values[path] = (start, self.at)
        if array:
            self.found.keys.setdefault(path, parts[-1][1])
        return path

    def _pair(self, table: Path) -> None:
        """Read ``a.b = value`` below ``table``."""
        parts = self._dotted_key()
        self._skip(_BLANK)
        name = parts[-1][0]
        if self._peek() != "=":
            sign = self._peek()
            if sign == ":":
                raise ScanError(self.at, f"`:` after key `{name}`", f"write {name} = …")
            raise ScanError(self.at, f"`=` is missing after `{name}`", f"write {name} = …, or # before a comment")
        self.at += 1
        path = table
        for number, (part, offset) in enumerate(parts, 1):
            path = (*path, part)
            if number == len(parts) and path in self.found.keys:
                first, _ = self.found.of_key(path)
                raise ScanError(offset, f"key `{part}` is here a second time, after line {first}", "keep one of them")
            self.found.keys.setdefault(path, offset)
            if number < len(parts):
                self.dotted.add(path)
        self._skip(_BLANK)
        self._value(path, name)

    def _dotted_key(self) -> list[tuple[str, int]]:
        """Read ``a."b c".d`` and return its parts with their offsets."""
        parts = []
        while True:
            self._skip(_BLANK)
            parts.append(self._key_part())
            self._skip(_BLANK)
            if self._peek() != ".":
                return parts
            self.at += 1
            if len(parts) >= MOST_LEVELS:
                raise ScanError(parts[0][1], *too_deep(), code="too-deep")

    def _key_part(self) -> tuple[str, int]:
        start = self.at
        if self._peek() in {'"', "'"}:
            if self._peek(3) in {'"""', "'''"}:
                raise ScanError(start, "a key cannot be a string of several lines", "write it in single quotes")
            return self._string(), start
        match = _BARE_KEY.match(self.text, start)
        if match is None:
            shown = self._peek()
            if shown in {"", "\n"}:
                raise ScanError(start, "a key is missing here", "write key = value")
            raise ScanError(start, f"`{shown}` cannot be in a key", "write key = value; put other characters in quotes")
        self.at = match.end()
        return match.group(), start

    # -- values

    def _value(self, path: Path, name: str) -> None:
        start = self.at
        sign = self._peek()
        if len(path) > MOST_LEVELS:
            raise ScanError(start, *too_deep(), code="too-deep")
        if sign in {'"', "'"}:
            self._string()
        elif sign == "[":
            self._array(path, name)
        elif sign == "{":
            self._inline_table(path, name)
        else:
            self._scalar(name)
        self.found.values[path] = (start, self.at)

    def _array(self, path: Path, name: str) -> None:
        start = self.at
        self.at += 1
        index = 0
        while True:
            self._skip(_BLANK_LINES)
            if self._peek() == "]":
                self.at += 1
                return
            if self.at >= len(self.text):
                raise ScanError(start, f"the array of `{name}` does not end", "write ] after its last value")
            self._value((*path, index), name)
            index += 1
            end = self.at
            self._skip(_BLANK_LINES)
            if self._peek() == ",":
                self.at += 1
            elif self._peek() != "]":
                what = "a comma" if "\n" not in self.text[end : self.at] else "a comma or `]`"
                hint = "write , between the values, ] after the last one"
                raise ScanError(end, f"{what} is missing in the array of `{name}`", hint)

    def _inline_table(self, path: Path, name: str) -> None:
        start = self.at
        self.at += 1
        self._skip(_BLANK)
        if self._peek() == "}":
            self.at += 1
            return
        while True:
            self._in_line(start, name)
            self._pair(path)
            self._skip(_BLANK)
            self._in_line(start, name)
            sign = self._peek()
            self.at += 1
            if sign == "}":
                return
            if sign != ",":
                raise ScanError(self.at - 1, f"a comma is missing in the table of `{name}`", "write , between the keys")
            self._skip(_BLANK)
            if self._peek() == "}":
                raise ScanError(self.at - 1, f"the table of `{name}` ends with a comma", "remove the last comma")

    def _in_line(self, start: int, name: str) -> None:
        """Refuse the end of the line, or a comment, inside an inline table: TOML 1.0 has neither."""
        if self._peek() in {"\n", "#"}:
            raise ScanError(
                self.at,
                f"the table of `{name}` goes over the end of the line",
                f"write it in one line, or as a table [{name}] of its own",
            )
        if self.at >= len(self.text):
            raise ScanError(start, f"the table of `{name}` does not end", "write } after its last value")

    def _scalar(self, name: str) -> None:
        if _SHORT_TIME.match(self.text, self.at):
            raise self._no_value()
        for pattern in (_DATE_TIME, _NUMBER, _WORD):
            match = pattern.match(self.text, self.at)
            if match and self.text[match.end() : match.end() + 1] in _ENDS:
                if pattern is _DATE_TIME:
                    self._check_date_time(match.group())
                self.at = match.end()
                return
        if self._peek() in {"", "\n", "#", ",", "]", "}"}:
            raise ScanError(self.at, f"`{name}` has no value", f"write {name} = …, or remove the key")
        raise self._no_value()

    def _check_date_time(self, token: str) -> None:
        """Refuse what looks like a date or time and is not one: 2026-02-30, 24:00:00."""
        try:
            tomllib.loads(f"x = {token}")
        except tomllib.TOMLDecodeError:
            what = "time" if token[2] == ":" else "date" if len(token) == len("2026-01-01") else "date-time"
            hint = "hours are 00 to 23, minutes and seconds 00 to 59; each month has its own number of days"
            raise ScanError(self.at, f"{token} is a {what} that does not exist", hint) from None

    def _no_value(self) -> ScanError:
        """Explain a bare word that is not a TOML value."""
        short = _SHORT_TIME.match(self.text, self.at)
        if short:
            day, hour, minute, offset = short.groups()
            meant = f"{day + 'T' if day else ''}{hour.zfill(2)}:{minute}:00{offset or ''}"
            return ScanError(self.at, f"`{short.group()}` has no seconds; write {meant}", f"write {meant}")
        match = _TOKEN.match(self.text, self.at)
        token = match.group() if match else self._peek()
        rest = _LINE_REST.match(self.text, self.at)
        shown = rest.group().strip() if rest and token[:1].isalpha() else token
        if token in {"True", "yes", "on", "Yes", "On", "TRUE"}:
            return ScanError(self.at, f"`{token}` is not a TOML value", "write true")
        if token in {"False", "no", "off", "No", "Off", "FALSE"}:
            return ScanError(self.at, f"`{token}` is not a TOML value", "write false")
        if token in {"None", "null", "nil"}:
            return ScanError(self.at, f"`{token}` is not a TOML value", "remove the key: TOML has no null")
        if re.fullmatch(r"[+-]?0[0-9]{1,30}", token):
            return ScanError(self.at, f"`{token}` begins with a zero", f"write {int(token)}, or in quotes")
        if re.fullmatch(r"[0-9]:[0-9]{2}:[0-9]{2}", token):
            return ScanError(self.at, f"`{token}` is not a TOML value: hours have two digits", f"write 0{token}")
        return ScanError(self.at, f"`{shown}` is not a TOML value: put strings in quotes", f'write "{shown}"')

    # -- strings

    def _string(self) -> str:
        """Read any of the four kinds of string and return its value."""
        quote = self._peek()
        start = self.at
        if self._peek(3) == quote * 3:
            return self._multi_line(start, quote)
        if quote == "'":
            end = self.text.find("'", start + 1)
            newline = self.text.find("\n", start)
            if end < 0 or 0 <= newline < end:
                raise _open_string(start, quote)
            self.at = end + 1
            return self.text[start + 1 : end]
        parts = []
        self.at += 1
        while True:
            match = _BASIC_RUN.match(self.text, self.at)
            if match:
                parts.append(match.group())
                self.at = match.end()
            sign = self._peek()
            if sign == '"':
                self.at += 1
                return "".join(parts)
            if sign != "\\":
                raise _open_string(start, quote)
            parts.append(self._escape())

    def _escape(self) -> str:
        match = _ESCAPE.match(self.text, self.at)
        if match is None:
            shown = self._peek(2)
            raise ScanError(
                self.at,
                f"`{shown}` is not an escape of TOML",
                "write \\\\ for a backslash, or put the string in single quotes: '…'",
            )
        self.at = match.end()
        sign = match.group()
        if sign[1] in "uU":
            number = int(match[1] or match[2], 16)
            if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:  # noqa: PLR2004 - Unicode's own borders
                raise ScanError(match.start(), f"`{sign}` is not a character", "write the character itself")
            return chr(number)
        return _ESCAPED[sign[1]]

    def _multi_line(self, start: int, quote: str) -> str:
        self.at += 3
        if self._peek() == "\n":
            self.at += 1
        parts = []
        while True:
            if quote == "'":
                end = self.text.find("'''", self.at)
                if end < 0:
                    raise _open_string(start, quote * 3)
                parts.append(self.text[self.at : end])
                self.at = end
            else:
                match = _MULTI_RUN.match(self.text, self.at)
                if match:
                    parts.append(match.group())
                    self.at = match.end()
                if self.at >= len(self.text):
                    raise _open_string(start, quote * 3)
                if self._peek() == "\\":
                    joined = _LINE_END_ESCAPE.match(self.text, self.at)
                    if joined:
                        self.at = joined.end()
                    else:
                        parts.append(self._escape())
                    continue
            run = len(self.text[self.at : self.at + 5]) - len(self.text[self.at : self.at + 5].lstrip(quote))
            self.at += run
            if run >= 3:  # noqa: PLR2004 - three quotes end the text, up to two before them belong to it
                parts.append(quote * (run - 3))
                return "".join(parts)
            parts.append(quote * run)


_ENDS = {"", " ", "\t", "\n", ",", "]", "}", "#"}


def _open_string(start: int, quote: str) -> ScanError:
    where = "before the end of the line" if len(quote) == 1 else "before the end of the file"
    return ScanError(start, f"the string that begins here does not end {where}", f"close it with {quote}")
