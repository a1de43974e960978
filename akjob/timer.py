"""One timer for akjobd's loop, which neither rounds to milliseconds nor misses a step of the wall clock.

``timerfd_create`` is in the standard library from Python 3.13 on; before, the C library's is called by ctypes.
"""

import ctypes
import errno
import os
import time

_CLOCK_REALTIME = 0
_CLOCK_BOOTTIME = 7
_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_CLOEXEC = os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1
_TFD_TIMER_CANCEL_ON_SET = 2
_FAR_S = 1 << 33


class _TimeSpec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_int64), ("nsec", ctypes.c_int64))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


_libc = ctypes.CDLL(None, use_errno=True)


def _create(clock: int) -> int:
    fd: int = _libc.timerfd_create(clock, _TFD_NONBLOCK | _TFD_CLOEXEC)
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"timerfd_create: {os.strerror(number)}")
    return fd


def _set(fd: int, flags: int, seconds: int, nanoseconds: int) -> None:
    spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, nanoseconds))
    if _libc.timerfd_settime(fd, flags, ctypes.byref(spec), None) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"timerfd_settime: {os.strerror(number)}")


class Alarm:
    """Becomes readable at an instant of the wall clock, and at once when the wall clock is set.

    The wait itself is measured by CLOCK_BOOTTIME, which goes on while the machine sleeps: after a suspend what became
    due meanwhile is noticed on waking up.
    """

    def __init__(self) -> None:
        self.fd = _create(_CLOCK_BOOTTIME)
        self.clock_fd = _create(_CLOCK_REALTIME)
        self._armed_us: int | None = None
        self._watch_clock()

    def _watch_clock(self) -> None:
        """timerfd_create(2), TFD_TIMER_CANCEL_ON_SET: a read fails with ECANCELED after a discontinuous change."""
        _set(self.clock_fd, _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET, int(time.clock_gettime(0)) + _FAR_S, 0)

    def arm(self, instant_us: int | None, now_us: int) -> None:
        """Ring at ``instant_us``, or at once if that has passed; None for never."""
        if instant_us is None:
            if self._armed_us is not None:
                _set(self.fd, 0, 0, 0)
                self._armed_us = None
            return
        if instant_us == self._armed_us:
            return
        wait_ns = max(1, (instant_us - now_us) * 1000)
        _set(self.fd, 0, *divmod(wait_ns, 1_000_000_000))
        self._armed_us = instant_us

    def rang(self) -> None:
        """Take note of the ring: the alarm is not armed any more."""
        self._armed_us = None
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return

    def clock_was_set(self) -> bool:
        """Return whether the wall clock jumped since the last call; the alarm must be armed again then."""
        try:
            os.read(self.clock_fd, 8)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self._armed_us = None
        self._watch_clock()
        return True

    def close(self) -> None:
        """Give back the descriptors."""
        os.close(self.fd)
        os.close(self.clock_fd)
