"""The tests' tiny chat model as a GGUF file, so that llama.cpp's server has something to serve."""

from __future__ import annotations

import json
from pathlib import Path


def gguf_of(model: str | Path, out: str | Path) -> Path:
    """Write the model of :func:`tests.tiny_model.build_tiny_model` as llama.cpp reads it, in float32.

    Returns:
        ``out`` as a Path.
    """
    import gguf
    from safetensors.numpy import load_file

    model, out = Path(model), Path(out)
    config = json.loads((model / "config.json").read_text())
    tokenizer = json.loads((model / "tokenizer.json").read_text())["model"]
    tokens = sorted(tokenizer["vocab"], key=tokenizer["vocab"].get)
    # what stands between <| and |> steers the chat
    kinds = [
        gguf.TokenType.CONTROL if token.startswith("<|") else gguf.TokenType.NORMAL
        for token in tokens
    ]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    # the chat template writes all marks itself
    writer.add_add_bos_token(False)
    writer.add_chat_template((model / "chat_template.jinja").read_text())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, tensor in load_file(model / "model.safetensors").items():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            # llama.cpp rotates neighbours where transformers rotates halves
            of = heads if "q_proj" in name else kv_heads
            rows, columns = tensor.shape
            halves = tensor.reshape(of, 2, rows // of // 2, columns)
            tensor = halves.swapaxes(1, 2).reshape(rows, columns)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), tensor.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out
