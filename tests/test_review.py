"""Review: verdicts count only for the email they were given on, and only people write them."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lora_vs_api.cli.review import review_sample as ask_reviewer
from lora_vs_api.data.review import (
    COLUMNS,
    join_verdicts,
    read_verdicts,
    review_sample,
    text_sha256,
)
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl

ROOT = Path(__file__).parents[1]
HEADER = ",".join(COLUMNS) + "\n"
TIME = "2026-11-23T10:00:00+00:00"
SAMPLE = [
    {"id": f"e{k}", "text": f"Hello {k},\n\nplease help.", "record": {"urgency": k, "items": ["x"]}}
    for k in range(1, 6)
]
PARAMS = """
task:
  fields:
    urgency: {type: integer, minimum: 1, maximum: 5, score: exact}
    items: {type: list, score: set_f1}
"""


def _line(row, verdict, fixed="", note="", **changes):
    cells = {
        "id": row["id"], "text_sha256": text_sha256(row["text"]), "verdict": verdict,
        "reviewer": "Ann", "reviewed_at": TIME, "note": note, "fixed_record": fixed, **changes,
    }  # fmt: skip
    return [cells[name] for name in COLUMNS]


def _write(path, lines):
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *lines])
    return path


def test_committed_verdict_file_is_well_formed():
    """The file in the repository can be read; a merge or an editor may break it."""
    read_verdicts(ROOT / "data/review/verdicts.csv")


def test_sample_is_random_and_repeatable():
    """The same seed draws the same emails, another seed others, none twice."""
    rows = [{"id": k} for k in range(500)]
    sample = review_sample(rows, 100, 0)
    assert sample == review_sample(rows, 100, 0) != review_sample(rows, 100, 1)
    assert len({row["id"] for row in sample}) == 100
    assert sample != rows[:100]
    with pytest.raises(UserError, match=r"^review.sample: expected 1..500"):
        review_sample(rows, 501, 0)


def test_verdicts_are_joined_by_id_and_text(tmp_path):
    """A verdict on an email whose text has changed since is not a verdict on the new text."""
    stale = text_sha256("an earlier text")
    path = _write(
        tmp_path / "verdicts.csv",
        [
            _line(SAMPLE[0], "accept"),
            _line(SAMPLE[1], "reject", note='odd,\n"really"'),
            _line(SAMPLE[2], "fix", fixed='{"urgency": 1, "items": []}'),
            _line(SAMPLE[3], "accept", text_sha256=stale),
            _line(SAMPLE[4], "accept", id="other"),
        ],
    )
    assert join_verdicts(SAMPLE, path) == {
        "sample": 5, "accepted": 1, "rejected": 1, "fixed": 1, "unreviewed": 2,
        "verdicts_for_other_texts": 2,
    }  # fmt: skip


def test_last_verdict_on_an_email_holds(tmp_path):
    """A reviewer may think again; one email is never counted twice."""
    path = _write(
        tmp_path / "verdicts.csv",
        [_line(SAMPLE[0], "reject", note="no"), _line(SAMPLE[0], "accept")],
    )
    counts = join_verdicts(SAMPLE, path)
    assert (counts["accepted"], counts["rejected"], counts["unreviewed"]) == (1, 0, 4)


def test_no_verdicts_means_unreviewed(tmp_path):
    """Nothing is invented: without verdicts nothing is accepted."""
    counts = join_verdicts(SAMPLE, _write(tmp_path / "verdicts.csv", []))
    assert counts["unreviewed"] == counts["sample"] == 5
    assert counts["accepted"] == counts["rejected"] == counts["fixed"] == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (_line(SAMPLE[0], "ok"), "verdict: expected one of accept, reject, fix, found 'ok'"),
        (_line(SAMPLE[0], "accept", text_sha256="12"), "text_sha256: expected 64"),
        (_line(SAMPLE[0], "accept", reviewer=" "), "reviewer: expected the reviewer's name"),
        (_line(SAMPLE[0], "accept", reviewed_at="today"), "reviewed_at: expected an ISO 8601 time"),
        (_line(SAMPLE[0], "accept", id=""), "id: expected the text's id"),
        (_line(SAMPLE[0], "fix"), "fixed_record: a fix needs the corrected record"),
        (_line(SAMPLE[0], "fix", fixed="[1]"), "fixed_record: a fix needs the corrected record"),
        (_line(SAMPLE[0], "accept", fixed="{}"), "fixed_record: only a fix has one"),
        (["e1", "accept"], "expected 7 columns, found 2"),
    ],
)
def test_bad_row_is_named(tmp_path, line, message):
    """File and line are right even after a note that holds a line end."""
    path = _write(tmp_path / "verdicts.csv", [_line(SAMPLE[1], "reject", note="two\nlines"), line])
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}:4: {message}')}"):
        read_verdicts(path)


@pytest.mark.parametrize("content", ["", "id,verdict\n"])
def test_wrong_header(tmp_path, content):
    """A file without the columns is refused rather than read as no verdicts."""
    (tmp_path / "verdicts.csv").write_text(content)
    with pytest.raises(UserError, match="verdicts.csv:1: expected the header id,text_sha256"):
        read_verdicts(tmp_path / "verdicts.csv")
    with pytest.raises(UserError, match="no such file"):
        read_verdicts(tmp_path / "absent.csv")


@pytest.fixture
def desk(tmp_path):
    """A folder with a sample, an empty verdict file and a schema."""
    write_jsonl(tmp_path / "sample.jsonl", SAMPLE)
    (tmp_path / "verdicts.csv").write_text(HEADER)
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def _review(desk, answers, *options):
    return subprocess.run(
        [
            sys.executable, "-m", "lora_vs_api", "review", "--reviewer", "Ann Lee",
            "--sample", desk / "sample.jsonl", "--verdicts", desk / "verdicts.csv",
            "--params", desk / "params.yaml", *options,
        ],
        input=answers, capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip


def test_reviewer_command_records_each_answer(desk):
    """Accept, reject with a reason, fix with checked corrections, skip, quit; then going on."""
    answers = (
        "a\n"
        'x\nr\n\nr\nnot an email, "spam"\n'
        "f\nurgency=9\nurgncy=2\nurgency=2\nitems=Lamp, Router\n\n"
        "s\nq\n"
    )
    done = _review(desk, answers)
    assert done.returncode == 0, done.stderr
    assert "1/5  e1" in done.stdout and "5/5  e5" in done.stdout
    assert "please answer a, r, f, s or q" in done.stdout
    assert "a rejection needs a reason" in done.stdout
    assert "urgency: expected an integer 1..5, found 9" in done.stdout
    assert "expected field=value with one of urgency, items" in done.stdout
    assert done.stdout.endswith("1 accepted, 1 rejected, 1 fixed, 2 unreviewed\n")
    verdicts = read_verdicts(desk / "verdicts.csv")
    assert [(entry.id, entry.verdict) for entry in verdicts] == [
        ("e1", "accept"), ("e2", "reject"), ("e3", "fix"),
    ]  # fmt: skip
    assert verdicts[1].note == 'not an email, "spam"'
    assert verdicts[2].fixed_record == {"urgency": 2, "items": ["Lamp", "Router"]}
    assert {entry.reviewer for entry in verdicts} == {"Ann Lee"}

    again = _review(desk, "a\n")  # and the input ends, as with Ctrl-D
    assert again.returncode == 0, again.stderr
    assert "5 texts, 3 of them reviewed" in again.stdout
    assert "e1 ----" not in again.stdout and "4/5  e4" in again.stdout
    assert join_verdicts(SAMPLE, desk / "verdicts.csv")["accepted"] == 2


def test_fix_without_change_records_nothing(desk):
    """A fix that fixes nothing must not be counted as one."""
    done = _review(desk, "f\nurgency=1\n\nq\n")
    assert "nothing changed, nothing recorded" in done.stdout
    assert (desk / "verdicts.csv").read_text() == HEADER


def test_verdict_is_appended_to_a_file_without_final_line_end(desk):
    """Editors may drop the last line end; the next verdict must not run into it."""
    line = ",".join(_line(SAMPLE[0], "accept"))
    (desk / "verdicts.csv").write_text(HEADER + line)
    _review(desk, "a\nq\n")
    assert [entry.id for entry in read_verdicts(desk / "verdicts.csv")] == ["e1", "e2"]


def test_reviewer_command_fails_in_one_line(desk):
    """A missing sample or a broken verdict file is an error line, and nothing is written."""
    (desk / "verdicts.csv").write_text(HEADER + "e1,accept\n")
    done = _review(desk, "a\n")
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*verdicts.csv:2: expected 7 columns, found 2\n", done.stderr)
    (desk / "sample.jsonl").unlink()
    done = _review(desk, "a\n")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    write_jsonl(desk / "sample.jsonl", [SAMPLE[0], {"id": 7, "text": "as somebody else wrote it"}])
    with pytest.raises(UserError, match=r"sample.jsonl:2: id: expected a row with id and text"):
        ask_reviewer(
            "Ann", *map(str, (desk / "sample.jsonl", desk / "none.csv", desk / "params.yaml"))
        )
    assert (desk / "verdicts.csv").read_text() == HEADER + "e1,accept\n"
