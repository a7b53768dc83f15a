"""Training and inference on a tiny random model: the loss, determinism, reuse, generation."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.inference.constrained import record_grammar
from lora_vs_api.inference.decoding import Prefix
from lora_vs_api.inference.generate import (
    check_room,
    compute_prefix,
    encode_prompt,
    generate,
    measure_latency,
)
from lora_vs_api.model import loading
from lora_vs_api.model.energy import energy_meter
from lora_vs_api.model.loading import load_base, load_tokenizer, load_tuned
from lora_vs_api.model.runtime import Runtime, resolve_runtime
from lora_vs_api.record.fields import Field, fields_from_config, with_nulls
from lora_vs_api.record.prompt import completion, messages
from lora_vs_api.training import probe, trainer
from lora_vs_api.training import train as training
from lora_vs_api.training.artifacts import reuse_adapter
from lora_vs_api.training.examples import chat_examples, within_length
from lora_vs_api.training.spec import TrainingSpec
from lora_vs_api.training.train import TrainingPolicy, train_adapter
from lora_vs_api.validation.records import violations
from tests.tiny_model import build_tiny_model

CPU = Runtime("cpu", torch.float32)
FIELDS = (Field("who", "string", "exact"), Field("level", "integer", "exact", minimum=1, maximum=5))
ROWS = [
    {"id": str(i), "text": f"Mail number {i} " + "word " * (i % 4), "record": {"who": f"N{i}", "level": 1 + i % 5}}
    for i in range(12)
]  # fmt: skip
EXAMPLES = chat_examples(ROWS, "Extract.", FIELDS)
SPEC = TrainingSpec(
    base_sha256="b",
    examples_sha256="e",
    method="lora",
    r=4,
    alpha=8,
    plus_ratio=None,
    virtual_tokens=None,
    learning_rate=1e-3,
    dropout=0.0,
    target_modules=("q_proj", "up_proj"),
    epochs=1,
    max_steps=3,
    batch_size=4,
    gradient_accumulation=1,
    group_by_length=False,
    scheduler="cosine",
    warmup_ratio=0.0,
    max_grad_norm=1.0,
    pad_token="<|endoftext|>",
    dtype="float32",
    seed=0,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


def train(base, out, spec=SPEC):
    return train_adapter(base, EXAMPLES, spec, CPU, out, TrainingPolicy("test"))


@pytest.mark.slow
def test_the_loss_is_that_of_plain_trl(base, tmp_path, monkeypatch):
    """All that is left out, shared or rewritten changes the speed and not the training."""
    spec = replace(SPEC, gradient_accumulation=2, batch_size=6, learning_rate=1e-2, max_steps=4)
    shared, layers = [], []
    count_shared, speed_up = trainer.shared_prefix, probe.speed_up_lora
    monkeypatch.setattr(
        trainer, "shared_prefix", lambda *batch: shared.append(count_shared(*batch)) or shared[-1]
    )
    monkeypatch.setattr(
        probe, "speed_up_lora", lambda model: layers.append(speed_up(model)) or layers[-1]
    )
    ours = train(base, tmp_path / "ours", spec)
    # it is no comparison of the plain way with itself
    assert min(shared) > 5 and layers == [4]
    monkeypatch.setattr(trainer.CompletionTrainer, "compute_loss", trainer.SFTTrainer.compute_loss)
    monkeypatch.setattr(probe, "speed_up_lora", lambda model: 0)
    monkeypatch.setattr(loading, "GROUPED", "eager")
    plain = train(base, tmp_path / "plain", spec)
    assert ours.losses == pytest.approx(plain.losses, rel=1e-4)
    # and it does learn: each of the four steps sees all twelve rows
    assert len(ours.losses) == 4 and ours.losses[-1] < ours.losses[0]


@pytest.mark.parametrize("pad", ["<|endoftext|>", "<|im_end|>"])
def test_only_completion_tokens_are_learnt(base, tmp_path, pad):
    """A prompt ten times as long has the same number of tokens in the loss, whatever token pads."""
    seen = []

    class Spy(training.CompletionTrainer):
        def compute_loss(self, model, inputs, **kwargs):
            tokenizer = self.processing_class
            labels = inputs["labels"]
            # the probe before the training is no step of it
            if self.state.max_steps:
                seen.extend(tokenizer.decode(row[row != -100]) for row in labels)
            return super().compute_loss(model, inputs, **kwargs)

    original = training.CompletionTrainer
    training.CompletionTrainer = Spy
    try:
        train(base, tmp_path / "spied", replace(SPEC, pad_token=pad))
    finally:
        training.CompletionTrainer = original
    assert len(seen) == 12
    for text in seen:
        # the end of the turn has to be learnt, or generation never stops
        record, end = text.split("<|im_end|>")
        assert json.loads(record)["who"].startswith("N") and end.strip() == ""


@pytest.mark.slow
def test_training_again_gives_the_same_bytes(base, tmp_path):
    """DVC's early cut-off needs it; so does taking over a trial's adapter."""
    train(base, tmp_path / "a", replace(SPEC, dropout=0.1))
    train(base, tmp_path / "b", replace(SPEC, dropout=0.1))
    names = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors", "training.json"]
    for name in names:
        assert file_sha256(tmp_path / "a" / name) == file_sha256(tmp_path / "b" / name)
    train(base, tmp_path / "c", replace(SPEC, dropout=0.1, seed=1))
    weights = "adapter_model.safetensors"
    assert file_sha256(tmp_path / "a" / weights) != file_sha256(tmp_path / "c" / weights)


def test_an_adapter_is_taken_over_only_for_an_equal_specification(base, tmp_path):
    """Anything that could change the weights prevents the reuse."""
    train(base, tmp_path / "a")
    assert reuse_adapter(tmp_path / "a", SPEC, tmp_path / "same")
    weights = "adapter_model.safetensors"
    assert file_sha256(tmp_path / "same" / weights) == file_sha256(tmp_path / "a" / weights)
    for change in ({"seed": 1}, {"r": 8}, {"examples_sha256": "x"}, {"base_sha256": "x"},
                   {"learning_rate": 2e-3}, {"max_steps": 4}, {"method": "dora"}, {"dtype": "bfloat16"}):  # fmt: skip
        assert not reuse_adapter(tmp_path / "a", replace(SPEC, **change), tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not reuse_adapter(tmp_path / "none", SPEC, tmp_path / "other")


def test_a_module_the_model_lacks_is_named(base, tmp_path):
    """A target module of another architecture is a line before training starts."""
    with pytest.raises(
        UserError,
        match=r"lora\.adapter\.target_modules: no module of the base model has the last name c_attn",
    ):
        train(base, tmp_path / "x", replace(SPEC, target_modules=("q_proj", "c_attn")))
    assert not (tmp_path / "x").exists()


def test_all_linear_is_every_linear_layer_but_the_output(base, tmp_path):
    """What a user need not name: the modules of any architecture are found."""
    train(base, tmp_path / "a", replace(SPEC, target_modules=("all-linear",)))
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["target_modules"] == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    ]  # fmt: skip


METHODS = {
    "rslora": {"method": "rslora"},
    "dora": {"method": "dora"},
    "pissa": {"method": "pissa"},
    "qlora": {"method": "qlora"},
    "lora_plus": {"plus_ratio": 16},
    "full": {"method": "full"},
    "prompt": {"method": "prompt", "virtual_tokens": 4, "learning_rate": 1e-1},
    "prefix": {"method": "prefix", "virtual_tokens": 4, "learning_rate": 1e-1},
}


# trained much as another way is, which the quick run has
ALIKE = ("rslora", "lora_plus", "dora", "pissa", "prefix")


def ways(names: Iterable[str], slow: Collection[str] = ALIKE) -> list[Any]:
    """As parameters of a test."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in slow else n for n in names]


