"""The load of a simulation as SVG. Pure."""

from markupsafe import Markup

from akjob.query.foresight import Outlook

_WIDTH, _HEIGHT = 960, 96


def load(one: Outlook, peak: int) -> Markup:
    """Return an area for the runs at once, a line for those that wait, grey for downtimes.

    ``peak`` is what the whole height stands for.
    """
    most = max([1, peak, *(column.waiting for column in one.load)])
    width = _WIDTH / len(one.load)
    tops = [(round((number + 1) * width, 1), column) for number, column in enumerate(one.load)]
    area = "".join(f"V{_top(column.running, most)}H{right}" for right, column in tops)
    waits = "".join(f"V{_top(column.waiting, most)}H{right}" for right, column in tops)
    down = "".join(f"M{_x(one, two.from_us)} 0V{_HEIGHT}H{_x(one, two.until_us)}V0z" for two in one.downs)
    said = f"load: at most {one.peak} runs at once, at most {max(column.waiting for column in one.load)} waiting"
    drawing = Markup(
        '<svg class="outlook" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{said}">'
        '<path class="down" d="{down}"/><path class="b-running" d="M0 {h}{area}V{h}z"/>'
        '<path class="l-missed" d="M0 {h}{waits}"/></svg>'
    )
    return drawing.format(w=_WIDTH, h=_HEIGHT, said=said, down=down, area=area, waits=waits)


def _x(one: Outlook, at_us: int) -> float:
    place = (at_us - one.from_us) / (one.until_us - one.from_us) * _WIDTH
    return round(max(0.0, min(float(_WIDTH), place)), 1)


def _top(count: int, most: int) -> float:
    return round(_HEIGHT - count / most * (_HEIGHT - 4), 1)
