"""Real files of public repositories, each of which was read wrongly once; the repository stands with its test."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import openpyxl
import pytest

from lora_vs_api.cli.app import main
from lora_vs_api.cli.roles import _words_of
from lora_vs_api.data.columns import EMPTY, always_the_same, bookkeeping
from lora_vs_api.data.exports.completions import without_marks
from lora_vs_api.data.exports.pieces import with_entities_of_pieces
from lora_vs_api.data.infer import infer_field
from lora_vs_api.data.table import Table
from lora_vs_api.data.tables import load_table
from lora_vs_api.data.templates import text_reader
from lora_vs_api.errors import UserError
from tests.test_public_reports_8 import TEXTS, init, write

REPORTS = [f"{text} and broken, money back please" for text in TEXTS]
PLAIN = [text.replace(",", "") for text in REPORTS]


def told(capsys) -> str:
    return "".join(capsys.readouterr())


def workbook(path: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [";", ", ", "|"])
def test_a_label_that_one_row_has_does_not_make_combinations_labels(mark):
    """A multi-select of Google Forms whose rarest option was ticked once: each combination became a label."""
    kinds = ["Excel", "Python", "R", "Excel Python", "Python R", "Excel Python R"]
    cells = [mark.join(kinds[n % 6].split()) for n in range(40)] + [f"R{mark}SPSS"]
    found = infer_field("tools", cells)
    if mark == ";":
        assert found.spec["type"] == "list"
    else:
        assert f"are there several with {mark.strip()!r} between them?" in found.why


def test_names_with_a_comma_are_no_several_labels():
    found = infer_field("shelf", ["Home, garden", "Toys", "Books"] * 20 + ["Food, drink"])
    assert "are there several" not in found.why


@pytest.mark.parametrize(
    "between", [[], [[None, None, None], ["Source: the survey of 2024", None, None]]]
)
def test_a_title_beside_the_table_is_blamed_and_not_its_names(tmp_path, between):
    """UD_Japanese-GSD's ene_mapping.xlsx: a title in A1, the table from column B on; its names were to be taken out."""
    rows = [["Tickets of the year", None, None], *between, [None, "message", "kind"], *([None, text, "ab"[n % 2]] for n, text in enumerate(TEXTS))]  # fmt: skip
    with pytest.raises(
        UserError, match="the header seems to be the line below .*: take out the lines above it"
    ):
        load_table(workbook(tmp_path / "a.xlsx", rows))


def test_a_row_with_an_empty_cell_in_the_first_line_is_a_row(tmp_path):
    """LibraryMigration's cluster.xlsx has no header, and its first row one cell: the second was to be the names."""
    rows = [["0", None], *([str(n), f"org.apache:part{n}"] for n in range(1, 30))]
    with pytest.raises(
        UserError, match="the first line seems to be a row: put a line with names above it"
    ):
        load_table(workbook(tmp_path / "a.xlsx", rows))
    # years above a table whose first column has no name are names
    rows = [[None, "2020", "2021"], *([f"land {n}", n, n + 1] for n in range(20))]
    with pytest.raises(UserError, match="column 1 without a name holds 'land 0'; name it"):
        load_table(workbook(tmp_path / "b.xlsx", rows))


def test_halves_of_characters_in_a_sheet(tmp_path):
    """dataease/dataease#5135: XML has no place for them alone; two of them are an emoji, one is refused as in JSON."""
    rows = [["text", "label"], *([f"so happy _xD83D__xDE00_ no {n}", "a"] for n in range(3))]
    found = load_table(workbook(tmp_path / "a.xlsx", rows)).rows
    assert found[0][1]["text"] == "so happy 😀 no 0"
    rows[2][0] = "so _xD83D_ happy"
    with pytest.raises(
        UserError, match=r"b.xlsx:3: 'text': expected whole characters, found a lone surrogate"
    ):
        load_table(workbook(tmp_path / "b.xlsx", rows))


