"""A chat model that is built in a second, for tests that need some weights and not good ones."""

from __future__ import annotations

from pathlib import Path

# The shape of SmolLM2's: a default system turn, then every turn between its two markers.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a tiny test model<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# What the tokenizer's merges are learnt from: roughly what emails, prompts and records say.
TRAINING_TEXT = [
    "Hello, I was charged twice for my subscription and would like a refund. Thanks, Anna Smith",
    "The app crashes when I open the settings page. Please help, it is urgent! Best regards",
    "My order has not arrived and the tracking page shows nothing new since Monday.",
    "I cannot log in to my account after the password reset, and support did not answer.",
    "Extract a record from the customer's email. Answer with one JSON object on one line.",
    '{"customer_name": "Anna Smith", "issue_category": "billing", "urgency": 3, '
    '"primary_request": "refund", "mentioned_products": ["Basic plan"], "sentiment": "neutral"}',
    "billing technical account shipping other positive neutral negative 0 1 2 3 4 5 6 7 8 9",
]


def build_tiny_model(
    directory: str | Path, *, seed: int = 0, vocabulary: int = 512, spare: int = 0
) -> Path:
    """Write a random two-layer Llama with a byte-level BPE tokenizer and a ChatML template.

    It knows nothing, but loads, trains, generates and is served like the real base model: ids
    0, 1, 2 are ``<|endoftext|>``, ``<|im_start|>`` (bos) and ``<|im_end|>`` (eos and pad), as
    in SmolLM2. The same arguments give the same files byte for byte; torch's random state is
    left as it was.

    Args:
        directory: made if missing; gets config, safetensors, tokenizer and chat template.
        seed: of the weights.
        vocabulary: number of tokens, at least 259 (256 bytes and three special tokens).
        spare: rows of the model for tokens that a test's tokenizer gets on top.

    Returns:
        ``directory`` as a Path, ready for ``from_pretrained``.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        TRAINING_TEXT,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=SPECIAL_TOKENS,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(directory)

    config = LlamaConfig(
        vocab_size=vocabulary + spare,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        # wide enough that greedy answers differ from prompt to prompt
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(directory)
    return directory
