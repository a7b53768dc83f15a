"""On a CUDA GPU alone: training, answers and the energy counter. Left out where there is none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from lora_vs_api.digests import file_sha256
from lora_vs_api.inference.constrained import record_grammar
from lora_vs_api.inference.evaluate import evaluate_local
from lora_vs_api.inference.extractor import Extractor
from lora_vs_api.inference.generate import generate
from lora_vs_api.model.energy import energy_meter, joules_between
from lora_vs_api.model.loading import load_base, load_tokenizer, load_tuned
from lora_vs_api.model.runtime import Runtime, machine, resolve_runtime
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.record.prompt import messages
from lora_vs_api.training.train import TrainingPolicy, train_adapter
from lora_vs_api.validation.records import violations
from tests.test_model import EXAMPLES, FIELDS, ROWS, SPEC
from tests.tiny_model import build_tiny_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

PROMPTS = [messages("Extract.", row["text"], FIELDS) for row in ROWS]
LONGER = replace(SPEC, max_steps=5, learning_rate=1e-2)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


def trained(base, out, dtype, device="cuda"):
    spec = replace(LONGER, dtype=str(dtype).removeprefix("torch."))
    return train_adapter(
        base, EXAMPLES, spec, Runtime(device, dtype), out, TrainingPolicy(f"{device} {dtype}")
    )


def test_auto_is_bfloat16_there_and_the_card_is_named():
    """What a timing says it was taken on."""
    runtime = resolve_runtime("cuda", "auto")
    assert runtime.dtype == torch.bfloat16
    assert machine(runtime).name == torch.cuda.get_device_name()


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-3), (torch.bfloat16, 2e-2)])
def test_it_learns_what_it_learns_on_a_cpu(base, tmp_path, dtype, apart):
    """The loss of every step, against the processor's in float32."""
    here = trained(base, tmp_path / "gpu", dtype)
    there = trained(base, tmp_path / "cpu", torch.float32, "cpu")
    assert len(here.losses) == 5
    assert here.losses == pytest.approx(there.losses, rel=apart)
    assert here.used.joules is None or here.used.joules > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_training_gives_the_same_bytes_again(base, tmp_path, dtype):
    """Same deps and params, same bytes on one machine: on a GPU too."""
    digests = set()
    for name in ("first", "second"):
        trained(base, tmp_path / name, dtype)
        digests.add(file_sha256(tmp_path / name / "adapter_model.safetensors"))
    assert len(digests) == 1


def test_it_answers_what_it_answers_on_a_cpu(base, tmp_path):
    """In float32, in batches and one by one, merged."""
    trained(base, tmp_path / "tuned", torch.float32)
    tokenizer = load_tokenizer(base, "<|endoftext|>")
    found = []
    for device, size in (("cpu", 4), ("cuda", 4), ("cuda", 1)):
        model = load_tuned(base, tmp_path / "tuned", Runtime(device, torch.float32))
        answers = generate(
            model, tokenizer, PROMPTS, max_new_tokens=20, batch_size=size, description=device
        )
        found.append([answer.output for answer in answers])
    assert found[0] == found[1] == found[2]


def test_a_grammar_holds_there(base):
    """Constrained decoding moves its masks to the GPU."""
    model = load_base(base, Runtime("cuda", torch.bfloat16))
    tokenizer = load_tokenizer(base, "<|endoftext|>")
    answers = generate(
        model, tokenizer, PROMPTS, max_new_tokens=60, batch_size=4, description="grammar",
        grammar=record_grammar(model, tokenizer, FIELDS),
    )  # fmt: skip
    whole = [parse_record(answer.output) for answer in answers if not answer.truncated]
    assert all(record is not None and not violations(record, FIELDS) for record in whole)


def test_an_evaluation_reads_clock_and_counter(base, tmp_path):
    """Joules where the card has a counter, and a latency for every text that was timed."""
    runtime = resolve_runtime("cuda", "bfloat16")
    extractor = Extractor(
        load_base(base, runtime), load_tokenizer(base, "<|endoftext|>"), "Extract.", FIELDS, 30, 4
    )
    evaluate_local(
        extractor, ROWS, runtime, condition="test", latency_rows=4,
        predictions=tmp_path / "predictions", timings=tmp_path / "timings.json",
    )  # fmt: skip
    took = json.loads((tmp_path / "timings.json").read_text())
    assert len(took["latency_seconds"]) == 4 and all(s > 0 for s in took["latency_seconds"])
    counter = energy_meter("cuda")
    before = counter()
    assert (took["batch_joules"] is None) == (before is None)
    if before is not None:
        assert took["batch_joules"] > 0
        assert (joules_between(before, counter()) or 0) >= 0
    assert took["machine"]["device"] == "cuda"