@pytest.mark.parametrize(
    ("first", "is_row"),
    [("Biologist\tperson", True), ("token\tperson", False), ("Name of it\tner_tag", False)],
)
def test_a_first_line_of_words_may_be_a_row(tmp_path, first, is_row):
    """GUM's interview_ants.tsv: a word a line with its label; the first one was taken for names without a word."""
    words = [
        f"{word}{chr(97 + n % 26)}{chr(97 + n % 7)}"
        for n, word in enumerate(word for text in PLAIN for word in text.split())
    ]
    lines = [f"{word}\t{['person', 'place', 'O'][n % 3]}" for n, word in enumerate(words)]
    (tmp_path / "a.tsv").write_text("\n".join([first, *lines]) + "\n")
    notes = load_table(tmp_path / "a.tsv").notes
    assert any("'person' stands again in the lines below" in note for note in notes) == is_row


def test_a_list_that_python_wrote_needs_quotes_around_it(tmp_path):
    """Media-Bias' annotators.csv: the items' single quotes were to become double ones, which mends nothing."""
    rows = [f"{text},{n}" for n, text in enumerate(PLAIN)]
    (tmp_path / "a.csv").write_text(
        "\n".join(["text,n", *rows[:5], f"{PLAIN[0]},['CNN', 'MSNBC', 'NPR', 'BBC']", *rows]) + "\n"
    )
    with pytest.raises(UserError, match="a cell that holds the separator needs quotes around it"):
        load_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "cell",
    [
        "G#/A♭ Major",
        "5 €",
        "Zażółć gęślą",
        "привет",
        "日本語の文",
        "it’s",
        "Größe",
        "Ünal",
        "😀 ok",
        "ÀÉ",
    ],
)
def test_letters_that_were_misread_are_told_in_every_script(tmp_path, cell):
    """jedr-academy's soundtracks.csv: Aâ™­ in 183 cells was a label's name."""
    misread = "".join(
        bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in cell.encode()
    )
    (tmp_path / "a.csv").write_text(f"text,key\nx,{misread}\n", encoding="utf-8")
    assert any(
        "UTF-8 that a program took for Windows-1252" in note
        for note in load_table(tmp_path / "a.csv").notes
    )
    (tmp_path / "b.csv").write_text(f"text,key\nx,{cell}\n", encoding="utf-8")
    assert not any("UTF-8 that a program" in note for note in load_table(tmp_path / "b.csv").notes)


@pytest.mark.parametrize(
    "text", ["„MENÜ“ und „CAFɓ", "“AMANHÔ", "på “FÅ”", "« Été »", "50 °C ±2", "naïve café"]
)
def test_letters_that_stand_so_are_not_misread(tmp_path, text):
    (tmp_path / "a.csv").write_text(f"text,key\n{text},b\n", encoding="utf-8")
    assert not any("UTF-8 that a program" in note for note in load_table(tmp_path / "a.csv").notes)


def test_what_is_empty_is_no_record(project, capsys):
    """CybCom's test_data.xlsx: --fields was advised for its one other column, and made a task of nothing."""
    write(Path("a.csv"), [{"dept": "", "text": text} for text in PLAIN])
    with pytest.raises(UserError, match=f"no column beside the text; dept: {EMPTY}$"):
        main(["init", "a.csv"])
    with pytest.raises(
        UserError, match=f"--fields: dept is {EMPTY}; expected columns that hold something"
    ):
        main(["init", "a.csv", "--fields", "dept"])


def test_a_long_cell_is_cut_with_its_quotes(tmp_path):
    """obd-trouble-codes.csv: 'Mass or Volume Air Flow Circuit Malfunc is as long as …"""
    rows = [["P0100", "Mass or Volume Air Flow Circuit Malfunction of the engine"], *([f"P{n:04}", text] for n, text in enumerate(PLAIN))]  # fmt: skip
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    [note] = [note for note in load_table(tmp_path / "a.csv").notes if "may be a row" in note]
    assert "'Mass or Volume Air Flow Circuit Malfunct'… is as long as" in note


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["'-7.52", "0.23"] * 20, ["-7.52", "0.23"]),
        (["'-2", "2"] * 20, ["-2", "2"]),
        (["'@ana", "'=sum", "'+49 30"], ["@ana", "=sum"]),
        (["'7", "7"] * 20, ["'7", "7"]),
        (["'tis so", "well"] * 20, ["'tis so", "well"]),
    ],
)
def test_a_guard_against_formulas_is_left_out_where_only_some_need_one(tmp_path, cells, kept):
    """grafana#17363, hhurz/tableExport#296: an apostrophe before what is below zero, and in a second file of a few rows."""
    (tmp_path / "a.csv").write_text(
        "\n".join(["text,x", *(f"row {n},{cell}" for n, cell in enumerate(cells))]) + "\n"
    )
    assert [row["x"] for _, row in load_table(tmp_path / "a.csv").rows][:2] == kept


