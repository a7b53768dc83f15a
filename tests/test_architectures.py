"""Models of many kinds are trained on their own loss and answer what they were taught.

Each is tiny and random, with its family's chat template, and goes the whole way that a user's own
model goes: fetched from a folder, checked, trained with an adapter, merged, asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM
from trl import SFTTrainer

from lora_vs_api.config.sections import PathWeights
from lora_vs_api.errors import UserError
from lora_vs_api.inference.constrained import record_grammar
from lora_vs_api.inference.extractor import Extractor
from lora_vs_api.inference.generate import generate
from lora_vs_api.model.attention import own_attention
from lora_vs_api.model.loading import load_base, load_tokenizer, load_tuned
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.training import train as training
from lora_vs_api.training.examples import chat_examples
from lora_vs_api.training.train import TrainingPolicy, train_adapter
from lora_vs_api.weights.fetch import fetch_base
from tests.chat_templates import give_template, template_of
from tests.test_model import CPU, SPEC
from tests.tiny_model import build_tiny_model

FIELDS = (Field("who", "string", "exact"), Field("level", "integer", "exact", minimum=1, maximum=5))
ROWS = [
    {"id": "a", "text": "Anna asks for a refund", "record": {"who": "Anna", "level": 3}},
    {"id": "b", "text": "Bo cannot log in, urgent!", "record": {"who": "Bo", "level": 5}},
]
# wide enough for what a tiny model has to hold by heart
SIZES = {
    "vocab_size": 640, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 1024,
    "initializer_range": 0.1, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
}  # fmt: skip
SEEN = {"image_size": 16, "patch_size": 8, "hidden_size": 16, "intermediate_size": 16,
        "num_hidden_layers": 1, "num_attention_heads": 2}  # fmt: skip
FULL_AND_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A kind of model, what its config says besides :data:`SIZES`, and whose template it has.

    ``way`` is how its training is computed. ``nested`` sizes stand in ``text_config``. Without ``routers``
    it has no experts, although its kind may.
    """

    kind: str
    template: str
    way: str = "fast"
    config: dict[str, Any] = field(default_factory=dict)
    nested: bool = False
    without: tuple[str, ...] = ()
    quick: bool = False
    routers: bool = True


MODELS = {
    "llama": Family("llama", "llama3"),
    "mistral": Family("mistral", "mistral", config={"sliding_window": 32}, quick=True),
    "qwen2": Family("qwen2", "qwen2"),
    "qwen3": Family("qwen3", "qwen3"),
    "qwen3.5": Family("qwen3_5", "qwen3.5", config=FULL_AND_LINEAR, nested=True),
    "gemma": Family("gemma", "gemma"),
    "gemma2": Family("gemma2", "gemma", "own loss", {"final_logit_softcapping": 30.0}),
    "gemma3": Family("gemma3", "gemma3", config={"sliding_window": 32}, nested=True),
    # its linear layers in a list are called 0 and 1, as its decoder layers are
    "gemma3n": Family(
        "gemma3n_text", "gemma3", "own loss",
        {"sliding_window": 32, "vocab_size_per_layer_input": 640, "hidden_size_per_layer_input": 16,
         "num_kv_shared_layers": 0, "laurel_rank": 8, "altup_num_inputs": 2},
    ),
    "granite": Family(
        "granite", "granite", "own loss",
        {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.5}, quick=True,
    ),
    # Granite 4.0 micro and nano: a kind for mixtures, of which these have no experts
    "granite4": Family(
        "granitemoehybrid", "granite", "own loss", routers=False,
        config={"layer_types": ["mamba", "attention"], "num_local_experts": 0, "mamba_n_heads": 8,
                "mamba_d_head": 16, "mamba_d_state": 16, "mamba_chunk_size": 64,
                "shared_intermediate_size": 128, "logits_scaling": 8.0, "embedding_multiplier": 12.0},
    ),
    "cohere": Family("cohere", "cohere", "own loss", {"logit_scale": 0.25}),
    "phi3": Family("phi3", "phi3"),
    "olmo2": Family("olmo2", "olmo2"),
    "smollm3": Family("smollm3", "smollm3"),
    "deepseek-r1": Family("qwen2", "deepseek_r1"),
    "gpt-neox": Family("gpt_neox", "unmarked"),
    "falcon": Family("falcon", "unmarked", config={"ffn_hidden_size": 128}, without=("head_dim",)),
    "gpt2": Family(
        "gpt2", "unmarked", quick=True,
        config={"n_positions": 1024, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    ),
    "mamba2": Family(
        "mamba2", "unmarked", quick=True,
        config={"num_heads": 8, "head_dim": 16, "state_size": 16, "n_groups": 2, "chunk_size": 64},
    ),
    "mixtral": Family("mixtral", "mistral", "own loss", {"num_local_experts": 4}),
}  # fmt: skip


def tiny(folder, family: Family):
    """The family's model as a user has it: weights, config, tokenizer and chat template."""
    build_tiny_model(folder)
    give_template(folder, template_of(family.template))
    config = {**SIZES, **family.config}
    config = {name: value for name, value in config.items() if name not in family.without}
    if family.nested:
        config = {"text_config": config, "vision_config": SEEN, "eos_token_id": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family.kind, **config))
    (folder / "generation_config.json").unlink()
    model.save_pretrained(folder)
    return folder


