"""Train the same network on the same faces in plain PyTorch: the reference of benchmarks/training.py.

Run by it, in an environment of benchmarks/pytorch/requirements.txt: python loop.py WORK.json. Optimized for two cores:
channels last, autocast to bfloat16, a fused optimizer, foreach averages, batches made by a worker process.
"""

import io
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, average-pooled and projected where shapes differ."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm_one, self.norm_two = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm_two.weight)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        project = [nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)] if before != width else []
        self.project = nn.Sequential(*project)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm_one(self.one(x)))
        return F.relu(self.project(self.pool(x)) + self.norm_two(self.two(y)))


class Residual(nn.Module):
    """faces/networks/residual.py in PyTorch."""

    def __init__(self, widths: list[int], blocks: list[int], heads: dict[str, int], dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        layers, before = [], widths[0]
        for group, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(count):
                layers.append(Block(before, width, 2 if group > 0 and block == 0 else 1))
                before = width
        self.blocks = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(before, units) for name, units in heads.items()})
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.blocks(self.stem(image))
        x = self.dropout(x.mean((2, 3)))
        with torch.autocast("cpu", enabled=False):
            return {name: head(x.float()) for name, head in self.heads.items()}


class Batches(torch.utils.data.Dataset):
    """One item is one batch, augmented: (image (n, 3, s, s) uint8, {target: label}, {target: weight})."""

    def __init__(self, work: dict) -> None:
        self.work = work
        with np.load(work["faces"]) as arrays:
            self.bytes, self.ends = arrays["bytes"], arrays["ends"]
            self.labels = {name: arrays[f"label_{name}"] for name in work["heads"]}
            self.masks = {name: arrays[f"mask_{name}"] for name in work["heads"]}
        self.count = len(self.ends) - 1
        self.steps, self.epoch = self.count // work["batch_size"], -1

    def __len__(self) -> int:
        return self.steps * self.work["epochs"]

    def __getitem__(self, number: int) -> tuple:
        epoch, step = divmod(number, self.steps)
        if epoch != self.epoch:
            rng = np.random.default_rng((self.work["seed"], epoch))
            self.epoch, self.order = epoch, rng.permutation(self.count)
            self.draws = rng.random((self.count, 16), dtype=np.float32)
        size = self.work["batch_size"]
        at = self.order[step * size : (step + 1) * size]
        u = self.draws[at]
        images = np.stack([np.asarray(Image.open(io.BytesIO(self.content(i)))) for i in at])
        image = augment(torch.from_numpy(images), torch.from_numpy(u), self.work)
        return (
            image,
            {name: torch.from_numpy(values[at]) for name, values in self.labels.items()},
            {name: torch.from_numpy(values[at]) for name, values in self.masks.items()},
        )

    def content(self, i: int) -> bytes:
        return self.bytes[self.ends[i] : self.ends[i + 1]].tobytes()