@pytest.mark.parametrize("name", ways(METHODS))
@pytest.mark.slow
def test_every_way_of_tuning_learns_and_answers(base, tmp_path, name):
    """Trained, written, loaded and asked; the same bytes when done again."""
    spec = replace(SPEC, learning_rate=1e-2, max_steps=6, batch_size=12, epochs=6)
    spec = replace(spec, **METHODS[name])
    run = train(base, tmp_path / "a", spec)
    assert run.losses[-1] < run.losses[0]
    train(base, tmp_path / "b", spec)
    for file in (tmp_path / "a").iterdir():
        assert file_sha256(file) == file_sha256(tmp_path / "b" / file.name), file.name
    tokenizer = load_tokenizer(base, "<|endoftext|>")
    prompts = [messages("Extract.", row["text"], FIELDS) for row in ROWS[:5]]

    def ask(model, batch_size):
        return generate(
            model, tokenizer, prompts, max_new_tokens=8, batch_size=batch_size, description=name
        )

    tuned = load_tuned(base, tmp_path / "a", CPU)
    answers = ask(tuned, 5)
    assert answers == ask(tuned, 1)
    assert answers != ask(load_base(base, CPU), 5)


@pytest.mark.parametrize(
    "method", ways(["lora", "rslora", "dora", "pissa", "qlora"], ("rslora", "dora"))
)
def test_what_is_merged_computes_what_was_trained(base, tmp_path, method):
    """The loss on the training examples right after training is that of the model loaded again:
    PiSSA's start, DoRA's magnitudes, rsLoRA's scaling and QLoRA's four bits survive the file and
    the merge."""
    spec = replace(SPEC, method=method, learning_rate=1e-2, max_steps=4, batch_size=12, epochs=4)
    kept = {}

    class Spy(training.CompletionTrainer):
        def train(self, *arguments, **options):
            done = super().train(*arguments, **options)
            kept["batch"] = self.data_collator([self.train_dataset[i] for i in range(4)])
            # not eval(): there is no dropout, and bitsandbytes would answer in bfloat16 there
            with torch.no_grad():
                kept["logits"] = self.model(
                    **{key: kept["batch"][key] for key in ("input_ids", "attention_mask")}
                ).logits
            return done

    original = training.CompletionTrainer
    training.CompletionTrainer = Spy
    try:
        train(base, tmp_path / "a", spec)
    finally:
        training.CompletionTrainer = original
    merged = load_tuned(base, tmp_path / "a", CPU)
    mask = kept["batch"]["attention_mask"]
    with torch.no_grad():
        logits = merged(input_ids=kept["batch"]["input_ids"], attention_mask=mask).logits
    seen = mask.bool()
    torch.testing.assert_close(logits[seen], kept["logits"][seen], rtol=1e-3, atol=1e-3)


