"""What a packed job may be made of. Light, for a run imports it to unpickle what was packed with it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class JobCallable:
    """A callable with its arguments, as an object with a ``run`` method: ``JobCallable(print, "Hello", "World")``."""

    def __init__(self, callable_object: "Callable[..., Any]", *args: "Any", **kwargs: "Any") -> None:
        if not callable(callable_object):
            msg = f"{callable_object!r} cannot be called: the first argument of JobCallable is a function or the like"
            raise TypeError(msg)
        self.callable_object = callable_object
        self.args = args
        self.kwargs = kwargs

    def run(self, **_: "Any") -> "Any":
        """Call it and return what it returns. ``ownjob`` is accepted and of no use to it."""
        return self.callable_object(*self.args, **self.kwargs)

    def __call__(self) -> "Any":
        """Do as ``run`` does."""
        return self.run()

    def __eq__(self, other: object) -> bool:
        """Equal when callable and arguments are."""
        return isinstance(other, JobCallable) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment] # its arguments may change

    def __repr__(self) -> str:
        parts = [getattr(self.callable_object, "__qualname__", repr(self.callable_object))]
        parts += [repr(value) for value in self.args]
        parts += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"JobCallable({', '.join(parts)})"
