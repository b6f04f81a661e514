"""Train `vit_digits` and write its weights: `python -m variants.training.vit_digits` (about ten minutes on 2 cores)."""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from common.errors import UserError
from variants import weights
from variants.data import digits
from variants.networks.vit import ViT, ViTConfig

EPOCHS, BATCH, PEAK_LR, WEIGHT_DECAY, WARMUP_EPOCHS = 60, 64, 1e-3, 0.05, 5
OUTPUT = weights.FOLDER / "vit_digits.safetensors"


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Rotate by up to 12 degrees, scale by up to 12 %, shift by up to 3 pixels; paper is -1."""
    n = len(images)
    draw = torch.rand(n, 4, generator=generator) * 2 - 1
    angle, zoom = draw[:, 0] * math.radians(12), 1 + 0.12 * draw[:, 1]
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = zoom * angle.cos(), -zoom * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = zoom * angle.sin(), zoom * angle.cos()
    theta[:, :, 2] = draw[:, 2:] * 6 / digits.SIZE
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1


@torch.no_grad()
def top1(model: ViT, split: digits.Digits) -> float:
    """Share of images whose largest logit is the label, 0..1."""
    model.eval()
    return float((model(torch.from_numpy(split.images)).argmax(1).numpy() == split.labels).mean())


def train(epochs: int, seed: int) -> ViT:
    """A trained model in evaluation mode; prints one line an epoch. Raises UserError for less than one epoch."""
    if epochs < 1:
        raise UserError(f"--epochs {epochs}: give at least 1")
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    data = digits.load()
    images, labels = torch.from_numpy(data["train"].images), torch.from_numpy(data["train"].labels)
    model = ViT(ViTConfig())
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, weight_decay=WEIGHT_DECAY)
    steps = math.ceil(len(images) / BATCH)
    warmup, total = WARMUP_EPOCHS * steps, epochs * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / warmup, 0.5 * (1 + math.cos(math.pi * i / total))))
    for epoch in range(epochs):
        model.train()
        losses = []
        for rows in torch.split(torch.randperm(len(images), generator=generator), BATCH):
            logits = model(augment(images[rows], generator))
            loss = F.cross_entropy(logits, labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        print(f"epoch {epoch + 1}/{epochs}  loss {np.mean(losses):.4f}  validation {top1(model, data['validation']):.4f}", flush=True)
    model.eval()
    return model


def _writable(output: Path) -> None:
    """Refuse before the training, not after it, a folder that cannot be written in."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output.parent).close()
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror}): choose another file with --output") from error


def main() -> None:
    """Train, print the test accuracy and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="safetensors file to write")
    args = parser.parse_args()
    try:
        _writable(args.output)
        model = train(args.epochs, args.seed)
    except UserError as error:
        parser.exit(2, f"{error}\n")
    score = top1(model, digits.load()["test"])
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, args.output, metadata={"test_top1": f"{score:.4f}", "seed": str(args.seed), "epochs": str(args.epochs)})
    weights.write_digest(args.output)
    print(f"test top-1 {score:.4f} on {digits.TEST_IMAGES} images; wrote {args.output.name}, {args.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
