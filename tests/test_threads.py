"""The pool: every piece once, on several threads, whatever is raised, nested, concurrent or forked."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest

from fastfm_core import threads
from fastfm_core.errors import InputError

pytestmark = pytest.mark.usefixtures("threads_restored")


def counted(pieces: int) -> Counter[int]:
    """How often each piece of one call ran."""
    ran: list[int] = []
    threads.run(pieces, ran.append)
    return Counter(ran)


@pytest.mark.parametrize("pieces", [0, 1, 2, 7, 500])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_piece_runs_once(count: int, pieces: int) -> None:
    threads.set_num_threads(count)
    for _ in range(20):
        assert counted(pieces) == dict.fromkeys(range(pieces), 1)


@pytest.mark.parametrize("count", [2, 3])
def test_pieces_run_at_the_same_time(count: int) -> None:
    """Each piece waits until all others have begun, which a single thread could not do."""
    threads.set_num_threads(count)
    together = threading.Barrier(count, timeout=30)
    idents: list[int] = []
    threads.run(count, lambda piece: (together.wait(), idents.append(threading.get_ident())))
    assert len(set(idents)) == count


def test_no_more_threads_than_asked_for() -> None:
    threads.set_num_threads(4)
    counted(100)
    idents: list[int] = []
    for count in (1, 2):
        threads.set_num_threads(count)
        for _ in range(50):
            threads.run(20, lambda piece: idents.append(threading.get_ident()))
            assert len(set(idents[-20:])) <= count
    threads.set_num_threads(1)
    threads.run(3, lambda piece: idents.append(threading.get_ident()))
    assert set(idents[-3:]) == {threading.get_ident()}


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("failing", [0, 3, 7])
def test_an_exception_reaches_the_caller_and_the_pool_survives(count: int, failing: int) -> None:
    threads.set_num_threads(count)

    def work(piece: int) -> None:
        if piece == failing:
            raise ZeroDivisionError(f"piece {piece}")

    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match=f"piece {failing}"):
            threads.run(8, work)
        assert counted(8) == dict.fromkeys(range(8), 1)


def test_no_piece_is_running_when_the_exception_arrives() -> None:
    """The caller may drop its arrays then: everybody else has finished or found nothing to do."""
    threads.set_num_threads(2)
    started, release, finished = threading.Event(), threading.Event(), []

    def work(piece: int) -> None:
        if piece == 0:
            assert started.wait(30)
            release.set()
            raise ZeroDivisionError
        started.set()
        assert release.wait(30)
        finished.append(piece)

    with pytest.raises(ZeroDivisionError):
        threads.run(2, work)
    assert finished == [1]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_nested_calls_finish(count: int) -> None:
    threads.set_num_threads(count)
    ran: list[tuple[int, int]] = []
    threads.run(5, lambda outer: threads.run(4, lambda inner: ran.append((outer, inner))))
    assert sorted(ran) == [(outer, inner) for outer in range(5) for inner in range(4)]


def test_concurrent_calls_finish() -> None:
    threads.set_num_threads(2)
    results: dict[int, list[Counter[int]]] = {}
    callers = [
        threading.Thread(target=lambda n=n: results.update({n: [counted(n + 2) for _ in range(50)]})) for n in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not any(caller.is_alive() for caller in callers)
    assert results == {n: [dict.fromkeys(range(n + 2), 1)] * 50 for n in range(4)}


FORK = """
import os, signal
import numpy as np
from fastfm_core import backends, threads
threads.set_num_threads(2)
numba = backends.get("numba")
table, ids = np.ones((1000, 16), np.float32), np.arange(60_000, dtype=np.int32) % 1000
left, right = np.ones((1024, 128), np.float32), np.ones((128, 128), np.float32)
def work():
    assert (numba.embedding_gather(table, ids) == 1).all()
    assert (numba.matmul(left, right) == 128).all()
    ran = []
    threads.run(64, ran.append)
    assert sorted(ran) == list(range(64))
work()
if hasattr(os, "fork"):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
work()
print("both finished")
"""


def test_a_forked_child_works() -> None:
    finished = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=False)
    assert finished.stdout == "both finished\n", finished.stderr


@pytest.mark.parametrize("count", [0, -1, 257])
def test_a_number_of_threads_that_makes_no_sense_is_refused(count: int) -> None:
    before = threads.get_num_threads()
    with pytest.raises(InputError, match=f"threads must be between 1 and 256, got {count}"):
        threads.set_num_threads(count)
    assert threads.get_num_threads() == before


def test_the_number_of_threads_can_be_set() -> None:
    for count in (1, 256, np.int64(3)):
        threads.set_num_threads(int(count))
        assert threads.get_num_threads() == count
