"""cupy.cuda: streams, events, devices and the runtime of one device that is always there and always done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from emulated_cupy import capture, runtime
from emulated_cupy.array import reads

nvrtc = SimpleNamespace(getVersion=lambda: (13, 0))
cublas = SimpleNamespace()


class Stream:
    """Runs in order what it is given, at once."""

    ptr = 0
    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        self.before: list[Stream] = []

    def __enter__(self) -> Stream:
        self.before.append(_current[0])
        return self.use()

    def __exit__(self, *_: Any) -> None:
        _current[0] = self.before.pop()

    def use(self) -> Stream:
        """Makes it the current stream."""
        _current[0] = self
        return self

    def synchronize(self) -> None:
        """Counted."""
        reads["synchronize"] += 1

    def begin_capture(self, mode: Any = None) -> None:
        """From now on launches are kept."""
        capture.launches.append([])

    def end_capture(self) -> capture.Graph:
        """What was launched meanwhile."""
        return capture.Graph(capture.launches.pop())

    def record(self, event: Event | None = None) -> Event:
        """An event that has happened."""
        return event or Event()

    def wait_event(self, event: Event) -> None:
        """Queues a wait on the device."""


class MemoryPool:
    """Memory that nobody else is given."""

    def malloc(self, size: int) -> None:
        """Nothing to do: memory is the garbage collector's here."""


@contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    """Within this block arrays would come from that allocator."""
    yield


class Event:
    """A mark in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        pass

    def record(self, stream: Stream | None = None) -> None:
        """Marks the stream's present."""

    def synchronize(self) -> None:
        """Counted."""
        reads["synchronize"] += 1


class Device:
    """The one device."""

    id = 0
    compute_capability = "90"

    def __init__(self, device: int = 0) -> None:
        pass

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def use(self) -> None:
        """Nothing to do."""

    def synchronize(self) -> None:
        """Counted."""
        reads["synchronize"] += 1


Stream.null = Stream()
_current = [Stream.null]


def alloc_pinned_memory(size: int) -> bytearray:
    """Memory of the host's."""
    return bytearray(size)


def get_current_stream() -> Stream:
    """The stream in use."""
    return _current[0]


def is_available() -> bool:
    """Whether there is a device."""
    return runtime.getDeviceCount() > 0