def test_a_second_table_below_is_told(tmp_path):
    """complaint-routing-system's complaints.csv: sixteen rows of two cells below those of four, with a header of their own."""
    rows = ["a,b,c,d", *["w,x,y,z"] * 20, "text,kind", *["p,q"] * 15]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(
        UserError,
        match="a.csv:22: expected 4 cells as in the header, found 2; so have all rows below it: is it another table",
    ):
        load_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (
            [{"ID": n, "review": text} for n, text in enumerate(PLAIN)],
            "expected labels beside the text, found no column but review and ID",
        ),
        (
            [{"review": text} for text in PLAIN],
            "expected labels beside the text, found no column but review",
        ),
    ],
)
def test_a_file_without_labels_is_told_so(project, rows, line):
    """azure-sentiment-analysis and feedback-rag: `no column beside the text`, beside which an id stood."""
    write(Path("a.csv"), rows)
    with pytest.raises(UserError, match=line):
        main(["init", "a.csv"])


@pytest.mark.parametrize("name", ["nosuch", "order.to", "odrer"])
def test_a_record_that_is_no_column_is_named(project, name):
    """wazuh#16661: its first row was blamed, which has an object there."""
    write(
        Path("a.jsonl"),
        [{"text": text, "order": {"n": n, "to": {"zip": "1"}}} for n, text in enumerate(PLAIN)],
    )
    with pytest.raises(UserError, match=f"--record: no column {name!r}.*; there are text, order"):
        main(["init", "a.jsonl", "--record", name])


def test_what_is_asked_of_a_field_can_be_typed(project, capsys):
    """Advice on a field that the user has named, that is the only one, or that says what is expected, led nowhere."""
    rows = [
        {
            "question": text,
            "expected_behavior": f"say that number {n} is late and so on",
            "label": "ab"[n % 2],
        }
        for n, text in enumerate(PLAIN)
    ]
    write(Path("a.jsonl"), rows)
    init("a.jsonl")
    assert "joins them" not in told(capsys)
    write(
        Path("b.jsonl"),
        [{"text": row["question"], "about": row["expected_behavior"]} for row in rows],
    )
    init("b.jsonl")
    assert "joins them" not in told(capsys)
    write(
        Path("c.jsonl"),
        [
            {"text": row["question"], "about": row["expected_behavior"], "label": row["label"]}
            for row in rows
        ],
    )
    init("c.jsonl")
    assert "is it to be read and not to be found?" in told(capsys)


def test_a_date_of_a_mail_is_no_free_text():
    """finbert's published: Sat, 08 Nov 2025 16:12:40 +0000 was scored by its words."""
    found = infer_field(
        "published", [f"Sat, {n:02d} Nov 2025 16:12:40 +0000" for n in range(1, 29)]
    )
    assert found.spec == {"type": "string", "score": "exact"}


def test_few_rows_of_each_label_are_asked_about():
    """Eight labels of four rows each, as many evaluation sets have them, are texts by the rule; nobody was told."""
    found = infer_field("intent", [f"label {n % 8}" for n in range(32)])
    assert found.spec["type"] == "string" and "are these labels? then write type: enum" in found.why
    assert "are these labels" not in infer_field("name", [f"Ana {n}" for n in range(32)]).why


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "read"),
    [
        ("a passage of it", "context"),
        (["one passage", "two of them"], 'context | join("\\n\\n")'),
        (
            {"labels": ["A"], "contexts": ["one passage", "two of them"]},
            'context.contexts | join("\\n\\n")',
        ),
        ({"title": "x", "said": "a passage of it"}, "context.said"),
        ({"n": 1}, None),
        ([{"a": 1}], None),
    ],
)
def test_what_a_question_is_asked_of_is_read_as_words(project, capsys, context, read):
    """nlp-pubmedqa's val.parquet: Python's form of an object stood in the text, and the answer's letters in it."""
    rows = [
        {"question": text, "context": context, "label": "ab"[n % 2]}
        for n, text in enumerate(REPORTS)
    ]
    assert _words_of("context", rows) == read
    write(Path("a.jsonl"), rows)
    init("a.jsonl")
    texts = [line for line in told(capsys).splitlines() if line.startswith('  text    "')]
    assert len(texts) == 2
    for text in texts:
        assert "{'" not in text and "['" not in text and ("passage" in text) == (read is not None)


