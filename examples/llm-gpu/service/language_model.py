"""The model: read straight into the GPU's memory, one request at a time."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was generated, and what it cost."""

    text: str
    prompt_tokens: int
    new_tokens: int
    finished: bool
    "False where the limit of tokens ended it"


class LanguageModel:
    """A causal language model on a GPU."""

    def __init__(self, folder: Path) -> None:
        """Load tokenizer and weights; raises RuntimeError where there is no GPU that fits."""
        if not torch.cuda.is_available():
            raise RuntimeError("there is no GPU, or no driver for it, in this container")
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype="auto",
        ).to("cuda").eval()  # fmt: skip
        self._limit = int(self._model.config.max_position_embeddings)
        # One request at a time: the cache of keys and values was declared for one.
        self._turn = threading.Lock()

    def facts(self) -> dict[str, Any]:
        """Return what an operator wants to know."""
        free, total = torch.cuda.mem_get_info()
        major, minor = torch.cuda.get_device_capability()
        return {
            "name": torch.cuda.get_device_name(),
            "architecture": f"sm_{major}{minor}",
            "cuda": torch.version.cuda,
            "memory": {"total": total, "free": free},
        }

    def generate(self, prompt: str, *, most: int) -> Answer:
        """Continue `prompt` by `most` tokens at most; raises ValueError when it is too long."""
        messages = [{"role": "user", "content": prompt}]
        tokens = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        length = tokens["input_ids"].shape[1]
        if length + most > self._limit:
            raise ValueError(f"{length} + {most} tokens are over the model's {self._limit}")
        with self._turn, torch.inference_mode():
            made = self._model.generate(**tokens.to("cuda"), max_new_tokens=most, do_sample=False)
        new = made[0, length:]
        return Answer(
            text=self._tokenizer.decode(new, skip_special_tokens=True),
            prompt_tokens=length,
            new_tokens=len(new),
            finished=len(new) < most,
        )
