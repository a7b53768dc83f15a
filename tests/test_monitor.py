"""`lora-vs-api monitor`: no alarm without a cause, each text counted once, one rule for what is said."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lora_vs_api.analysis.results import write_result
from lora_vs_api.cli import monitor, monitor_checks
from lora_vs_api.cli.evaluate import seen_in_training
from lora_vs_api.cli.outputs import check_outputs
from lora_vs_api.config.load import load_params
from lora_vs_api.data.plain import plain
from lora_vs_api.data.source import read_table
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl
from lora_vs_api.monitoring import drift
from lora_vs_api.monitoring.betting import (
    level_of_look,
    log_capital,
    shows_fall,
    upper_bound,
)
from lora_vs_api.monitoring.drift import (
    Sample,
    differences,
    largest_gap,
    lengths_differ,
    means_differ,
    shares_differ,
)
from lora_vs_api.monitoring.features import (
    EMPTY,
    FILLED,
    NO_RECORD,
    OTHER,
    label_fields,
    labels,
    unknown_shares,
    vocabulary,
)
from lora_vs_api.monitoring.results import Check, QualityCheck
from lora_vs_api.monitoring.sequence import Labelled, looked_at, new_sequence
from lora_vs_api.monitoring.verdict import exit_code, sentences
from lora_vs_api.paths import GROUPS, TAUGHT, TEST, TRAIN, UNLABELLED, VAL
from lora_vs_api.record.fields import fields_from_config
from lora_vs_api.stats.clusters import Labels
from tests.imports import ROOT

ALARM = 0.05


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(drift, "DRAWS", 499)
    # fewer categories to draw: the test is the same
    monkeypatch.setattr(drift, "BINS", 20)
    monkeypatch.setattr(drift, "STEPS", 50)


def scores_of(mean: float, size: int, rng: np.random.Generator, coarse: bool) -> np.ndarray:
    """Field F1 of texts: right or wrong, or spread between."""
    if coarse:
        return (rng.random(size) < mean).astype(float)
    return rng.beta(8 * mean, 8 * (1 - mean), size)


# the sequential test


@pytest.mark.slow
@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize("mean", [0.5, 0.9])
def test_looking_after_every_text_raises_no_more_false_alarms(mean, coarse):
    """The always-valid level: quality is just what it was, and somebody looks 300 times."""
    rng = np.random.default_rng(0)
    alarms = [
        shows_fall(list(scores_of(mean, 300, rng, coarse)), mean, ALARM, grouped=False)
        for _ in range(400)
    ]
    # three standard errors of a simulation of 400 beyond
    assert np.mean(alarms) <= ALARM + 3 * np.sqrt(ALARM * (1 - ALARM) / 400)


@pytest.mark.slow
def test_a_plain_interval_looked_at_every_time_would_not_keep_that_level():
    """What the test is for: a normal interval of 95 % at each look is wrong for every fourth sequence."""
    rng = np.random.default_rng(0)
    counts = np.arange(1, 301)
    alarms = []
    for _ in range(300):
        values = scores_of(0.9, 300, rng, coarse=False)
        means = np.cumsum(values) / counts
        spread = np.sqrt(np.cumsum(values**2) / counts - means**2)
        alarms.append(np.any((means + 1.645 * spread / np.sqrt(counts) < 0.9)[20:]))
    assert np.mean(alarms) > 2 * ALARM


@pytest.mark.slow
def test_groups_that_come_again_raise_no_more_false_alarms():
    """Twelve customers write at every look: their means move together, and are no new evidence."""
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(400):
        of_group = scores_of(0.8, 12, rng, coarse=True)
        seen: list[np.ndarray] = []
        alarmed = False
        for look in range(1, 7):
            seen.append(np.abs(of_group - (rng.random(12) < 0.1)))
            means = list(np.mean(seen, axis=0))
            # 0.1 of the texts are not as their group
            alarmed |= shows_fall(
                means, 0.8 * 0.9 + 0.2 * 0.1, level_of_look(ALARM, look, grouped=True), grouped=True
            )
        alarms.append(alarmed)
    assert np.mean(alarms) <= ALARM + 3 * np.sqrt(ALARM * (1 - ALARM) / 400)


def test_the_looks_of_groups_share_the_alarm():
    spent = [level_of_look(ALARM, look, grouped=True) for look in range(1, 10_000)]
    assert 0.99 * ALARM < sum(spent) <= ALARM
    assert level_of_look(ALARM, 7, grouped=False) == ALARM


def test_a_fall_is_found():
    """From 0.85 to 0.6, with a threshold of 0.8: most sequences show it within 80 texts."""
    rng = np.random.default_rng(0)
    found = [
        shows_fall(list(scores_of(0.6, 80, rng, False)), 0.8, ALARM / 2, grouped=False)
        for _ in range(100)
    ]
    assert np.mean(found) > 0.95


@pytest.mark.slow
def test_the_upper_end_covers_and_tightens():
    rng = np.random.default_rng(0)
    ends = [upper_bound(scores_of(0.7, 60, rng, True), ALARM) for _ in range(80)]
    assert np.mean(np.array(ends) < 0.7) <= ALARM
    assert upper_bound(np.full(400, 0.7), ALARM) < upper_bound(np.full(20, 0.7), ALARM)
    assert upper_bound([], ALARM) == 1.0 and upper_bound([1.0] * 50, ALARM) > 0.99


@pytest.mark.parametrize("mean", [-0.1, 1.0, float("nan")])
def test_what_cannot_be_bet_on_is_refused(mean):
    with pytest.raises(ValueError, match="mean: expected"):
        log_capital([0.5], mean)
    with pytest.raises(ValueError, match="scores: expected"):
        log_capital([1.5], 0.5)


@pytest.fixture(scope="module")
def params():
    return load_params(ROOT / "params.yaml")


def sequence_of(params, scores=(0.9, 0.8, 1.0, 0.7) * 12, by=None, groups=None):
    return new_sequence("a" * 64, "b" * 64, by, scores, groups, params.monitor, params.stats)


def several(score: float, number: int, first: int = 0, group: str | None = None) -> list[Labelled]:
    return [Labelled(f"text {first + n}", group, score) for n in range(number)]


def test_a_labelled_text_counts_once(params):
    """In one file or another, however it is wrapped; and what the run itself knew never does."""
    sequence = sequence_of(params)
    sequence, check = looked_at(sequence, [*several(0.5, 3), *several(0.5, 2)], {plain("text 0")})
    assert (check.added, check.repeated, check.in_run) == (2, 1, 2)
    again, check = looked_at(sequence, [Labelled("text\n  1", None, 0.0), *several(0.1, 1, 2)], ())
    assert again == sequence and (check.added, check.repeated) == (0, 2)
    assert check.looks == 1 and check.texts == 2 and check.mean == 0.5


def test_no_word_of_a_text_or_of_a_customer_stands_in_the_state(params):
    sequence, _ = looked_at(sequence_of(params, by="who", groups=("x", "y") * 24), several(0.5, 2, group="Ann Lee"), ())  # fmt: skip
    kept = sequence.model_dump_json()
    assert "Ann" not in kept and "text 0" not in kept


def test_the_threshold_leaves_room_for_what_measuring_left_open(params):
    """Below the interval of the test texts and below what matters, whichever is lower."""
    few, many = sequence_of(params), sequence_of(params, (0.9, 0.8, 1.0, 0.7) * 5_000)
    assert few.threshold < few.measured - params.monitor.matters.f1
    assert many.threshold == pytest.approx(many.measured - params.monitor.matters.f1)
    assert few.alarm == params.monitor.quality_alarm / 2
    nothing = sequence_of(params, (0.0,) * 20)
    assert nothing.threshold == 0.0
    # no mean is below zero: nothing is judged, and nothing said to count as fallen
    check = looked_at(nothing, several(0.0, 500), ())[1]
    assert check.outcome == "not judged"
    said = " ".join(sentences((), (), check, None, 1))
    assert "too low or on too few test texts" in said and "counts as fallen" not in said


def test_an_alarm_stands_whatever_comes_later(params):
    sequence, check = looked_at(sequence_of(params), several(0.1, 40), ())
    assert check.outcome == "fell" and check.fell_at == 1
    _, check = looked_at(sequence, several(1.0, 500, first=100), ())
    assert check.outcome == "fell" and check.fell_at == 1 and check.looks == 2


def test_texts_of_one_group_are_one_piece_of_evidence(params):
    """Forty bad answers to one customer show nothing of how others are answered."""
    start = sequence_of(params, by="who", groups=tuple(f"g{n % 16}" for n in range(48)))
    _, check = looked_at(start, several(0.1, 40, group="Ann"), ())
    assert (check.units, check.texts, check.outcome) == (1, 40, "not shown to have fallen")
    apart = [Labelled(f"text {n}", f"customer {n}", 0.1) for n in range(40)]
    assert looked_at(start, apart, ())[1].outcome == "fell"


# the checks for drift


def drawn(shares, size, rng, groups=None):
    return Sample(rng.choice(len(shares), size, p=shares), groups)


@pytest.mark.slow
def test_nothing_is_called_something_no_more_often_than_said(few_draws):
    rng, shares = np.random.default_rng(0), [0.22, 0.22, 0.22, 0.22, 0.12]
    found = []
    for _ in range(150):
        one = shares_differ(drawn(shares, 48, rng), drawn(shares, 60, rng), 5)
        lengths = [(rng.lognormal(5, 0.4, size).round(), None) for size in (200, 60)]
        unsure = [(rng.beta(9, 1, size), None) for size in (48, 60)]
        all_ = {
            "a": one,
            "b": lengths_differ(*lengths),
            "c": means_differ(*unsure, higher=False),
        }
        found.append(min(each.p_holm for each in differences(all_, ALARM, 0).values()) <= ALARM)
    assert np.mean(found) <= ALARM + 3 * np.sqrt(ALARM * (1 - ALARM) / 150)


@pytest.mark.slow
@pytest.mark.parametrize(("texts", "groups"), [(60, 8), (50, 25)])
def test_groups_that_are_alike_within_raise_no_more_false_alarms(few_draws, texts, groups):
    """Each customer writes of one thing: eight customers are eight opinions."""
    rng = np.random.default_rng(0)

    def sample(size: int, number: int) -> Sample:
        of_text = rng.integers(0, number, size)
        favourite = rng.integers(0, 4, number)
        return Sample(favourite[of_text], tuple(map(str, of_text)))

    found, as_if_independent = [], []
    for _ in range(200):
        before, now = sample(120, 30), sample(texts, groups)
        for each, kept in ((found, (before, now)), (as_if_independent, (Sample(before.places), Sample(now.places)))):  # fmt: skip
            p = differences({"a": shares_differ(*kept, 4)}, ALARM, 0)["a"].p_value
            each.append(p <= ALARM)
    assert np.mean(found) <= ALARM + 3 * np.sqrt(ALARM * (1 - ALARM) / 200)
    assert np.mean(as_if_independent) > 2 * ALARM


def test_a_difference_is_found_and_told_with_its_size(few_draws):
    rng = np.random.default_rng(0)
    before, now = drawn([0.5, 0.5, 0.0], 100, rng), drawn([0.1, 0.3, 0.6], 100, rng)
    longer = (rng.normal(200, 30, 300), None), (rng.normal(400, 30, 50), None)
    found = differences(
        {
            "labels": shares_differ(before, now, 3),
            "length": lengths_differ(*longer),
            "new words": means_differ(
                (np.full(50, 0.02), None), (np.full(50, 0.4), None), higher=True
            ),
            "fewer": means_differ((np.full(50, 0.4), None), (np.full(50, 0.02), None), higher=True),
        },
        ALARM,
        0,
    )
    assert {name for name, each in found.items() if each.p_holm <= ALARM} == {"labels", "length", "new words"}  # fmt: skip
    assert found["labels"].distance == pytest.approx(
        np.abs(np.bincount(before.places, minlength=3) - np.bincount(now.places)).sum() / 200
    )
    assert found["length"].distance > 0.95 and found["fewer"].distance == 0
    assert found["new words"].distance == pytest.approx(0.38)


def test_what_could_have_been_shown_is_what_is_shown(few_draws):
    """A distance above ``detectable`` has a p-value of the level at most, one below has not."""
    before = Sample(np.repeat([0, 1], 30))
    met = set()
    for number in range(31):
        now = Sample(np.repeat([0, 1], [number, 30 - number]))
        one = differences({"a": shares_differ(before, now, 2)}, ALARM, 0)["a"]
        met.add(one.p_value <= ALARM)
        assert (one.p_value <= ALARM) == (one.distance > one.detectable + 1e-9)
    assert met == {True, False}


@pytest.mark.parametrize("size", [1, 2])
def test_a_text_or_two_show_nothing(few_draws, size):
    before, now = Sample(np.repeat([0, 1], 30)), Sample(np.zeros(size, dtype=np.intp))
    one = differences({"a": shares_differ(before, now, 2)}, ALARM, 0)["a"]
    assert one.p_value > ALARM


# what is compared


def test_words_are_known_again_and_numbers_are_no_words_of_their_own():
    known = vocabulary(["Order #123 is late.", "Ça va"])
    assert list(unknown_shares(["ORDER 987 ça", "Bestellung 12", "", "?!"], known)) == [
        0.0, 1.0, 0.0, 0.0,
    ]  # fmt: skip
    assert unknown_shares(["注文 番号"], vocabulary(["注文"]))[0] == 0.5


def test_every_answer_has_a_label_in_each_field_that_has_some():
    fields = fields_from_config(
        {
            "kind": {"type": "enum", "values": ["a", "b"], "score": "exact"},
            "level": {"type": "integer", "minimum": 1, "maximum": 5, "score": "exact"},
            "paid": {"type": "boolean", "score": "exact", "optional": True},
            "items": {"type": "list", "score": "set_f1"},
            "note": {"type": "string", "score": "exact", "optional": True},
            "who": {"type": "string", "score": "exact"},
        }
    )
    found = label_fields(fields)
    assert list(found) == ["kind", "level", "paid", "items", "note"]
    said = [
        '{"kind": "a", "level": 2, "paid": true, "items": ["x"], "note": "n", "who": "A"}',
        '{"kind": "z", "level": "2", "paid": null, "items": [], "note": null}',
        "no",
    ]
    assert {name: labels(said, field) for name, field in found.items()} == {
        "kind": ["a", OTHER, NO_RECORD],
        "level": ["2", OTHER, NO_RECORD],
        "paid": ["true", EMPTY, NO_RECORD],
        "items": [FILLED, EMPTY, NO_RECORD],
        "note": [FILLED, EMPTY, NO_RECORD],
    }


# what is said


def checked(drift_: bool, detectable: float = 0.1) -> Check:
    return Check(
        kind="labels", name="answers: kind", texts_before=50, texts_now=40, before=None, now=None,
        shares_before={"a": 0.5, "b": 0.5}, shares_now={"a": 0.1, "b": 0.9}, distance=0.4,
        matters=0.15, detectable=detectable, p_value=0.001, p_holm=0.002, drift=drift_,
    )  # fmt: skip


def judged(outcome: str, mean: float | None = 0.7) -> QualityCheck:
    return QualityCheck.model_validate(
        {
            "outcome": outcome, "texts": 1, "units": 1, "looks": 1, "mean": mean,
            "upper": mean and 0.9, "measured": 0.8, "threshold": 0.75, "alarm": 0.05,
            "fell_at": 1 if outcome == "fell" else None, "added": 1, "repeated": 0, "in_run": 0,
        }
    )  # fmt: skip


@pytest.mark.parametrize("drifted", [True, False])
@pytest.mark.parametrize("outcome", ["fell", "not shown to have fallen", "not judged"])
def test_sentences_and_exit_code_say_the_same(drifted, outcome):
    checks, quality = (
        [checked(drifted)],
        judged(outcome, None if outcome == "not judged" else 0.7),
    )
    said = " ".join(sentences(checks, (), quality, None, 0))
    code = exit_code(checks, quality)
    assert ("Drift: answers: kind" in said) == drifted
    assert ("No drift found in 1 check." in said) == (not drifted)
    assert ("Quality fell" in said) == (outcome == "fell") == (code == 4)
    assert ("not judged" in said) == (outcome == "not judged")
    assert code == (4 if outcome == "fell" else 3 if drifted else 0)


def test_what_so_few_texts_could_not_show_is_said():
    """No drift found among ten texts is no news: the verdict must not read as if it were."""
    said = " ".join(sentences([checked(False, 0.5)], (), judged("not judged", None), None, 0))
    assert "Too few texts to show every difference that matters: answers: kind from 0.50." in said
    assert "Too few" not in " ".join(sentences([checked(False)], (), judged("fell"), None, 0))
    assert "Nothing could be compared." in sentences([], (), judged("fell"), None, 0)


def test_lengths_whose_median_stays_are_told_where_they_differ():
    """ "length 120 before, 120 now" would be a drift that nobody sees."""
    before, now = np.full(100, 120.0), np.repeat([20.0, 120.0, 900.0], [40, 20, 40])
    size, was, is_ = largest_gap(before, now)
    found = differences({"a": lengths_differ((before, None), (now, None))}, ALARM, 0)["a"]
    assert (size, was, is_) == (20.0, 0.0, 0.4) and found.distance == pytest.approx(abs(is_ - was))
    label = f"up to {size:.0f} characters"
    check = checked(True).model_copy(
        update={"kind": "length", "name": "length", "before": 120.0, "now": 120.0,
                "shares_before": {label: was}, "shares_now": {label: is_}}
    )  # fmt: skip
    said = sentences([check], (), judged("fell"), None, 0)[0]
    assert "up to 20 characters: 0% before, 40% now" in said


def test_the_bound_has_a_level_and_what_was_measured_an_owner():
    said = " ".join(sentences((), (), judged("not shown to have fallen"), "who", 3))
    assert "upper end of a one-sided 97.5% confidence sequence" in said
    assert "measured of seed 3 was 0.800 (mean over groups)" in said
    assert "over groups" not in " ".join(sentences((), (), judged("fell"), None, 3))


@pytest.fixture
def taught_alone(tmp_path, monkeypatch):
    """A run that learnt from a teacher's labels alone."""
    monkeypatch.chdir(tmp_path)
    for path, text in ((VAL, "v"), (TEST, "t"), (TAUGHT, "taught one"), (UNLABELLED, "taught one")):
        write_jsonl(path, [{"id": text, "text": text, "record": {}}])
    write_jsonl(TRAIN, [])
    params = load_params(ROOT / "params.yaml")
    labels_ = params.training_labels.model_copy(update={"rows": TAUGHT})
    return params.model_copy(update={"training_labels": labels_})