def test_qlora_trains_every_linear_layer_on_four_bits(base, tmp_path, monkeypatch):
    """All layers but the output are quantised and tuned; the adapter itself learns in float32, and
    the faster forward, which reads plain weights, keeps away from the packed ones."""
    from peft.tuners.lora.bnb import Linear4bit

    seen = []
    speed_up = probe.speed_up_lora
    monkeypatch.setattr(probe, "speed_up_lora", lambda m: seen.append((m, speed_up(m))))
    train(base, tmp_path / "a", replace(SPEC, method="qlora", target_modules=("all-linear",)))
    ((model, faster),) = seen
    layers = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
    assert len(layers) == 2 * 7 and faster == 0
    for layer in layers:
        assert layer.base_layer.weight.quant_state.quant_type == "nf4"
        assert layer.base_layer.weight.quant_state.nested
    learnt = {weight.dtype for weight in model.parameters() if weight.requires_grad}
    assert learnt == {torch.float32}


def test_qlora_without_bitsandbytes_is_one_line(base, tmp_path, monkeypatch):
    """The optional package is named before anything is trained."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match=r"qlora needs bitsandbytes; pip install 'lora-vs-api\[ql"):
        train(base, tmp_path / "a", replace(SPEC, method="qlora"))


def test_a_batch_answers_like_plain_generate(base):
    """Padding, the shared instruction and the faster attention change no answer.

    In float32, that is; in bfloat16 a product of another shape rounds otherwise.
    """
    model, tokenizer = load_base(base, CPU), load_tokenizer(base, "<|endoftext|>")
    prompts = [messages("Extract.", row["text"], FIELDS) for row in ROWS]
    batched = generate(model, tokenizer, prompts, max_new_tokens=12, batch_size=5, description="b")
    assert all(answer.truncated == (answer.output_tokens == 12) for answer in batched)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    for prompt, answer in zip(prompts, batched, strict=True):
        ids = encode_prompt(tokenizer, prompt)
        found = plain.generate(
            torch.tensor([ids]), max_new_tokens=12, do_sample=False, pad_token_id=0
        )[0, len(ids) :]
        assert answer.output == tokenizer.decode(found, skip_special_tokens=True)
        assert answer.input_tokens == len(ids)
    single = generate(
        model, tokenizer, prompts[:1], max_new_tokens=12, batch_size=1, description="s"
    )
    assert single == batched[:1]


def test_what_prompts_share_is_computed_once(base):
    """All of it and no more: each prompt keeps a token of its own to predict from."""
    model = load_base(base, CPU)
    prefix = compute_prefix(model, [[5, 6, 7, 8], [5, 6, 7], [5, 6, 7, 9, 9]])
    assert prefix.ids == (5, 6) and prefix.cache.get_seq_length() == 2
    # a batch extends a copy
    cache = prefix.for_batch(3)
    cache.update(*[torch.zeros(3, *prefix.cache.layers[0].keys.shape[1:])] * 2, 0)
    assert prefix.cache.get_seq_length() == 2
    assert compute_prefix(model, [[5, 6]]).cache is None
    assert compute_prefix(model, [[5, 6], [6, 5]]).cache is None
    # a kind of model that is not known to be plain computes every prompt in full
    model.config.model_type = "unheard_of"
    assert compute_prefix(model, [[5, 6, 7], [5, 6, 8]]).cache is None


def test_merging_the_adapter_keeps_its_answers(base, tmp_path):
    """The merged model that is evaluated is the adapter that was trained."""
    from peft import PeftModel

    train(base, tmp_path / "a", replace(SPEC, learning_rate=5e-2))
    tokenizer = load_tokenizer(base, "<|endoftext|>")
    ids = torch.tensor([tokenizer("Mail number 3")["input_ids"]])
    merged = load_tuned(base, tmp_path / "a", CPU)
    apart = PeftModel.from_pretrained(load_base(base, CPU), str(tmp_path / "a"))
    with torch.no_grad():
        expected, found = apart(ids).logits, merged(ids).logits
        untuned = load_base(base, CPU)(ids).logits
    assert torch.allclose(expected, found, atol=1e-4)
    assert not torch.allclose(untuned, found, atol=1e-2)


def test_latency_is_one_figure_for_each_prompt(base):
    """The warm-up request is not counted."""
    model, tokenizer = load_base(base, CPU), load_tokenizer(base, "<|endoftext|>")
    prompts = [messages("Extract.", row["text"], FIELDS) for row in ROWS[:3]]
    seconds, joules = measure_latency(
        model, tokenizer, prompts, max_new_tokens=2, description="t", meter=energy_meter("cpu")
    )
    assert joules is None
    assert len(seconds) == 3 and all(value > 0 for value in seconds)


def test_a_token_limit_below_the_longest_record_is_refused(base):
    """A limit that would cut a perfect answer must not score as the model's mistake."""
    tokenizer = load_tokenizer(base, "<|endoftext|>")
    with pytest.raises(UserError, match=r"decoding\.max_new_tokens: 3 is too few, the longest"):
        check_room(tokenizer, ['{"who": "somebody with a long name"}'], 3)
    check_room(tokenizer, ["short"], 30)