def test_a_key_that_a_row_lacks_is_empty_in_a_template():
    """sanchuanmingyue's evals: the advice to join columns stopped at the first row without one of them."""
    read = text_reader("{{ query }} {{ before }}", ["query", "before"])
    assert read({"query": "a"}) == "a "
    with pytest.raises(UserError, match="'befor' is undefined"):
        text_reader("{{ befor }}", ["query", "before"])({"query": "a"})


@pytest.mark.parametrize("value", ["My parcel", {"a": 1}, [{"text": "x"}], [["x"]]])
def test_a_join_of_no_list_of_texts_is_refused(value):
    """telegramdesktop/tdesktop#25000: texts beside lists of them were taught letter by letter, objects in Python's form."""
    with pytest.raises(UserError, match="expected a list"):
        text_reader('{{ text | join(" ") }}')({"text": value})
    if isinstance(value, str):
        assert (
            text_reader('{{ text if text is string else text | join(" ") }}')({"text": value})
            == value
        )
    assert (
        text_reader('{{ text | map(attribute="t") | join(" ") }}')(
            {"text": [{"t": "x"}, {"t": "y"}]}
        )
        == "x y"
    )
    assert (
        text_reader('{{ text | join(", ", attribute="t") }}')({"text": [{"t": "x"}, {"t": 2}]})
        == "x, 2"
    )


def test_a_field_that_says_what_another_does_is_told(project, capsys):
    """arbaz-shaik's evals: category and expected are the same in every row, and both were taught."""
    write(
        Path("a.jsonl"),
        [{"text": text, "kind": "ab"[n % 2], "again": "ab"[n % 2]} for n, text in enumerate(PLAIN)],
    )
    init("a.jsonl")
    assert "the same as kind in every row: --drop again leaves it out" in told(capsys)


def test_notes_about_fields_are_true_beside_a_record(project, capsys):
    """Aliecake's evals: --fields was offered for an id and for columns beside the record, and refused them."""
    rows = [
        {"id": f"x{n}", "text": text, "expect": {"kind": "ab"[n % 2]}, "more": f"words of {n}"}
        for n, text in enumerate(PLAIN)
    ]
    write(Path("a.jsonl"), rows)
    init("a.jsonl")
    said = told(capsys)
    assert "record  expect; other columns are no fields" in said and "--fields" not in said


def test_few_texts_in_many_rows_are_told(project, capsys):
    """smart-analyzer's tickets.csv: eight texts in 200 rows, which no run can split."""
    write(Path("a.jsonl"), [{"text": PLAIN[n % 8], "label": "ab"[n % 2]} for n in range(200)])
    init("a.jsonl")
    assert "8 texts are too few for a run: is the text another column, or several?" in told(capsys)


@pytest.mark.parametrize("name", ["doi", "pmid", "pubid", "docid", "tweetid", "qid"])
def test_what_tells_papers_apart_is_no_field(name):
    """NERRE and ZSEE have a doi, pubmed_qa a pubid: another in every row, and in no text."""
    rows = [{"text": text, name: f"10.1021/ja{n}x"} for n, text in enumerate(REPORTS)]
    assert "another in every row" in bookkeeping(rows, [name], "text")[name]
    # a price that was paid is none
    rows = [{"text": text, "paid": f"{n}.5"} for n, text in enumerate(REPORTS)]
    assert not bookkeeping(rows, ["paid"], "text")


@pytest.mark.parametrize("empty", [[], {}, "[]"])
def test_lists_and_objects_without_anything_are_empty(empty):
    """mongodb's users.json and devoteam's tickets.json: {} or [] in some rows and nothing in the others."""
    assert always_the_same([empty, None, empty]) == EMPTY
    assert always_the_same([empty, None, ["x"]]) is None


