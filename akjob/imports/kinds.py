"""What a source is, by its form: for an import that found no job in it, and was perhaps meant to be another one."""

import re

from akjob.imports.crontab import has_entries, is_anacrontab

_LOOKED_FOR = {
    "anacron": "there is no entry of a period, a delay, a name and a command",
    "celery": "there is no beat_schedule and no CRONJOBS that is written out",
    "crontab": "there is no entry of five fields, or @daily and the like, and a command",
    "kubernetes": "there is no manifest with `kind: CronJob`",
    "systemd": "there is no [Timer] with a time",
    "yacron": "there is no list `jobs`",
}
_FORMS = {
    "kubernetes": re.compile(r"""^[ \t-]*["']?kind["']?[ \t]*:[ \t]*["']?CronJob""", re.MULTILINE),
    "systemd": re.compile(r"^\[Timer\]", re.MULTILINE),
    "celery": re.compile(r"beat_schedule|BEAT_SCHEDULE|^CRONJOBS\b", re.MULTILINE),
    "yacron": re.compile(r"^jobs[ \t]*:", re.MULTILINE),
}
_KIND = re.compile(r"""^[ \t-]*["']?kind["']?[ \t]*:[ \t]*["']?([A-Za-z]{1,40})""", re.MULTILINE)
_KEY = re.compile(r"""^["']?([A-Za-z_][\w.-]{0,40})["']?[ \t]*:""", re.MULTILINE)
_MOST_NAMED = 5


def looked_for(kind: str) -> str:
    """Return what an import of this kind has not found."""
    return _LOOKED_FOR[kind]


def found_instead(kind: str, text: str) -> str:
    """Return what is in a text that an import of this kind made no job of; an empty text where that is not known."""
    other = kind_of(text)
    if other is not None and other != kind:
        return f"it has the form of what `akjob import {other}` reads"
    if not text.strip():
        return "it is empty"
    if kind == "kubernetes" and (kinds := _named(_KIND, text)):
        return f"it has {kinds}"
    if kind == "yacron" and (keys := _named(_KEY, text)):
        return f"its keys are {keys}"
    return ""


def kind_of(text: str) -> str | None:
    """Return the import that reads what a text looks like; None where it looks like nothing that is known."""
    named = next((kind for kind, form in _FORMS.items() if form.search(text)), None)
    if named is not None:
        return named
    if is_anacrontab(text):
        return "anacron"
    return "crontab" if has_entries(text) else None


def _named(form: re.Pattern[str], text: str) -> str:
    names = list(dict.fromkeys(form.findall(text)))
    return ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
