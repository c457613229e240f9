"""Supervised fine-tuning of a student on an export, with TRL: ``python sft.py CONFIG.yaml``.

The export is text (``tessy export RUN -o FOLDER --format prompt-completion --template STUDENT``): what
the student learns is to the character what it would write itself. Prompts are not learnt; of completions all
is, or what the export's ``loss_mask`` names. A trace that is too long is left out, never cut: a student that
sees thinking without an end learns not to end it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset, load_dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

IGNORED = -100


def encode(record: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Tokens and labels of one record.

    A token is learnt if more than half of its characters are; masks end between words, as most tokens do.
    """
    prompt = tokenizer(record["prompt"], add_special_tokens=False)["input_ids"]
    completion = tokenizer(record["completion"], add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = completion["input_ids"], completion["offset_mapping"]
    labels = list(ids)
    if (mask := record.get("loss_mask")) is not None:
        ranges, at = mask["completion"], 0
        for i, (start, end) in enumerate(offsets):
            while at < len(ranges) and ranges[at][1] <= start:
                at += 1
            learnt = sum(max(0, min(end, stop) - max(start, begin)) for begin, stop in ranges[at : at + 3])
            if 2 * learnt <= end - start:
                labels[i] = IGNORED
    return {"input_ids": prompt + ids, "labels": [IGNORED] * len(prompt) + labels}


def read(path: Path, tokenizer: PreTrainedTokenizerBase, longest: int) -> Dataset:
    """One part of the export, encoded; says how many traces were too long."""
    records = load_dataset("json", data_files=str(path), split="train")
    if not isinstance(records[0].get("completion"), str):
        sys.exit(
            f"{path}: is no text; export it with --format prompt-completion and the student's --template"
        )
    encoded = records.map(
        encode, fn_kwargs={"tokenizer": tokenizer}, remove_columns=records.column_names, desc=path.stem
    )
    kept = encoded.filter(lambda record: len(record["input_ids"]) <= longest)
    if len(kept) < len(encoded):
        print(f"{path}: left out: {len(encoded) - len(kept)} of {len(encoded)} traces, over {longest} tokens")
    if len(kept) == 0:
        sys.exit(f"{path}: no trace has at most {longest} tokens; raise max_length")
    return kept


def main(config_file: str) -> None:
    """Train as the file says."""
    config = yaml.safe_load(Path(config_file).read_text(encoding="utf-8"))
    data, longest = Path(config["data"]), config["max_length"]
    if not (data / "train.jsonl").is_file():
        sys.exit(f"{data}: no train.jsonl here; data: must name the folder of an export")
    tokenizer = AutoTokenizer.from_pretrained(config["student"])
    train = read(data / "train.jsonl", tokenizer, longest)
    validation = data / "validation.jsonl"
    trainer = SFTTrainer(
        model=config["student"],
        args=SFTConfig(output_dir=config["output"], max_length=longest, **config.get("sft", {})),
        train_dataset=train,
        eval_dataset=read(validation, tokenizer, longest) if validation.is_file() else None,
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python sft.py CONFIG.yaml")
    main(sys.argv[1])