def test_what_a_teacher_labelled_was_trained_on(taught_alone):
    """Gold training rows are none there: nothing is divided by them, and nothing trained on is new."""
    params = taught_alone
    assert plain("taught one") in monitor.run_texts(params)
    assert seen_in_training([{"id": "a", "text": "taught  one", "record": {}}], TAUGHT) == ["a"]
    new = monitor_checks.NewTexts(["taught two"], ["a"], None, [], [])
    ungrouped = params.model_copy(
        update={"task": params.task.model_copy(update={"group_by": None})}
    )
    found, unjudged = monitor_checks._text_checks(ungrouped, new)
    assert set(found) == {"length", "unknown words"} and not unjudged
    assert found["unknown words"].now == 0.5 and found["length"].before == len("taught one")
    # texts that the split has put into no group
    write_jsonl(GROUPS, [{"id": each, "group": each} for each in "vt"])
    new = monitor_checks.NewTexts(["taught two"], ["a"], Labels("situation", ("x",)), [], [])
    found, unjudged = monitor_checks._text_checks(params, new)
    assert set(found) == {"unknown words"} and "has a group" in unjudged[0].reason
    write_jsonl(TAUGHT, [])
    found, unjudged = monitor_checks._text_checks(params, new)
    assert not found and [each.name for each in unjudged] == ["length", "unknown words"]


