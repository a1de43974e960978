"""The colours of states: told apart by everybody, in both themes, and dark or light enough to be read."""

import math
import re
from itertools import combinations

import pytest

from akjob.web.pages.rendering import static_files

STATES = ("succeeded", "failed", "timed_out", "lost", "cancelled", "skipped", "missed", "running", "queued")
THEMES = {"light": 0, "dark": 1}
LEAST = 10.0
READABLE = 4.5  # WCAG 2.2, 1.4.3: the words for states are text

# What is left of linear red, green and blue without one kind of cone (Machado, Oliveira, Fernandes 2009, severity 1).
SIGHT = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanope": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranope": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanope": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)
Triple = tuple[float, float, float]


def css() -> str:
    """Return the style sheet."""
    return static_files()["akjob.css"][0].decode()


def variables(theme: str) -> dict[str, str]:
    """Return the colours of a theme by name."""
    pairs = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", css())
    return {name: (light, dark)[THEMES[theme]] for name, light, dark in pairs}


def colours(theme: str, kind: str) -> dict[str, str]:
    """Return the colour of each state: that of its bars (``b``, a fill) or of its word (``s``)."""
    named = variables(theme)
    found = {}
    for state in STATES:
        rule = re.search(rf"\.{kind}-{state}\b[^{{}}]*{{ (?:fill|color): var\(--(\w+)\)", css())
        assert rule is not None, state
        found[state] = named[rule[1]]
    return found


def linear(colour: str) -> Triple:
    """Return the linear red, green and blue of a colour as it is written."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return _linear(red), _linear(green), _linear(blue)


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def times(matrix: tuple[Triple, Triple, Triple], values: Triple) -> Triple:
    """Multiply."""
    x, y, z = (sum(one * other for one, other in zip(row, values, strict=True)) for row in matrix)
    return x, y, z


def lab(values: Triple) -> Triple:
    """Return CIE L*a*b* of linear red, green and blue, for D65."""
    x, y, z = (_curve(one / white) for one, white in zip(times(TO_XYZ, values), WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _curve(value: float) -> float:
    return value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116


def seen(colour: str, sight: str) -> Triple:
    """Return a colour as it is seen, in L*a*b*."""
    red, green, blue = (min(1.0, max(0.0, one)) for one in times(SIGHT[sight], linear(colour)))
    return lab((red, green, blue))


def difference(one: Triple, other: Triple) -> float:
    """Return CIEDE2000 (Sharma, Wu, Dalal 2005)."""
    chroma = (math.hypot(*one[1:]) + math.hypot(*other[1:])) / 2
    factor = 1.5 - 0.5 * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    (l1, a1, b1), (l2, a2, b2) = (one[0], one[1] * factor, one[2]), (other[0], other[1] * factor, other[2])
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    is_grey = c1 * c2 == 0
    turn = 0.0 if is_grey else (h2 - h1 + 180) % 360 - 180
    hue = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2))
    middle = h1 + h2 if is_grey else (h1 + turn / 2) % 360
    light, mean = (l1 + l2) / 2, (c1 + c2) / 2
    wave = (
        1
        - 0.17 * math.cos(math.radians(middle - 30))
        + 0.24 * math.cos(math.radians(2 * middle))
        + 0.32 * math.cos(math.radians(3 * middle + 6))
        - 0.20 * math.cos(math.radians(4 * middle - 63))
    )
    of_light = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2))
    of_chroma = (c2 - c1) / (1 + 0.045 * mean)
    of_hue = hue / (1 + 0.015 * mean * wave)
    rotation = (
        2
        * math.sqrt(mean**7 / (mean**7 + 25**7))
        * math.sin(math.radians(60 * math.exp(-(((middle - 275) / 25) ** 2))))
    )
    return math.sqrt(of_light**2 + of_chroma**2 + of_hue**2 - rotation * of_chroma * of_hue)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_difference_is_that_of_the_standard(one: Triple, other: Triple, expected: float) -> None:
    """Pairs of the authors' own test data."""
    assert difference(one, other) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("kind", ["b", "s"])
def test_no_two_states_look_alike(theme: str, sight: str, kind: str) -> None:
    """Ten units apart at least, whoever looks: bars and words."""
    shown = {state: seen(colour, sight) for state, colour in colours(theme, kind).items()}
    close = {pair: difference(shown[pair[0]], shown[pair[1]]) for pair in combinations(STATES, 2)}
    assert {pair: far for pair, far in close.items() if far < LEAST} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_the_words_can_be_read(theme: str) -> None:
    """On the page, on a panel, and on a row that is pointed at."""
    named = variables(theme)
    for state, colour in colours(theme, "s").items():
        for ground in ("paper", "panel"):
            lights = sorted(times(TO_XYZ, linear(one))[1] for one in (colour, named[ground]))
            assert (lights[1] + 0.05) / (lights[0] + 0.05) >= READABLE, (state, ground)