def spec_of(**changes):
    return replace(
        SPEC, target_modules=("all-linear",), r=16, alpha=32, learning_rate=1e-2, batch_size=2,
        epochs=40, max_steps=40, pad_token=None, scheduler="constant", **changes,
    )  # fmt: skip


def plain_loss(base, examples, spec, folder, routers=True):
    """The loss of TRL's own trainer on all examples, by peft's own layers."""
    trainer = training._trainer(base, examples, spec, CPU, str(folder))
    if not routers:
        trainer.leave_out_routers()
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(examples))])
    with torch.no_grad(), own_attention(trainer.language_model):
        trainer.model.train()
        return float(SFTTrainer.compute_loss(trainer, trainer.model, batch))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if f.quick else pytest.mark.slow) for n, f in MODELS.items()]
)
def test_it_is_trained_on_its_own_loss_and_answers_what_it_was_taught(name, tmp_path):
    """TRL's loss on the same batch at the start, and the records word for word at the end."""
    family = MODELS[name]
    base = tmp_path / "base"
    fetch_base(
        PathWeights(source="path", path=str(tiny(tmp_path / "own", family))), base, disk_gb=0.001
    )
    examples, spec = chat_examples(ROWS, "Extract.", FIELDS), spec_of()
    run = train_adapter(base, examples, spec, CPU, tmp_path / "tuned", TrainingPolicy(name))
    assert run.losses[0] == pytest.approx(
        plain_loss(base, examples, spec, tmp_path, family.routers), rel=1e-3
    )
    assert run.way == family.way
    model, tokenizer = load_tuned(base, tmp_path / "tuned", CPU), load_tokenizer(base, None)
    extractor = Extractor(model, tokenizer, "Extract.", FIELDS, max_new_tokens=40, batch_size=2)
    answers = extractor.answers([row["text"] for row in ROWS], name)
    assert [parse_record(answer.output) for answer in answers] == [row["record"] for row in ROWS]
    assert not any(answer.truncated for answer in answers)


@pytest.mark.parametrize(
    "name",
    ["qwen3.5", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gemma3", "mamba2"))],
)
def test_constrained_answers_do_not_depend_on_the_batch(name, tmp_path):
    """Windows and states cannot be gone on from with padding in their middle: the text goes in again."""
    base = tiny(tmp_path, MODELS[name])
    model, tokenizer = load_base(base, CPU), load_tokenizer(base, None)
    prompts = [[{"role": "user", "content": text}] for text in ("short", "longer " * 20, "a b c")]
    asked = {
        "max_new_tokens": 40, "description": name, "grammar": record_grammar(model, tokenizer, FIELDS),
    }  # fmt: skip
    batched = generate(model, tokenizer, prompts, batch_size=3, **asked)
    alone = [generate(model, tokenizer, [p], batch_size=1, **asked)[0] for p in prompts]
    assert batched == alone


@pytest.mark.parametrize(
    "kind, config",
    [
        ("rwkv", {"context_length": 1024, "attention_hidden_size": 64}),
        ("minimax", {"num_local_experts": 4, "block_size": 32,
                     "layer_types": ["linear_attention", "full_attention"]}),
    ],
)  # fmt: skip
def test_a_state_that_takes_padding_in_changes_no_answer(kind, config, tmp_path, capfd):
    """Their forwards read what fills a batch: answers of short texts would be those to other texts."""
    base = tiny(tmp_path, Family(kind, "unmarked", config=config))
    model, tokenizer = load_base(base, CPU), load_tokenizer(base, None)
    prompts = [[{"role": "user", "content": text}] for text in ("short", "longer " * 20, "a b c")]
    asked = {"max_new_tokens": 8, "description": kind}
    batched = generate(model, tokenizer, prompts, batch_size=3, **asked)
    alone = [generate(model, tokenizer, [p], batch_size=1, **asked)[0] for p in prompts]
    assert batched == alone
    assert "texts are asked one at a time" in capfd.readouterr().err


def gpt2(folder):
    return tiny(folder, MODELS["gpt2"])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "dora", "pissa", "qlora"])