def test_confidence_that_another_run_measured_is_not_compared_with(params, tmp_path, monkeypatch):
    """Retrained without a cascade: the file of the training before may still lie there."""
    monkeypatch.chdir(tmp_path)
    write_jsonl("predictions/cascade/lora-seed-0/confidence_test.jsonl", [{"id": "t", "text": 0.5}])
    new = monitor_checks.NewTexts(["x"], ["a"], None, [], [])
    write_result("metrics/cascade.json", None)
    found = monitor_checks._confidence_check(
        params, tmp_path / "seed-0", new, [], [{"id": "t"}], None
    )
    assert isinstance(found, monitor_checks.Unjudged) and "seed 0" in found.reason


def test_a_state_of_another_way_of_asking_is_refused(params, tmp_path):
    """The same adapter with other weights, decoding or engine has other scores: one mean of both is none."""
    new = monitor_checks.NewTexts(["x"], ["a"], None, [], [])
    path = tmp_path / "state.json"
    first = monitor._sequence(params, path, "a" * 64, new, np.array([0.9, 0.8] * 20), None)
    write_result(path, first)
    assert monitor._sequence(params, path, "a" * 64, new, np.array([0.1]), None) == first
    field = next(iter(params.task.fields))
    for part, update in (
        ("task", {"weights": {field: 2.0}}),
        ("decoding", {"constrained": not params.decoding.constrained}),
        ("serving", {"engine": "transformers"}),
    ):
        section = getattr(params, part).model_copy(update=update)
        with pytest.raises(UserError, match="other fields or weights .*--state"):
            other = params.model_copy(update={part: section})
            monitor._sequence(other, path, "a" * 64, new, np.array([0.9]), None)
    faster = params.decoding.model_copy(update={"batch_size": 3})
    assert monitor.asked_sha256(params.model_copy(update={"decoding": faster})) == monitor.asked_sha256(params)  # fmt: skip


