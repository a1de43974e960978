"""Terminal output as HTML: colours become classes, everything else that a terminal would act on is dropped.

A carriage return overwrites its line, so a progress bar shows once. ECMA-48 names the sequences; colours beyond the
sixteen are taken as the nearest of them, for the page's policy allows no style in an element.
"""

import re

from markupsafe import Markup, escape

_SEQUENCE = re.compile(
    r"\x1b\[(?P<sgr>[0-9;]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]|\x1b", re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BOLD, _COLOURS, _BRIGHT, _BACK, _BACK_BRIGHT = 1, range(30, 38), range(90, 98), range(40, 48), range(100, 108)
_EXTENDED = {38: "f", 48: "g"}


def plain(text: str) -> str:
    """Return the text as it would be copied from a terminal."""
    return _CONTROL.sub("", _SEQUENCE.sub("", overwritten(text)))


def overwritten(text: str) -> str:
    """Return a line as a terminal shows it after its carriage returns; one at the end says nothing."""
    line = text.rstrip("\r\n")
    return line.rpartition("\r")[2] if "\r" in line else line


def to_html(text: str) -> Markup:
    """Return a line with its colours as spans of classes ``f0`` to ``f15``, ``g0`` to ``g15`` and ``bold``."""
    found, last, style = [], 0, _Style()
    line = overwritten(text)
    for match in _SEQUENCE.finditer(line):
        found.append(style.wrap(line[last : match.start()]))
        last = match.end()
        if match["sgr"] is not None:
            style.apply(match["sgr"])
    found.append(style.wrap(line[last:]))
    return Markup("").join(found)


class _Style:
    """What the sequences so far ask for."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}

    def wrap(self, text: str) -> Markup:
        clean = _CONTROL.sub("", text)
        if not clean or not self._classes:
            return escape(clean)
        return Markup('<span class="{}">{}</span>').format(" ".join(self._classes.values()), clean)

    def apply(self, codes: str) -> None:
        numbers = [int(code) if code else 0 for code in codes.split(";")][:32]
        while numbers:
            number = numbers.pop(0)
            if number == 0:
                self._classes.clear()
            elif number == _BOLD:
                self._classes["bold"] = "bold"
            elif number in _EXTENDED:
                self._extended(_EXTENDED[number], numbers)
            else:
                self._colour(number)

    def _colour(self, number: int) -> None:
        for kind, base, codes in (("f", 0, _COLOURS), ("f", 8, _BRIGHT), ("g", 0, _BACK), ("g", 8, _BACK_BRIGHT)):
            if number in codes:
                self._classes[kind] = f"{kind}{base + number - codes.start}"
        if number in {39, 49}:
            self._classes.pop("f" if number == 39 else "g", None)  # noqa: PLR2004 - the codes of "default colour"

    def _extended(self, kind: str, numbers: list[int]) -> None:
        """Take ``5;N`` (of 256) or ``2;R;G;B`` and keep the nearest of the sixteen."""
        mode = numbers.pop(0) if numbers else 0
        if mode == 5 and numbers:  # noqa: PLR2004 - ECMA-48 and xterm: one of a palette
            self._classes[kind] = f"{kind}{_nearest_of_256(numbers.pop(0))}"
        elif mode == 2 and len(numbers) >= 3:  # noqa: PLR2004 - likewise: red, green, blue
            red, green, blue, *rest = numbers
            numbers[:] = rest
            self._classes[kind] = f"{kind}{_nearest((red, green, blue))}"


_SIXTEEN = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255),
    (255, 255, 255),
)  # fmt: skip
_CUBE = (0, 95, 135, 175, 215, 255)


def _nearest_of_256(number: int) -> int:
    if number < 16:  # noqa: PLR2004 - the palette's first sixteen are these
        return max(0, number)
    if number >= 232:  # noqa: PLR2004 - the greys
        grey = 8 + 10 * min(number - 232, 23)
        return _nearest((grey, grey, grey))
    index = number - 16
    return _nearest((_CUBE[index // 36 % 6], _CUBE[index // 6 % 6], _CUBE[index % 6]))


def _nearest(colour: tuple[int, int, int]) -> int:
    distances = [sum((a - b) ** 2 for a, b in zip(colour, one, strict=True)) for one in _SIXTEEN]
    return distances.index(min(distances))