@pytest.mark.parametrize(
    ("prompts", "completions"),
    [
        ([". \n\n###\n\n", ".\n\n###\n\n"], ["\n###", " \n###"]),
        ([" ->", " ->"], [" END", " END"]),
        ([" ->", "  ->\n"], ["\n\n###", "\n###\n"]),
    ],
)
def test_marks_with_other_blanks_before_them_are_marks(prompts, completions):
    """event-extraction-small-corpus: ### behind every answer, now and then with a blank before it, was learnt."""
    rows = [
        (
            str(n),
            {"prompt": f"say {n}{prompts[n % 2]}", "completion": f" told {n}{completions[n % 2]}"},
        )
        for n in range(12)
    ]
    table = without_marks(Table(rows, []))
    assert [row["completion"] for _, row in table.rows] == [f"told {n}" for n in range(12)]
    assert [row["prompt"].rstrip(". ") for _, row in table.rows] == [f"say {n}" for n in range(12)]
    assert any(
        "completion: " in note and "at the end of every one, left out" in note
        for note in table.notes
    )


def test_the_other_text_of_a_pair_is_named_for_fields(project, capsys):
    """mistral's northwind-queries.jsonl: question and query, of which no template leaves one over."""
    rows = [
        {"question": text, "query": f"select a from b where c = {n}"}
        for n, text in enumerate(REPORTS)
    ]
    write(Path("a.jsonl"), rows)
    with pytest.raises(
        UserError,
        match="no column beside the text; query: another text, beside question; name the record's with --fields$",
    ):
        main(["init", "a.jsonl"])
    init("a.jsonl", "--fields", "query")
    assert '"query": "select a' in told(capsys)


@pytest.mark.parametrize("around", ["rows", "data", "tickets"])
def test_rows_within_one_object_are_read_whatever_the_file_is_called(tmp_path, around):
    """bedrock's nestful input.jsonl: {"rows": […]} on the only line of a .jsonl."""
    rows = [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(REPORTS)]
    for name in ("a.json", "a.jsonl"):
        (tmp_path / name).write_text(json.dumps({around: rows}))
        assert [row for _, row in load_table(tmp_path / name).rows] == rows
    # one row with entities is a row
    (tmp_path / "b.jsonl").write_text(
        json.dumps({"text": REPORTS[0], "entities": [{"text": "parcel", "label": "x"}] * 30})
    )
    assert len(load_table(tmp_path / "b.jsonl").rows) == 1


def test_dialogues_under_their_ids_are_no_columns(tmp_path):
    """RECCON's dailydialog: a list of one list of turns for each id was read as 47 columns of one row."""
    turns = [{"turn": 1, "utterance": "I am well, and you?"}]
    (tmp_path / "a.json").write_text(json.dumps({f"tr_{n}": [turns] for n in range(40)}))
    with pytest.raises(
        UserError, match="expected a list of objects, found one object; write one for each text"
    ):
        load_table(tmp_path / "a.json")


def test_lists_of_one_length_may_be_labels(tmp_path):
    """Balanced intents by their label look like columns; of these one is called as texts are."""
    intents = {"transfer": REPORTS[:30], "weather": [text.upper() for text in REPORTS[:30]]}
    (tmp_path / "a.json").write_text(json.dumps(intents))
    assert any(
        "are these rows by their label?" in note for note in load_table(tmp_path / "a.json").notes
    )
    (tmp_path / "b.json").write_text(
        json.dumps({"text": REPORTS, "label": ["ab"[n % 2] for n in range(40)]})
    )
    assert not any("by their label" in note for note in load_table(tmp_path / "b.json").notes)


@pytest.mark.parametrize("name", ["entity", "slot_name"])
def test_a_text_in_pieces_is_one_with_entities(tmp_path, name):
    """sonos/nlu-benchmark's train_AddToPlaylist.json: three lines of advice, and then no label was found."""
    data = [
        {"text": "add "},
        {"text": "Mozart", name: "artist"},
        {"text": " to my "},
        {"text": "morning", name: "playlist"},
        {"text": " list"},
    ]
    (tmp_path / "a.json").write_text(json.dumps({"AddToPlaylist": [{"data": data}] * 3}))
    table = load_table(tmp_path / "a.json")
    found = [{"text": "Mozart", "label": "artist"}, {"text": "morning", "label": "playlist"}]
    assert [row for _, row in table.rows] == [
        {"text": "add Mozart to my morning list", "entities": found}
    ] * 3
    # beside a text they are its entities
    beside = Table(
        [
            (
                "a",
                {
                    "said": "Mozart and Bach",
                    "held": [{"text": "Mozart", "entity": "x"}, {"text": "Bach"}],
                },
            )
        ],
        [],
    )
    assert with_entities_of_pieces(beside) is beside
