"""The subprocess of `vllm_peer.py`: stock vLLM in its own interpreter, one timed batch a line.

Run as `PYTHON -P vllm_worker.py SPEC.json` by an interpreter that has vllm; imports nothing of Ratchet. Reads batches
as JSON lines and answers each with the generated tokens and the processor and wall seconds of `LLM.generate` alone, for
this process and its children. Prefixes are not cached between batches: that would save work that the other sides do.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any


def main(spec: dict[str, Any]) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # vLLM logs to standard output; answers use another descriptor
    import torch
    import vllm
    from vllm.lora.request import LoRARequest

    torch.set_num_threads(spec["threads"])
    options = {
        "model": spec["model"],
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": spec["max_model_len"],
        "max_num_seqs": spec["rows"],
        "max_num_batched_tokens": max(2048, spec["rows"] * 64),
        "enable_prefix_caching": False,
        "seed": 0,
    }
    if spec["adapters"]:
        count = len(spec["adapters"]) + 1  # one more than needed: else rows of the base are wrong in a full batch
        options |= {"enable_lora": True, "max_loras": count, "max_cpu_loras": count, "max_lora_rank": spec["rank"]}
    llm = vllm.LLM(**options)
    torch.set_num_threads(spec["threads"])
    loras = {name: LoRARequest(name, i + 1, path) for i, (name, path) in enumerate(spec["adapters"].items())}
    print(json.dumps({"ready": True, "version": vllm.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        batch = json.loads(line)
        parameters = vllm.SamplingParams(
            temperature=1.0, min_tokens=batch["new_tokens"], max_tokens=batch["new_tokens"], detokenize=True
        )
        requests = [loras.get(name) for name in batch["adapters"]]
        wall, cpu = time.perf_counter(), processor_seconds()
        found = llm.generate(batch["prompts"], parameters, lora_request=requests, use_tqdm=False)
        cpu, wall = processor_seconds() - cpu, time.perf_counter() - wall
        answer = {
            "generated": sum(len(f.outputs[0].token_ids) for f in found),
            "prompt_tokens": sum(len(f.prompt_token_ids) for f in found),
            "cpu": cpu,
            "wall": wall,
        }
        print(json.dumps(answer), file=answers, flush=True)


def processor_seconds() -> float:
    """Processor seconds of this process with its threads, and of its ended children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
