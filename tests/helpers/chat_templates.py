"""Chat templates in the style of published models, and tiny models that have them.

Written for these tests. The special tokens and the structure are those of the published templates, as far as a single
question needs them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as HFTokenizer

TEXTS = [
    "You solve a problem that another agent set.",
    "reverse the list\n> rev inc | 3 1 4",
    "<answer>\nrev 4 1 3\n</answer>",
]

QWEN3 = """
{%- set ns = namespace(last=0) %}
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for m in messages[::-1] %}
    {%- if m.role == 'user' and m.content is string and not m.content.startswith('<tool_response>') %}
        {%- set ns.last = messages|length - 1 - loop.index0 %}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- if m.role == 'user' or (m.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}
    {%- elif m.role == 'assistant' %}
        {%- set said = m.content.split('</think>')[-1].lstrip('\\n') if '</think>' in m.content else m.content %}
        {%- if loop.index0 > ns.last %}
            {{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' + said.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + said }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

QWEN25 = """
{%- if tools %}
    {{- raise_exception('no tools here') }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are a miniature.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role != 'system' %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA3 = """
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + date_string + "\\n\\n" + system + "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {%- if message['content'] is string %}{{ message['content'] | trim }}{%- endif %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

GEMMA = """
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must take turns') }}
    {% endif %}
    {% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{% endfor %}
{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}
"""

SMOL = """{% for message in messages %}{% generation %}{{ '<|im_start|>' ~ message.role ~ '\\n' ~ message.content }}
{%- endgeneration %}{{ '<|im_end|>\\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

MARKS: dict[str, tuple[str, ...]] = {  # special tokens; the last one ends a turn
    "qwen3": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "qwen25": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "llama3": ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>", "<|eot_id|>"),
    "gemma": ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    "smol": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
}
TEMPLATES = {"qwen3": QWEN3, "qwen25": QWEN25, "llama3": LLAMA3, "gemma": GEMMA, "smol": SMOL}
THINK = ("<think>", "</think>")
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tokenizer_files(folder: Path, name: str, **more: Any) -> Path:
    """Write a byte-level tokenizer with the special tokens and the template of a model to a folder."""
    from tokenizers import Regex

    folder.mkdir(parents=True, exist_ok=True)
    marks = MARKS[name]
    made = HFTokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [*TEXTS, "system\n", "user\n", "assistant\n", "\n\n"] * 4,
        trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False),
    )
    made.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    made.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in THINK])
    bos = marks[0] if name in ("llama3", "gemma") else None
    if bos:
        number = made.token_to_id(bos)
        made.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, number)])  # type: ignore[assignment]
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": marks[-1]}
    config |= {"pad_token": marks[1 if bos else 0], "chat_template": TEMPLATES[name], **more}
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder


def miniature(folder: Path, positions: int = 1024) -> Path:
    """Write a tiny Qwen3 with random weights and a chat template."""
    import torch
    import transformers

    tokenizer_files(folder, "qwen3")
    made = HFTokenizer.from_file(str(folder / "tokenizer.json"))
    end, pad = made.token_to_id("<|im_end|>"), made.token_to_id("<|endoftext|>")
    settings = {"model_type": "qwen3", "vocab_size": made.get_vocab_size(), "hidden_size": 32, "intermediate_size": 48}
    settings |= {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
    settings |= {"max_position_embeddings": positions, "tie_word_embeddings": True, "bos_token_id": None}
    settings |= {"eos_token_id": end, "pad_token_id": pad, "initializer_range": 0.4}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = transformers.AutoModelForCausalLM.from_config(
            transformers.AutoConfig.for_model(**settings), dtype=torch.float32
        )
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [end, pad]}))
    return folder
