"""Parameters as source has them, and whether arguments fit."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Parameters:
    """A function's parameters. ``optional`` are those with a default, positional or by keyword."""

    positional_only: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()
    keyword_only: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    any_positional: bool = False
    any_keyword: bool = False

    @classmethod
    def of(cls, node: ast.arguments) -> "Parameters":
        """Return the parameters of a parsed ``def`` or ``lambda``."""
        ordered = [*node.posonlyargs, *node.args]
        optional = {arg.arg for arg in ordered[len(ordered) - len(node.defaults) :]}
        with_default = zip(node.kwonlyargs, node.kw_defaults, strict=True)
        optional |= {arg.arg for arg, default in with_default if default is not None}
        return cls(
            tuple(arg.arg for arg in node.posonlyargs),
            tuple(arg.arg for arg in node.args),
            tuple(arg.arg for arg in node.kwonlyargs),
            frozenset(optional),
            node.vararg is not None,
            node.kwarg is not None,
        )

    def bound(self) -> "Parameters":
        """Return the parameters without the first one, which is ``self`` or ``cls``."""
        if self.positional_only:
            return replace(self, positional_only=self.positional_only[1:])
        return replace(self, positional=self.positional[1:])

    def without(self, name: str) -> "Parameters":
        """Return the parameters without one that is given by keyword."""
        at = self.positional.index(name) if name in self.positional else len(self.positional)
        # What follows it can be given by keyword only.
        return replace(
            self,
            positional=self.positional[:at],
            keyword_only=tuple(other for other in (*self.positional[at + 1 :], *self.keyword_only) if other != name),
            any_positional=self.any_positional and at == len(self.positional),
        )


def misfit(parameters: Parameters, count: int, names: Sequence[str], *, more: bool) -> tuple[str, str] | None:
    """Return why ``count`` positional arguments and keywords of these names do not fit, and the argument meant.

    With ``more``, keyword arguments may still be added, so that none is missing.
    """
    ordered = (*parameters.positional_only, *parameters.positional)
    if count > len(ordered) and not parameters.any_positional:
        return f"takes {_number(len(ordered), 'positional argument')}, {count} are given in args", ""
    by_position = ordered[:count]
    for name in names:
        if name in by_position and name not in parameters.positional_only:
            return f"gets the argument {name!r} twice: in args and in kwargs", name
        if name in parameters.positional or name in parameters.keyword_only or parameters.any_keyword:
            continue
        if name in parameters.positional_only:
            return f"takes the argument {name!r} by position only: write it into args", name
        return f"takes no argument {name!r}", name
    if more:
        return None
    given = {*by_position, *(name for name in names if name not in parameters.positional_only)}
    needed = [name for name in (*ordered, *parameters.keyword_only) if name not in parameters.optional]
    missing = [name for name in needed if name not in given]
    return (f"needs the argument{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}", "") if missing else None


def _number(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