def test_what_cannot_be_written_is_told_before_anything_is_asked(tmp_path):
    """Nor does a file take the place of one that is read, of another output, or of a device."""
    file = tmp_path / "file"
    file.write_text("")
    for path, said in (
        (tmp_path, "is a folder"),
        (file / "a.json", "is a file"),
        ("/dev/null", "the path of a file"),
        ("-", "the path of a file"),
    ):
        with pytest.raises(UserError, match=said):
            check_outputs({"--output": path})
    with pytest.raises(UserError, match="^--output: .*file is what is read; expected another file"):
        check_outputs({"--output": tmp_path / "." / "file"}, [str(file)])
    with pytest.raises(UserError, match="^--csv: .*file is what --figure writes"):
        check_outputs({"--figure": file, "--csv": file})
    check_outputs({"--output": tmp_path / "new/folder/a.json", "--state": file, "--csv": None})


@pytest.mark.parametrize("label", ["x", ""])
def test_what_was_left_out_of_a_file_is_said_once(label, tmp_path, monkeypatch, capsys):
    """With labels it is read a second time, by what tells it then."""
    path = tmp_path / "new.csv"
    path.write_text(f"text,a\none,{label}\n,\n")

    def labelled_rows(params, file, encoding, keep):
        read_table(file, encoding, "text")
        return [{"record": {"a": "x"}}]

    monkeypatch.setattr(monitor, "labelled_rows", labelled_rows)
    data = SimpleNamespace(text="text", record=None, encoding=None)
    fields = fields_from_config({"a": {"type": "string", "score": "exact"}})
    params = SimpleNamespace(data=data, task=SimpleNamespace(record_fields=fields, group_by=None))
    monitor._read(params, str(path), None)
    assert capsys.readouterr().err.count("left out") == 1


