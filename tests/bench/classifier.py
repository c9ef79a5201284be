"""A classifier of one's own to prune: fine-tune an encoder on labelled text, and save it as a checkpoint.

    python -m tests.bench.classifier demo --data train.tsv --out classifier
    compress run classifier --recipe tests/bench/quarter.yaml --calibration train.tsv --data dev.tsv

Data are rows of a text and a label. AdamW at 5e-5 in a line to zero, batches of 32, at most 128 tokens.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from compress.data.items import load_items
from compress.model.resolve import resolve
from compress.pipeline.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RATE = 5e-5
BATCH = 32
LENGTH = 128


def batches(rows: Sequence[Mapping[str, object]], seed: int) -> Iterator[list[Mapping[str, object]]]:
    """Rows in an order by chance, texts of about the same length together."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    for start in range(0, len(order), 20 * BATCH):
        pool = sorted(order[start : start + 20 * BATCH], key=lambda at: len(str(rows[at]["text"])))
        for first in range(0, len(pool), BATCH):
            yield [rows[at] for at in pool[first : first + BATCH]]


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    words = parser.parse_args()
    torch.manual_seed(0)
    task = "text-classification"
    folder = resolve(words.model, task=None, offline=True, cache=cache_folder(), note=print).folder
    rows = load_items(words.data, task=task, limit=None).rows
    labels = sorted({int(row["label"]) for row in rows})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(labels)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01, fused=True)
    steps = words.epochs * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(1 - step / steps, 0.0))
    for epoch in range(words.epochs):
        for part in batches(rows, epoch):
            texts = [str(row["text"]) for row in part]
            feeds = tokenizer(texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
            loss = model(**feeds, labels=torch.tensor([int(row["label"]) for row in part])).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.3f}", flush=True)
    model.save_pretrained(words.out)
    tokenizer.save_pretrained(words.out)


if __name__ == "__main__":
    main()
