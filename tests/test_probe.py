"""The fast way is taken where it is the model's own, and nowhere else."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from lora_vs_api.model.attention import NAME
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.training import fused_lora, probe
from lora_vs_api.training import train as training
from lora_vs_api.training.probe import settle_way
from lora_vs_api.training.same_bytes import WORKSPACE, same_bytes
from tests.test_model import CPU, EXAMPLES, SPEC
from tests.tiny_model import build_tiny_model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


def trainer_of(base, folder, runtime=CPU, **changes):
    return training._trainer(base, EXAMPLES, replace(SPEC, **changes), runtime, str(folder))


def another(base, folder, kind, **config):
    """A random model of another kind with the tiny model's tokenizer, and logits close to zero."""
    build_tiny_model(folder)
    given = AutoConfig.for_model(
        kind, vocab_size=512, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, initializer_range=0.02,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, **config,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(given).save_pretrained(folder)
    return folder


LOGITS = {
    "a scale": ("granite", {"logits_scaling": 8.0}),
    "a scale by multiplication": ("cohere", {"logit_scale": 0.0625}),
    # one that moves no logit of a random model yet
    "a cap": ("gemma2", {"final_logit_softcapping": 30.0}),
}


@pytest.mark.parametrize("what", LOGITS)
def test_logits_that_the_model_changes_are_seen(what, base, tmp_path, capfd):
    """What stands behind the output layer is found whatever it is called, and the log says so once."""
    kind, config = LOGITS[what]
    trainer = trainer_of(another(base, tmp_path / "m", kind, **config), tmp_path)
    assert settle_way(trainer, "test") == "own loss" and not trainer.fast
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("test: ")]
    assert len(said) == 1 and "computed by the model's own forward" in said[0]


def test_the_usual_model_goes_the_fast_way_and_nothing_is_moved(base, tmp_path, capfd):
    """Weights, random state and mode are those of a training that was not probed."""
    for runtime in (CPU, Runtime("cpu", torch.bfloat16)):
        trainer = trainer_of(base, tmp_path, runtime, dropout=0.1)
        before = {name: w.clone() for name, w in trainer.model.named_parameters()}
        state = torch.random.get_rng_state()
        assert settle_way(trainer, "test") == "fast" and trainer.fast
        assert torch.equal(state, torch.random.get_rng_state())
        for name, weight in trainer.model.named_parameters():
            assert weight.grad is None and weight.dtype == before[name].dtype
            assert torch.equal(weight, before[name])
        assert capfd.readouterr().err.count("test: computed the fast way") == 1


def test_a_layer_that_computes_something_else_is_taken_out_again(base, tmp_path, monkeypatch):
    """A wrong gradient of the faster layers is seen although a new adapter adds nothing yet."""
    backward = fused_lora._LoraProduct.backward

    def wrong(ctx, *gradients):
        of_x, of_dropped, w, of_a, of_b, scaling = backward(ctx, *gradients)
        return of_x, of_dropped, w, of_a * 1.1, of_b, scaling

    monkeypatch.setattr(fused_lora._LoraProduct, "backward", staticmethod(wrong))
    trainer = trainer_of(base, tmp_path)
    assert settle_way(trainer, "test") == "own"
    assert trainer.language_model.config._attn_implementation != NAME
    assert not any("forward" in vars(module) and "lora" in type(module).__module__
                   for module in trainer.model.modules())  # fmt: skip


def test_a_wrong_attention_or_loss_is_seen(base, tmp_path, monkeypatch):
    """Each on its own: the attention takes the layers with it, the loss does not."""
    right = probe.CompletionTrainer._fast_loss
    monkeypatch.setattr(probe.CompletionTrainer, "_fast_loss", lambda *a: right(*a) * 1.002)
    assert settle_way(trainer_of(base, tmp_path), "test") == "own loss"
    monkeypatch.undo()
    trainer = trainer_of(base, tmp_path)
    for layer in trainer.language_model.model.layers:
        # NAME's attention scales by this, and so does sdpa: only where NAME is in is it wrong
        layer.self_attn.register_forward_pre_hook(
            lambda module, args: setattr(
                module, "scaling", 0.25 * (2 if module.config._attn_implementation == NAME else 1)
            )
        )
    assert settle_way(trainer, "test") == "own"


def test_a_model_without_a_plain_decoder_is_trained_by_its_own_forward(base, tmp_path, monkeypatch):
    """What the fast way cannot even begin with is a reason and no traceback."""
    trainer = trainer_of(base, tmp_path)
    monkeypatch.setattr(type(trainer.language_model), "base_model_prefix", "unheard_of")
    assert settle_way(trainer, "test") == "own loss"


def test_windows_and_moving_angles_are_no_plain_attention():
    """Keys of a prompt's beginning are not those that the whole text would have had."""
    from transformers import LlamaConfig, MistralConfig

    from lora_vs_api.model.attention import has_plain_attention

    assert has_plain_attention(MistralConfig(sliding_window=None))
    assert not has_plain_attention(MistralConfig(sliding_window=64))
    moving = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    assert not has_plain_attention(LlamaConfig(rope_parameters=moving))
    fixed = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    assert has_plain_attention(LlamaConfig(rope_parameters=fixed))


def test_a_training_that_no_order_can_be_given_goes_on_and_says_so(
    base, tmp_path, capfd, monkeypatch
):
    """torch refuses what has no deterministic way: the training is worth more than its last digits."""
    asked, measured = [], probe._measured

    def refused_once(*given):
        asked.append(torch.is_deterministic_algorithms_warn_only_enabled())
        if len(asked) == 1:
            raise RuntimeError(
                "some_backward_cuda does not have a deterministic implementation, but …"
            )
        return measured(*given)

    monkeypatch.setattr(probe, "_measured", refused_once)
    with same_bytes("cuda"):
        assert settle_way(trainer_of(base, tmp_path), "test") == "fast"
    assert asked[:2] == [False, True]
    assert "another run of it will differ in the last digits" in capfd.readouterr().err
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_the_process_computes_otherwise_is_left_as_it_was(monkeypatch):
    """A server or an evaluation in the same process keeps its own way, and a CPU has one order anyway."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    with same_bytes("cpu"):
        assert not torch.are_deterministic_algorithms_enabled()
    assert WORKSPACE not in os.environ
    with same_bytes("cuda"):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ[WORKSPACE] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
