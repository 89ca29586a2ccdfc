"""What a method needs while it runs, and nothing that it should not know."""

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from lotus_unlearning.images import Images, ImageTensors, StreamedImages
from lotus_unlearning.runtime import cut
from lotus_unlearning.runtime.processes import Processes
from lotus_unlearning.runtime.stored import STORED, collected
from lotus_unlearning.splits import Split
from lotus_unlearning.views import moved, random_shifts

Row = dict[str, float | int | None]
PREDICTION_BATCH = 256


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of rows ``[N, C]`` whose largest logit is at the label ``[N]``; never rounded."""
    return (logits.argmax(dim=1) == labels.to(logits.device)).double().mean().item()


@dataclass
class Runtime:
    """Device, precision, batches, predictions, steps and epochs of one run.

    Everything random comes from ``generator`` (on the CPU), seeded by ``seed``.

    Attributes:
        device: Where the model is.
        precision: What the model computes in; parameters stay in their own type.
        batch_size: Of :meth:`batches` where a method does not ask for its own; all processes
            together.
        seed: Seeds ``generator``.
        progress: Whether to draw progress bars.
        processes: The processes that share the work.
        history: One row per epoch: what the method logged, and the mean loss.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: torch.dtype = torch.float32
    batch_size: int = 128
    seed: int = 0
    progress: bool = False
    processes: Processes = field(default_factory=Processes)
    history: list[Row] = field(default_factory=list, repr=False)
    generator: torch.Generator = field(init=False, repr=False)
    _on_device: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)
    _losses: list[Tensor] = field(default_factory=list, repr=False)
    _row: Row = field(default_factory=dict, repr=False)
    _last: bool = field(default=False, repr=False)
    _warned: bool = field(default=False, repr=False)
    _masks: dict[nn.Parameter, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected 0 to 2**63 - 1, got {self.seed}")
        self.generator = torch.Generator().manual_seed(self.seed)

    @contextmanager
    def prepared(self, model: nn.Module) -> Iterator[nn.Module]:
        """``model`` on the device, computing in ``precision``, batch statistics shared."""
        images = any(isinstance(m, nn.Conv2d) for m in model.modules())
        layout = torch.channels_last if images else torch.preserve_format
        wide = torch.float64 if self.precision is torch.float64 else torch.float32
        model.to(self.device, wide).to(memory_format=layout)
        self.processes.synchronize_batch_norm(model)
        vars(model)["forward"] = MethodType(_in_precision(self.device, self.precision), model)
        try:
            yield model
        finally:
            for module in model.modules():
                vars(module).pop("forward", None)

    def predict(self, model: nn.Module, split: Split) -> Tensor:
        """Logits ``[N, C]`` in evaluation mode, without gradients, in the order of ``split``.

        Where these are too many for memory, they are kept in a file (see
        :func:`lotus_unlearning.runtime.stored.collected`); :meth:`rows` reads from either.

        Warns, once in a run, if the images of ``split`` differ at every read.
        """
        self._warn_of_random_views(split)
        return self._predict(model, split)

    def rows(self, logits: Tensor, positions: Tensor | slice) -> Tensor:
        """Rows of what :meth:`predict` returned, on the device, wherever they are kept."""
        if logits.dtype is not STORED:
            return logits[positions]
        if isinstance(positions, Tensor):
            positions = positions.to(logits.device)
        wide = torch.float64 if self.precision is torch.float64 else torch.float32
        return logits[positions].to(self.device, wide)

    def classes(self, model: nn.Module, split: Split) -> int:
        """Number of outputs of ``model``, from its answer to one image of ``split``."""
        return self._predict(model, split.take(torch.arange(1))).shape[1]

    def each(self, model: nn.Module, split: Split, of: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``of`` makes of the logits ``[B, C]`` of each batch: ``[N, K]`` of its ``[B, K]``.

        For splits of which the logits themselves are not needed, however many images they have.
        """
        self._warn_of_random_views(split)
        return self._predict(model, split, of)

    def _predict(
        self, model: nn.Module, split: Split, of: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        size = self.processes.count
        order = torch.arange(math.ceil(len(split) / size) * size) % len(split)
        order = order.view(size, -1)[self.processes.rank]
        with torch.no_grad():
            chunks = torch.split(order, PREDICTION_BATCH)
            answers = (model(x) for x in self._inputs(split, chunks))
            rows = answers if of is None else map(of, answers)
            store = of is None and size == 1
            logits = collected(rows, len(order), logits=True, may_store=store)
        for module, training in modes:
            module.training = training
        return self.processes.gather(logits)[: len(split)]

    def _warn_of_random_views(self, split: Split) -> None:
        source = split.source
        if self._warned or not isinstance(source, StreamedImages) or not source.random:
            return
        self._warned = True
        warnings.warn(
            f"{split.name}: the images differ at every read, so that what is predicted once (a "
            "teacher's answers, an accuracy) is said of other views than those that are trained "
            "on; pass the data set without random transforms",
            stacklevel=4,
        )

    def accuracy(self, model: nn.Module, split: Split) -> float:
        """Share of ``split`` that ``model`` classifies right, in evaluation mode."""
        return accuracy(self.predict(model, split), split.labels)

    def batches(
        self, split: Split, batch_size: int | None = None, *, shuffle: bool = True
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """One pass over ``split``: inputs ``[B, ...]``, labels ``[B]``, positions ``[B]``.

        Positions count within ``split`` and are on the device, to index what
        :meth:`predict` returned. A single image left over joins the batch before it.

        Raises:
            ValueError: If ``batch_size`` is below 1.
        """
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {size}")
        order = self.permutation(len(split)) if shuffle else torch.arange(len(split))
        chunks = cut.batches(order, size)
        shards = [self.processes.shard(chunk) for chunk in chunks]
        labels = split.labels
        for chunk, shard, x in zip(chunks, shards, self._inputs(split, shards), strict=True):
            self.processes.shard(chunk)  # says whether this batch is cut
            yield x, labels[shard].to(self.device), shard.to(self.device)

    def epochs(self, count: int) -> Iterator[int]:
        """Count epochs; each leaves a row in ``history``.

        The epoch in which :meth:`stop` is called is the last one.

        Raises:
            FloatingPointError: If a loss of the epoch was not finite; says which.
        """
        with _bar(count, self.progress and self.processes.rank == 0) as bar:
            for epoch in range(count):
                self._row, self._last = {"epoch": epoch}, False
                self.history.append(self._row)
                yield epoch
                self._row["loss"] = self._mean_loss(epoch)
                bar.update()
                bar.set_postfix({k: v for k, v in self._row.items() if k != "epoch"})
                if self._last:
                    return

    def stop(self) -> None:
        """Let this epoch be the last one; unlike a ``break``, its losses are looked at, too."""
        self._last = True

    def log(self, **values: float | Tensor) -> None:
        """Add ``values`` to the row of this epoch; tensors are averaged over processes."""
        for name, value in values.items():
            shared = self.processes.mean(value.detach()) if isinstance(value, Tensor) else value
            self._row[name] = float(shared)

    def backward(self, parameters: Iterable[Tensor], loss: Tensor) -> None:
        """Gradients of ``loss``, a mean over the batch (this process's shard), from zero."""
        parameters = list(parameters)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.average_gradients(parameters)

    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Backward pass and update; ``loss`` is a mean over the batch (this process's shard)."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.backward(parameters, loss)
        for parameter, (mask, _) in self._masks.items():
            if parameter.grad is not None:
                parameter.grad.masked_fill_(~mask, 0)
        optimizer.step()
        self._hold()  # weight decay and momentum move what has no gradient, too
        self._losses.append(loss.detach())

    @torch.no_grad()
    def _hold(self) -> None:
        """Put back what the masks exclude."""
        for parameter, (mask, start) in self._masks.items():
            torch.where(mask, parameter, start, out=parameter)

    @contextmanager
    def only(self, masks: dict[nn.Parameter, Tensor]) -> Iterator[None]:
        """Within the block, steps change parameters where their mask is true, nowhere else."""
        self._masks = {p: (mask, p.detach().clone()) for p, mask in masks.items()}
        try:
            yield
        finally:
            self._hold()  # also for what changed parameters without a step
            self._masks = {}

    def draw_seed(self) -> int:
        """A seed for something new, such as an initialisation: not that of the run."""
        return int(torch.randint(2**31, (1,), generator=self.generator))

    def permutation(self, size: int) -> Tensor:
        """A random order of ``size`` positions, equal in all processes."""
        return torch.randperm(size, generator=self.generator)

    def gumbel(self, *shape: int) -> Tensor:
        """Independent standard Gumbel noise of ``shape``, equal in all processes."""
        draw = torch.empty(shape).exponential_(generator=self.generator)
        return -draw.clamp_min(torch.finfo(draw.dtype).tiny).log().to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Independent standard normal noise of ``shape``, equal in all processes."""
        return torch.empty(shape).normal_(generator=self.generator).to(self.device)

    def random_labels(self, size: int, classes: int) -> Tensor:
        """Labels ``[size]`` drawn uniformly from all ``classes``, equal in all processes."""
        return torch.randint(classes, (size,), generator=self.generator).to(self.device)

    def shifted(self, images: Tensor, pixels: int, flip: bool) -> Tensor:
        """``images`` ``[B, C, H, W]`` of the batch at hand, each moved and mirrored at random."""
        shares = self.processes.count if self.processes.sharded else 1
        size = shares * len(images), images.shape[-2], images.shape[-1]
        rows, columns = random_shifts(size, pixels, flip, self.generator)
        part = self.processes.rank if shares > 1 else 0  # every process draws for the whole batch
        mine = slice(part * len(images), (part + 1) * len(images))
        return moved(images, (rows[mine], columns[mine]))

    def _mean_loss(self, epoch: int) -> float | None:
        if not self._losses:
            return None
        losses = torch.stack(self._losses)
        self._losses.clear()
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            raise FloatingPointError(
                f"loss is {losses[bad[0, 0]].item()} in epoch {epoch}, batch {bad[0, 0].item()}; "
                "the given model is unchanged; try a smaller learning rate or float32"
            )
        return self.processes.mean(losses.mean()).item()

    def _inputs(self, split: Split, chunks: Any) -> Iterator[Tensor]:
        """Model inputs ``[B, ...]`` for each chunk of positions in ``split``."""
        source = split.source
        if isinstance(source, ImageTensors):
            images = self._resident(source)
            for chunk in chunks:
                yield self._ready(source.inputs(images[split.ids[chunk].to(self.device)]))
            return
        places = [split.ids[chunk] for chunk in chunks]
        for images in source.batches(places, pin=self.device.type == "cuda"):
            images = images.to(self.device, non_blocking=True)
            yield self._ready(images if images.is_floating_point() else images.float() / 255)

    def _resident(self, source: Images) -> Tensor:
        """The images on the device, moved there once."""
        assert isinstance(source, ImageTensors)
        if self.device.type == "cpu":
            return source.images
        if id(source) not in self._on_device:
            # the CPU tensor is kept beside the copy: an id is unique only while it lives
            self._on_device[id(source)] = source.images.to(self.device), source.images
        return self._on_device[id(source)][0]

    def _ready(self, x: Tensor) -> Tensor:
        if self.precision is torch.float64:
            x = x.double()
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _in_precision(device: torch.device, precision: torch.dtype):  # type: ignore[no-untyped-def]
    """A ``forward`` that computes in ``precision`` and returns logits in float32 or float64."""
    half = precision is torch.bfloat16
    autocast = torch.autocast(device.type, torch.bfloat16) if half else nullcontext()

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with autocast:
            outputs = type(self).forward(self, *args, **kwargs)
        return outputs.float() if half else outputs

    return forward


def _bar(count: int, shown: bool):  # type: ignore[no-untyped-def]
    from tqdm import tqdm

    return tqdm(total=count, unit="epoch", disable=not (shown and sys.stderr.isatty()))
