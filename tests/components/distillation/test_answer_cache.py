# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from radbundles.components.distillation.answer_cache import AnswerCache
from radbundles.components.distillation.talks import Outcome, Tally

ME = ("prompt", "scripted", "model-1")
GOOD = Outcome({"text": "There is effusion.", "entities": []}, None, Tally(1, 2, 3, 4, 5))
BAD = Outcome(None, "the reply was not JSON", Tally(3, 300, 30))


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.sqlite"


def test_outcomes_are_found_again_as_they_were(path: Path) -> None:
    odd = Outcome({"text": "Zeichen \ud800 ä", "entities": []}, None)
    with AnswerCache(path, ME) as cache:
        cache.keep(digest(1), GOOD)
        cache.keep(digest(2), BAD)
        cache.keep(digest(3), odd)
    with AnswerCache(path, ME) as cache:
        assert cache.find(map(digest, range(5))) == {digest(1): GOOD, digest(2): BAD, digest(3): odd}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_more_reports_than_one_query_takes(path: Path) -> None:
    with AnswerCache(path, ME) as cache:
        for number in range(0, 1300, 2):
            cache.keep(digest(number), GOOD)
        assert cache.find(map(digest, range(1300))).keys() == set(map(digest, range(0, 1300, 2)))
        assert cache.find([]) == {}


@pytest.mark.parametrize("place", range(3))
def test_answers_to_another_prompt_or_of_another_model_are_not_taken(path: Path, place: int) -> None:
    with AnswerCache(path, ME) as cache:
        cache.keep(digest(1), GOOD)
    other = [*ME]
    other[place] += "x"
    with AnswerCache(path, (other[0], other[1], other[2])) as cache:
        assert cache.find([digest(1)]) == {}


def test_failures_are_dropped_and_answers_stay(path: Path) -> None:
    with AnswerCache(path, ("prompt", "scripted", "model-2")) as cache:
        cache.keep(digest(1), BAD)
    with AnswerCache(path, ME) as cache:
        cache.keep(digest(1), GOOD)
        cache.keep(digest(2), BAD)
        before = cache.stamp
        assert cache.forget_failures() == 1
        assert cache.find([digest(1), digest(2)]) == {digest(1): GOOD}
        assert cache.stamp != before
    with AnswerCache(path, ("prompt", "scripted", "model-2")) as cache:
        assert cache.find([digest(1)]) == {digest(1): BAD}


def test_stamp_stays_with_the_file(path: Path) -> None:
    with AnswerCache(path, ME) as cache:
        stamp = cache.stamp
        cache.keep(digest(1), GOOD)
        assert cache.stamp == stamp
    with AnswerCache(path, ME) as cache:
        assert cache.stamp == stamp
    with AnswerCache(path.with_name("other.sqlite"), ME) as cache:
        assert cache.stamp != stamp


def test_a_later_outcome_replaces_the_earlier(path: Path) -> None:
    with AnswerCache(path, ME) as cache:
        cache.keep(digest(1), BAD)
        cache.keep(digest(1), GOOD)
        assert cache.find([digest(1)]) == {digest(1): GOOD}


def test_another_database_is_refused_and_left_alone(path: Path) -> None:
    rows = sqlite3.connect(path)
    rows.execute("CREATE TABLE answers (x)")
    rows.commit()
    rows.close()
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"answers\.sqlite is no cache of answers"):
        AnswerCache(path, ME)
    assert path.read_bytes() == before


def test_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text('{"id": "a"}\n' * 100)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"answers\.sqlite is damaged or no cache"):
        AnswerCache(path, ME)
    assert path.read_bytes() == before


def test_damage_is_named(path: Path) -> None:
    with AnswerCache(path, ME) as cache:
        for number in range(200):
            cache.keep(digest(number), GOOD)
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"answers\.sqlite is damaged"), AnswerCache(path, ME) as cache:
        cache.find(map(digest, range(200)))


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none/answers\.sqlite"):
        AnswerCache(tmp_path / "none" / "answers.sqlite", ME)


_CHILD = """
import sys
from radbundles.components.distillation.answer_cache import AnswerCache
from radbundles.components.distillation.talks import Outcome
cache = AnswerCache(sys.argv[1], ("prompt", "scripted", "model-1"))
print("open", flush=True)
number = 0
while True:
    cache.keep(f"{number:064x}", Outcome({"text": "x" * 700, "entities": []}, None))
    print(number, flush=True)
    number += 1
"""


def test_kept_outcomes_outlast_a_kill_and_the_holder_is_named_until_then(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with pytest.raises(OSError, match=rf"answers\.sqlite is in use by process {child.pid} on "):
            AnswerCache(path, ME)
        while int(child.stdout.readline()) < 300:
            pass
        child.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        said = [int(line) for line in child.stdout.read().splitlines() if line.isdigit()]
    last = max(said, default=300)
    with AnswerCache(path, ME) as cache:
        assert len(cache.find(f"{number:064x}" for number in range(last + 1))) == last + 1