def augment(images: torch.Tensor, u: torch.Tensor, work: dict) -> torch.Tensor:
    """Augment as faces/training/augmentation.py: (n, h, w, 3) uint8 to (n, 3, size, size) uint8, channels last."""
    size, s = work["image_size"], work["augment"]
    x = images.permute(0, 3, 1, 2).float()
    angle = (2 * u[:, 0] - 1) * s["rotate"] * math.pi / 180
    scale = (work["crop"] or size) / images.shape[1] / (s["zoom"][0] + u[:, 1] * (s["zoom"][1] - s["zoom"][0]))
    flip = torch.where(u[:, 2] < 0.5, -1.0, 1.0) if s["flip"] else torch.ones(len(u))
    cos, sin = angle.cos() * scale, angle.sin() * scale
    dx, dy = (2 * u[:, 3] - 1) * 2 * s["shift"], (2 * u[:, 4] - 1) * 2 * s["shift"]
    matrix = torch.stack([torch.stack([cos * flip, -sin, dx], 1), torch.stack([sin * flip, cos, dy], 1)], 1)
    grid = F.affine_grid(matrix, [len(x), 3, size, size], align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    per_image = (slice(None), None, None, None)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (1 + (2 * u[:, 5] - 1) * s["contrast"])[per_image] + mean
    x = x * (1 + (2 * u[:, 6:9] - 1) * s["colour"])[:, :, None, None]
    x = x + ((2 * u[:, 9] - 1) * s["brightness"] * 255)[per_image]
    luma = (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    x = torch.where((u[:, 10] < s["grayscale"])[per_image], luma, x)
    high, wide = (0.15 + 0.30 * u[:, 12]) * size, (0.15 + 0.30 * u[:, 13]) * size
    top, left = u[:, 14] * (size - high), u[:, 15] * (size - wide)
    at = torch.arange(size, dtype=torch.float32)
    rows = (at >= top[:, None]) & (at < (top + high)[:, None])
    columns = (at >= left[:, None]) & (at < (left + wide)[:, None])
    hole = rows[:, :, None] & columns[:, None, :] & (u[:, 11] < s["random_erasing"])[:, None, None]
    x = torch.where(hole[:, None], 128.0, x)
    return x.round().clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)


def total_loss(work: dict, logits: dict, labels: dict, masks: dict) -> torch.Tensor:
    """The losses of faces/training/losses.py, weighted and summed over the heads."""
    total = 0.0
    for name, units in work["heads"].items():
        log_p = F.log_softmax(logits[name], dim=1)
        if name == "age":
            support = torch.arange(units, dtype=torch.float32)
            years = labels[name][:, None]
            p = F.softmax(-0.5 * ((support - years) / work["age_sigma"]) ** 2, dim=1)
            expected = (log_p.exp() * support).sum(1)
            loss = -(p * log_p).sum(1) + work["age_l1"] * (expected - years[:, 0]).abs()
        else:
            smoothing = work["label_smoothing"].get(name, 0.0)
            p = F.one_hot(labels[name].long(), units) * (1 - smoothing) + smoothing / units
            loss = -(p * log_p).sum(1)
        total = total + work["loss_weights"].get(name, 1.0) * (loss * masks[name]).mean()
    return total


def main() -> None:
    """Train for work["epochs"], or until the error is work["until"]; print seconds and error after each epoch."""
    work = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(work["threads"])
    torch.manual_seed(work["seed"])
    model = Residual(work["widths"], work["blocks"], work["heads"], work["dropout"])
    model = model.to(memory_format=torch.channels_last).train()
    kernels, optimizers = build_optimizers(model, work)
    data = Batches(work)
    steps = len(data)
    warm = round(steps * work["warmup"])

    def rate(step: int) -> float:
        if step < warm:
            return 1 / 25 + (1 - 1 / 25) * step / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, rate) for optimizer in optimizers]
    values = [p.detach() for p in model.state_dict().values() if p.dtype.is_floating_point]
    average = [p.clone() for p in values]
    decay = math.exp(-1 / (work["ema_epochs"] * data.steps))
    loader = torch.utils.data.DataLoader(
        data, batch_size=None, num_workers=work["workers"], prefetch_factor=4 if work["workers"] else None
    )
    bfloat16 = work["precision"] == "bfloat16"
    validated = Residual(work["widths"], work["blocks"], work["heads"], work["dropout"]).eval()
    validated = validated.to(memory_format=torch.channels_last)
    started = time.perf_counter()
    for step, (image, labels, masks) in enumerate(loader):
        image = image.to(torch.float32).div_(127.5).sub_(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = total_loss(work, model(image), labels, masks)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0, foreach=True)
        for kernel, matrix in kernels:
            matrix.grad = as_matrix(kernel.grad)
        for item in (*optimizers, *schedules):
            item.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, values, 1 - min(decay, (1 + step) / (10 + step)))
        if (step + 1) % data.steps == 0:
            with torch.no_grad():
                for value, mean in zip(validated.state_dict().values(), averaged(model, average), strict=True):
                    value.copy_(mean)
            mae = age_mae(validated, work, bfloat16)
            seconds = time.perf_counter() - started
            print(json.dumps({"epoch": (step + 1) // data.steps, "seconds": seconds, "age_mae": mae}), flush=True)
            if mae <= work["until"]:
                return


def build_optimizers(model: nn.Module, work: dict) -> tuple[list[tuple], list[torch.optim.Optimizer]]:
    """Optimizers as in faces/training/optimizers.py, and pairs of a convolution's kernel and its matrix for Muon."""
    muon = work["optimizer"] == "muon"
    kernels = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)] if muon else []
    left = [p for p in model.parameters() if not any(p is kernel for kernel in kernels)]
    groups = [
        {"params": [p for p in left if p.ndim > 1], "weight_decay": work["weight_decay"]},
        {"params": [p for p in left if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizers = [torch.optim.AdamW(groups, lr=work["learning_rate"], fused=True)]
    pairs = [(kernel, nn.Parameter(as_matrix(kernel.detach()))) for kernel in kernels]
    if pairs:
        matrices = [matrix for _, matrix in pairs]
        decay = work["weight_decay"]
        rate = {"lr": work["learning_rate"], "adjust_lr_fn": "match_rms_adamw"}
        optimizers.append(torch.optim.Muon(matrices, weight_decay=decay, momentum=0.95, **rate))
    return pairs, optimizers


def as_matrix(kernel: torch.Tensor) -> torch.Tensor:
    """A kernel (out, in, height, width), channels last, as a matrix (out, height * width * in), a view of it."""
    return kernel.permute(0, 2, 3, 1).view(len(kernel), -1)


def averaged(model: nn.Module, average: list[torch.Tensor]) -> list[torch.Tensor]:
    """State of a model with its floating-point entries replaced by their averages."""
    left = iter(average)
    return [next(left) if value.dtype.is_floating_point else value for value in model.state_dict().values()]


@torch.no_grad()
def age_mae(model: nn.Module, work: dict, bfloat16: bool) -> float:
    """Mean absolute error in years, by the median of the distribution, on validation."""
    with np.load(work["val"]) as arrays:
        images, years, known = arrays["images"], arrays["age"], arrays["known"] > 0
    errors = []
    for start in range(0, len(images), 256):
        image = torch.from_numpy(images[start : start + 256]).permute(0, 3, 1, 2)
        image = image.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            p = F.softmax(model(image)["age"].double(), dim=1)
        total = p.cumsum(1)
        k = (total >= 0.5).int().argmax(1)
        below = torch.where(k > 0, total.gather(1, (k[:, None] - 1).clamp(min=0))[:, 0], 0.0)
        median = (k - 0.5 + (0.5 - below) / p.gather(1, k[:, None])[:, 0]).clamp(min=0)
        errors.append(np.abs(median.numpy() - years[start : start + 256]))
    return float(np.concatenate(errors)[known].mean())


if __name__ == "__main__":
    main()