def test_layers_of_gpt2_are_tuned_and_merged_like_others(method, tmp_path, capfd):
    """Conv1D holds its weights the other way round: what is asked is what was trained."""
    base = gpt2(tmp_path / "base")
    spec = replace(spec_of(), method=method, max_steps=8)
    examples = chat_examples(ROWS, "Extract.", FIELDS)
    kept = {}

    class Spy(training.CompletionTrainer):
        def train(self, *arguments, **options):
            done = super().train(*arguments, **options)
            kept["ids"] = torch.tensor([self.train_dataset[0]["input_ids"]])
            with torch.no_grad():
                kept["logits"] = self.model(input_ids=kept["ids"]).logits
            return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CompletionTrainer", Spy)
        run = train_adapter(base, examples, spec, CPU, tmp_path / "tuned", TrainingPolicy("gpt2"))
    assert run.losses[-1] < run.losses[0]
    assert "fan_in_fan_out" not in capfd.readouterr().err
    config = json.loads((tmp_path / "tuned" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["c_attn", "c_fc", "c_proj"]
    with torch.no_grad():
        logits = load_tuned(base, tmp_path / "tuned", CPU)(kept["ids"]).logits
    torch.testing.assert_close(logits, kept["logits"], rtol=1e-3, atol=1e-3)


def test_a_router_gets_no_adapter(tmp_path):
    """Llama 4's and Phi-3.5-MoE's are linear layers by their class, and give two things: none trained."""
    config = {"num_local_experts": 2, "intermediate_size_mlp": 128, "attention_chunk_size": 1024}
    base = tiny(tmp_path / "base", Family("llama4_text", "llama3", config=config))
    spec, examples = replace(spec_of(), max_steps=1), chat_examples(ROWS, "Extract.", FIELDS)
    run = train_adapter(base, examples, spec, CPU, tmp_path / "tuned", TrainingPolicy("llama4"))
    written = json.loads((tmp_path / "tuned" / "adapter_config.json").read_text())
    assert "router" not in written["target_modules"] and run.way == "own loss"


def test_what_can_take_no_adapter_is_refused_in_a_line(tmp_path):
    """peft and TRL would raise each their own; a state-space kernel reads out_proj's weights itself."""
    base = tiny(tmp_path / "base", MODELS["mamba2"])
    examples = chat_examples(ROWS, "Extract.", FIELDS)
    for module in ("out_proj", "lm_head", "layers"):
        spec = replace(spec_of(), target_modules=(module,))
        with pytest.raises(
            UserError,
            match=rf"no adapter can be put on {module} of a mamba2 model; .* are in_proj,",
        ):
            train_adapter(base, examples, spec, CPU, tmp_path / "t", TrainingPolicy("t"))


def test_a_way_of_tuning_that_a_model_has_not_is_refused_in_a_line(tmp_path):
    """A state-space model has no keys to put a prefix before."""
    base = tiny(tmp_path / "base", MODELS["mamba2"])
    examples = chat_examples(ROWS, "Extract.", FIELDS)
    spec = replace(spec_of(), method="prefix", virtual_tokens=4)
    with pytest.raises(UserError, match=r"mamba2 model") as error:
        train_adapter(base, examples, spec, CPU, tmp_path / "t", TrainingPolicy("t"))
    assert "\n" not in str(error.value)


def test_what_reads_images_is_not_tuned(tmp_path):
    """Nothing of it is ever computed with, and an adapter on it would only take room."""
    base = tiny(tmp_path / "base", MODELS["gemma3"])
    examples = chat_examples(ROWS, "Extract.", FIELDS)
    spec = replace(spec_of(), max_steps=1)
    train_adapter(base, examples, spec, CPU, tmp_path / "tuned", TrainingPolicy("t"))
    with safe_open(tmp_path / "tuned" / "adapter_model.safetensors", framework="pt") as weights:
        names = list(weights.keys())
    assert names and all("language_model" in name for name in names)
