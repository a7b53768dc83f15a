"""How sure a local model is: which characters count, and that the probabilities are the model's own."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.confidence.spans import value_spans

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
LAYOUTS = st.sampled_from([(None, None), (2, None), (None, (",", ":"))])


def leaves(value: object) -> list[object]:
    if isinstance(value, dict) and value:
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list) and value:
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value]


@given(st.dictionaries(st.text(), VALUES, max_size=4), LAYOUTS, st.booleans(), st.booleans())
def test_the_places_of_a_record_hold_its_values_and_nothing_else(record, layout, ascii, thinks):
    """Whatever the values and the blanks: read back, each place is the value that stands there."""
    indent, separators = layout
    text = json.dumps(record, indent=indent, separators=separators, ensure_ascii=ascii)
    text = "<think>hm</think>\n" * thinks + text
    spans = value_spans(text)
    if spans is None:
        # half a character, or a text of the record that looks like thinking
        return
    assert list(spans) == list(record)
    for name, places in spans.items():
        found = [text[start:end] for start, end in places]
        wanted = leaves(record[name])
        read = [
            json.loads(f'"{piece}"' if isinstance(value, str) and value else piece)
            for piece, value in zip(found, wanted, strict=True)
        ]
        assert json.dumps(read) == json.dumps(wanted)


@pytest.mark.parametrize("output", ["", "no record", '{"a": 1', "[1]", '{"a": NaN}', "{} {}"])
def test_what_is_no_record_has_no_values(output):
    assert value_spans(output) is None


def test_a_token_counts_where_it_shares_a_character_with_a_value():
    from lora_vs_api.confidence.measure import confidence

    #       {"a":  "xy  ",  "b":  3  }
    offsets = [(0, 5), (5, 9), (9, 11), (11, 14), (14, 16), (16, 17)]
    text = '{"a": "xy", "b": 3}'
    spans = value_spans(text)
    assert spans == {"a": [(7, 9)], "b": [(17, 18)]}
    log_probs = [-9.0, math.log(0.5), -9.0, -9.0, -9.0, -9.0, math.log(0.25)]
    offsets = [(0, 5), (5, 9), (9, 11), (11, 14), (14, 16), (16, 17), (17, 19)]
    found = confidence(log_probs, offsets, spans, ["a", "b", "c"])
    # a field that the answer lacks has 0, and counts in the mean
    assert found.fields == {"a": 0.5, "b": 0.25, "c": 0.0}
    assert found.text == 0.25


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    from lora_vs_api.inference.extractor import Extractor
    from lora_vs_api.model.loading import load_base, load_tokenizer
    from lora_vs_api.model.runtime import resolve_runtime
    from lora_vs_api.record.fields import Field
    from tests.tiny_model import build_tiny_model

    base = build_tiny_model(tmp_path_factory.mktemp("sure") / "tiny")
    return Extractor(
        load_base(base, resolve_runtime("cpu", "float32")),
        load_tokenizer(base, None),
        "Answer with a record.",
        (Field("who", "string", "exact"), Field("n", "integer", "exact")),
        max_new_tokens=40,
        batch_size=4,
    )


def test_the_probabilities_are_those_of_each_text_alone(extractor):
    """Batches, their padding and what prompts share change nothing; text by text, token by token,
    the plain model says the same."""
    import torch

    from lora_vs_api.confidence.measure import confidence, measure
    from lora_vs_api.inference.generate import encode_prompt
    from lora_vs_api.record.prompt import messages

    texts = [f"text {'long ' * n}of Zoë" for n in range(11)]
    outputs = [json.dumps({"who": "Zoë" * n, "n": n * 7}, ensure_ascii=False) for n in range(11)]
    outputs[3] = "no record"
    found = measure(extractor, texts, outputs, "test")
    assert found[3].text == 0.0 and set(found[3].fields.values()) == {0.0}
    for place in (0, 1, 7, 10):
        prompt = encode_prompt(
            extractor.tokenizer, messages(extractor.instruction, texts[place], extractor.fields)
        )
        answer = extractor.tokenizer(
            outputs[place], add_special_tokens=False, return_offsets_mapping=True
        )
        ids = answer["input_ids"]
        with torch.inference_mode():
            logits = extractor.model(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
        alone = [float(logits[len(prompt) + i - 1, token]) for i, token in enumerate(ids)]
        wanted = confidence(
            alone, answer["offset_mapping"], value_spans(outputs[place]) or {}, ["who", "n"]
        )
        assert found[place].text == pytest.approx(wanted.text, rel=1e-3, abs=2e-6)
        assert found[place].fields == pytest.approx(wanted.fields, rel=1e-3, abs=2e-6)


def test_nothing_to_measure_is_no_error(extractor):
    from lora_vs_api.confidence.measure import measure

    assert measure(extractor, [], [], "test") == []
    assert [each.text for each in measure(extractor, ["a"], ["nothing"], "test")] == [0.0]


def test_a_tokenizer_without_places_is_told_in_a_line(extractor, monkeypatch):
    from lora_vs_api.confidence import measure as module
    from lora_vs_api.errors import UserError

    class Slow:
        def __call__(self, text, **options):
            raise NotImplementedError

    with pytest.raises(UserError, match="tokenizer.json"):
        module._tokens(Slow(), "{}")