def test_rows_of_nulls_are_told(params, tmp_path, monkeypatch):
    """Where every field may be empty they may be records; they are counted as none, and that is said."""
    path = tmp_path / "new.csv"
    monkeypatch.setattr(monitor, "labelled_rows", lambda *given: [{"record": {"a": "x"}}])
    data = SimpleNamespace(text="text", record=None, encoding=None)
    for optional, blank in ((True, 1), (False, 0)):
        fields = fields_from_config(
            {"a": {"type": "string", "score": "exact", "optional": optional}}
        )
        task = SimpleNamespace(record_fields=fields, group_by=None)
        path.write_text("text,a\none,x\ntwo,\n")
        found = monitor._read(SimpleNamespace(data=data, task=task), str(path), None)
        assert (found.labelled, found.blank) == ([0], blank)
        # a file without the columns has no labels at all
        path.write_text("text\none\ntwo\n")
        found = monitor._read(SimpleNamespace(data=data, task=task), str(path), None)
        assert (found.labelled, found.blank) == ([], 0)
    quality = judged("fell").model_copy(update={"blank": 2})
    assert "2 rows with no value in any field" in " ".join(sentences((), (), quality, None, 0))


def test_a_group_that_is_no_text_or_number_is_refused_as_in_the_labelled_file(tmp_path):
    table = [("f:1", {"who": "e\u0301 "}), ("f:2", {"who": 7})]
    assert list(monitor._groups("f", table, "who") or ()) == ["\u00e9", "7"]
    for cell, found in (([1], r"\[1\]"), ("  ", "none"), (None, "none")):
        with pytest.raises(
            UserError, match=f"expected a text or a number to group by, found {found}"
        ):
            monitor._groups("f", [*table, ("f:3", {"who": cell})], "who")