@pytest.mark.slow
def test_a_pad_token_that_is_missing_or_ends_turns_needs_no_setting(base, tmp_path):
    """Padding is masked by its place: the same answers and the same training, whatever pads."""
    model, prompts = (
        load_base(base, CPU), [messages("Extract.", row["text"], FIELDS) for row in ROWS[:4]],
    )  # fmt: skip
    none = tmp_path / "none"
    shutil.copytree(base, none)
    settings = json.loads((none / "tokenizer_config.json").read_text())
    (none / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": None}))
    found, losses = [], []
    for folder, pad in ((base, "<|endoftext|>"), (base, "<|im_end|>"), (none, None)):
        tokenizer = load_tokenizer(folder, pad)
        assert isinstance(tokenizer.pad_token_id, int)
        found.append(
            generate(model, tokenizer, prompts, max_new_tokens=9, batch_size=4, description="p")
        )
        run = train(folder, tmp_path / f"{len(found)}", replace(SPEC, pad_token=pad))
        losses.append(run.losses)
    assert found[1:] == found[:-1] and losses[1:] == losses[:-1]


def test_a_pad_token_that_is_no_token_is_refused(base):
    with pytest.raises(UserError, match=r"runtime\.pad_token: 'nope' is not a token"):
        load_tokenizer(base, "nope")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_no_gpu_is_one_line():
    """profile=paper on a machine without a GPU says what to do."""
    with pytest.raises(UserError, match=r"device: cuda asked for, but torch finds no CUDA GPU"):
        resolve_runtime("cuda", "bfloat16")


@pytest.fixture(scope="module")
def grammar(base):
    return record_grammar(load_base(base, CPU), load_tokenizer(base, "<|endoftext|>"), FIELDS)


WIDE = (
    *FIELDS,
    Field("kind", "enum", "exact", values=("a, b", "c")),
    Field("of", "list", "set_f1"),
)
NESTED = fields_from_config(
    {
        "paid": {"type": "boolean"},
        "total": {"type": "number", "minimum": 0, "maximum": 1000, "optional": True},
        "buyer": {
            "type": "object",
            "optional": True,
            "fields": {
                "name": {"type": "string"},
                "kind": {"type": "enum", "values": ["a", "b"], "optional": True},
            },
        },
        "lines": {
            "type": "list",
            "items": {"type": "object", "fields": {"count": {"type": "integer", "minimum": 1}}},
        },
    }
)


# whether it begins with a key or ends at once is the model's to say
OMITTED = fields_from_config(
    {
        "total": {"type": "number", "minimum": 0, "maximum": 1000, "optional": "omit"},
        "kind": {"type": "enum", "values": ["a", "b"], "optional": "omit"},
        "name": {"type": "string"},
        "note": {"type": "string", "optional": "omit"},
    }
)


@pytest.mark.parametrize(
    "fields", [FIELDS, WIDE, NESTED, OMITTED], ids=["strings", "lists", "nested", "omitted"]
)
def test_constrained_answers_are_records(base, fields):
    """A random model's answer is noise without end; constrained it fits the schema, always."""
    model, tokenizer = load_base(base, CPU), load_tokenizer(base, "<|endoftext|>")
    prompts = [messages("Extract.", row["text"], fields) for row in ROWS]
    grammar = record_grammar(model, tokenizer, fields)
    asked = {"max_new_tokens": 60, "description": "c", "grammar": grammar}
    batched = generate(model, tokenizer, prompts, batch_size=5, **asked)
    single = [generate(model, tokenizer, [p], batch_size=1, **asked)[0] for p in prompts]
    assert batched == single
    for answer in batched:
        record = with_nulls(json.loads(answer.output), fields)
        assert violations(record, fields) == [] and answer.output_tokens <= 60
        # a number may be written in several ways, 69.0 and 69e+0
        plain = [
            re.sub(r": -?\d[^,}]*", ": 0", text)
            for text in (completion(record, fields), answer.output)
        ]
        assert plain[0] == plain[1]
    # this model does not tire of a string: it was the limit that ended it, and that is said
    assert any(answer.truncated for answer in batched)


def test_constrained_answers_begin_as_they_are_taught(base):
    """After Mistral's [/INST] and Phi-3's <|assistant|> an answer begins with ▁{, which is another token than {."""
    model, tokenizer = load_base(base, CPU), load_tokenizer(base, "<|endoftext|>")
    prompts = [
        encode_prompt(tokenizer, messages("Extract.", row["text"], FIELDS)) for row in ROWS[:2]
    ]
    begins = []
    for blank in ("", " "):
        template = (
            "{% for m in messages %}<|im_start|>{{ m.role }}:{{ '"
            + blank
            + "' if m.role == 'assistant' }}{{ m.content }}<|im_end|>{% endfor %}{{ '<|im_start|>assistant:' if add_generation_prompt }}"
        )
        tokenizer.chat_template = template
        grammar = record_grammar(model, tokenizer, FIELDS)
        found = grammar.decode(model, prompts, Prefix(), 60)
        begins.append({tokenizer.decode(answer.tokens)[:2] for answer in found})
        for answer in found:
            assert (
                violations(with_nulls(json.loads(tokenizer.decode(answer.tokens)), FIELDS), FIELDS)
                == []
            )
    assert begins == [{'{"'}, {" {"}]


def test_constrained_decoding_takes_the_best_allowed_token(base, grammar):
    """Against the plain way: every token on its own, each time through the whole text."""
    from llguidance import LLMatcher

    model, tokenizer = load_base(base, CPU), load_tokenizer(base, "<|endoftext|>")
    prompts = [
        encode_prompt(tokenizer, messages("Extract.", row["text"], FIELDS)) for row in ROWS[:2]
    ]
    found = grammar.decode(model, prompts, Prefix(), 200)
    for prompt, answer in zip(prompts, found, strict=True):
        matcher, tokens = LLMatcher(grammar.tokenizer, grammar.source), []
        while len(tokens) < 30 and not matcher.is_stopped():
            forced = matcher.compute_ff_tokens()
            if forced:
                token = forced[0]
            else:
                with torch.no_grad():
                    ids = torch.tensor([prompt + tokens])
                    logits = model(input_ids=ids).logits[0, -1]
                bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
                allowed = np.unpackbits(bits, bitorder="little")[: len(logits)] > 0
                logits[~torch.from_numpy(allowed)] = -torch.inf
                token = int(logits.argmax())
            if token in grammar.ends:
                break
            assert matcher.consume_token(token)
            tokens.append(token)
        # a random model never ends its first string: well before the limit that closes it
        assert len(tokens) == 30 and answer.tokens[:30] == tokens


def test_forced_tokens_are_not_sampled(base, grammar, monkeypatch):
    """Field names, quotes and the closing brace cost no step of their own."""
    model, tokenizer = load_base(base, CPU), load_tokenizer(base, "<|endoftext|>")
    # a random model would not tire of its first string
    (closing,), steps, forward = tokenizer('",')["input_ids"], [], model.forward

    def tired(**inputs):
        steps.append(inputs["input_ids"].shape[1])
        result = forward(**inputs)
        result.logits[..., closing] += 1e3
        return result

    monkeypatch.setattr(model, "forward", tired)
    prompt = encode_prompt(tokenizer, messages("Extract.", "Mail", FIELDS))
    (answer,) = grammar.decode(model, [prompt], Prefix(), 80)
    assert (
        not answer.truncated
        and violations(json.loads(tokenizer.decode(answer.tokens)), FIELDS) == []
    )
    assert len(steps) < answer.written / 3


def test_a_limit_below_every_record_cuts(base, grammar):
    """What cannot be a record in the tokens there are must not pass for one."""
    tokenizer = load_tokenizer(base, "<|endoftext|>")
    prompt = encode_prompt(tokenizer, messages("Extract.", "Mail", FIELDS))
    (answer,) = grammar.decode(load_base(base, CPU), [prompt], Prefix(), 4)
    assert answer.truncated and len(answer.tokens) == answer.written == 4


def _lengths(base, tmp_path, **limit) -> list[int]:
    """Tokens of the examples as TRL makes them."""
    built = training._trainer(base, EXAMPLES, replace(SPEC, **limit), CPU, str(tmp_path / "t"))
    return [len(ids) for ids in built.train_dataset["input_ids"]]


def test_a_text_that_is_longer_than_asked_for_is_refused_by_name(base, tmp_path):
    """Never cut in silence; the number that is named is the one that lets the training run."""
    whole = _lengths(base, tmp_path)
    with pytest.raises(UserError) as raised:
        _lengths(base, tmp_path, max_length=max(whole) - 1)
    longest = whole.index(max(whole))
    assert f"{longest + 1} ({max(whole)} tokens: {ROWS[longest]['text'][:40]!r})" in str(
        raised.value
    )
    assert f"; expected {max(whole)} or more" in str(raised.value)
    assert _lengths(base, tmp_path, max_length=max(whole)) == whole


def test_a_cut_text_keeps_its_record_and_as_much_of_itself_as_fits(base, tmp_path):
    """Half a record would teach half a record."""
    whole = _lengths(base, tmp_path)
    limit = max(whole) - 2
    cut = _lengths(base, tmp_path, max_length=limit, cut=True)
    assert max(cut) <= limit and [a for a in whole if a <= limit] == [
        b for a, b in zip(whole, cut, strict=True) if a <= limit
    ]
    tokenizer = load_tokenizer(base, "<|endoftext|>")
    for before, after in zip(
        EXAMPLES, within_length(tokenizer, EXAMPLES, limit, cut=True), strict=True
    ):
        assert (
            after["completion"] == before["completion"]
            and after["prompt"][0] == before["prompt"][0]
        )
        assert before["prompt"][-1]["content"].startswith(after["prompt"][-1]["content"])
    with pytest.raises(
        UserError, match=r"training text 1 has \d+ tokens of prompt and record alone"
    ):
        within_length(tokenizer, EXAMPLES, 5, cut=True)


def test_a_training_without_a_limit_is_the_one_of_before_there_was_one():
    """Its checkpoint and adapter are found again."""
    assert "max_length" not in SPEC.as_json()
    assert replace(SPEC, max_length=9, cut=True).as_json()["cut"] is True
