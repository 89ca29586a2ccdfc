"""What a method needs while it runs, and nothing that it should not know."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from types import MethodType

import torch
from torch import Tensor, nn

from lotus_unlearning.runtime import cut, progress
from lotus_unlearning.runtime.batch_statistics import share_batch_statistics
from lotus_unlearning.runtime.checkpoint import Carried, Checkpoint
from lotus_unlearning.runtime.compiling import Compiling
from lotus_unlearning.runtime.draws import Draws
from lotus_unlearning.runtime.forward import in_micro_batches, in_precision, placed
from lotus_unlearning.runtime.graphs import Graphs
from lotus_unlearning.runtime.held import Held
from lotus_unlearning.runtime.inputs import Inputs
from lotus_unlearning.runtime.processes import Processes
from lotus_unlearning.runtime.shards import unfused
from lotus_unlearning.runtime.stored import collected, taken
from lotus_unlearning.splits import Split

Row = dict[str, float | int | None]
Of = Callable[[Tensor], Tensor]
Keep = Callable[[Iterable[Tensor], int], Tensor]


@dataclass
class Runtime(Draws):
    """Device, precision, batches, predictions, steps and epochs of one run.

    Everything random comes from ``generator`` (on the CPU), seeded by ``seed``.

    Attributes:
        device: Where the model is.
        precision: What the model computes in; parameters stay in their own type.
        batch_size: Of :meth:`batches`, all processes together, unless a method asks for its own.
        seed: Seeds ``generator``.
        progress: Whether to draw progress bars.
        processes: The processes that share the work.
        micro_batch: Images computed at once where gradients are wanted; ``None``: the batch.
        shard: Whether each process holds a part of the model: see runtime/shards.py.
        replays: Whether training passes may be replayed: :mod:`lotus_unlearning.runtime.graphs`.
        compiles: Whether the blocks that a model repeats are compiled, as ``compiling`` says.
        checkpoint: Where the run leaves where it stands at the end of each epoch.
        seconds_before: Spent on the run by attempts that were killed or out of memory.
        history: One row per epoch: what the method logged, and the mean loss.
        largest_batch: Shape ``[B, ...]`` of the largest that gradients were wanted of, or empty.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: torch.dtype = torch.float32
    batch_size: int = 128
    seed: int = 0
    progress: bool = False
    processes: Processes = field(default_factory=Processes)
    micro_batch: int | None = None
    shard: bool = False
    replays: bool = False
    compiles: bool = False
    checkpoint: Checkpoint | None = field(default=None, repr=False)
    seconds_before: float = field(default=0.0, repr=False)
    history: list[Row] = field(default_factory=list, init=False, repr=False)
    largest_batch: tuple[int, ...] = field(default=(), init=False, repr=False)
    generator: torch.Generator = field(init=False, repr=False)
    compiling: Compiling = field(init=False, repr=False)
    _inputs: Inputs = field(init=False, repr=False)
    _graphs: list[Graphs] = field(default_factory=list, init=False, repr=False)
    _predicted_at_once: int | None = field(default=None, init=False, repr=False)
    _losses: list[Tensor] = field(default_factory=list, init=False, repr=False)
    _row: Row = field(default_factory=dict, init=False, repr=False)
    _last: bool = field(default=False, init=False, repr=False)
    _held: Held = field(default_factory=Held, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected 0 to 2**63 - 1, got {self.seed}")
        if self.shard:
            self.processes.require_several()
        self.generator = torch.Generator().manual_seed(self.seed)
        self._inputs = Inputs(self.device, self.precision)
        self.compiling = Compiling(self.compiles, in_shards=self.shard)

    @property
    def wide(self) -> torch.dtype:
        """Of parameters and logits."""
        return torch.float64 if self.precision is torch.float64 else torch.float32

    @property
    def may_capture(self) -> bool:
        """Whether training passes may be captured as CUDA graphs now."""
        alone = self.processes.count == 1 and self.micro_batch is None
        return self.replays and self.device.type == "cuda" and alone and not self._inputs.streamed

    def again(self, micro_batch: int, seconds: float) -> "Runtime":
        """The same run from its beginning, by fewer images at once, after so many ``seconds``."""
        before = self.seconds_before + seconds
        run = replace(self, micro_batch=micro_batch, seconds_before=before)
        run._inputs = self._inputs  # what is on the device stays there
        run._predicted_at_once = self._predicted_at_once
        return run

    @contextmanager
    def prepared(self, model: nn.Module) -> Iterator[nn.Module]:
        """``model`` on the device, computing in ``precision``, batch statistics shared.

        In shards: a twin of it. When the block is complete, ``model`` has its weights.
        """
        with placed(model, self) as ready:
            share_batch_statistics(ready, self.processes)
            self.compiling.place(ready)
            forward = in_precision(self)
            graphs = Graphs(ready, forward, self)
            self._graphs.append(graphs)
            vars(ready)["forward"] = MethodType(in_micro_batches(forward, graphs, self), ready)
            try:
                yield ready
                self.processes.require_batches()
            finally:
                self._graphs.remove(graphs)
                graphs.forget()

    def predict(self, model: nn.Module, split: Split) -> Tensor:
        """Logits ``[N, C]`` in evaluation mode, without gradients, in the order of ``split``."""
        self._inputs.warn_of_random_views(split)
        return self._predict(model, split)

    def teacher(self, model: nn.Module, split: Split) -> Tensor:
        """Logits as of :meth:`predict`, for who takes their softmax: :meth:`kept`."""
        self._inputs.warn_of_random_views(split)
        return self._predict(model, split, keep=partial(self.kept, logits=True))

    def kept(self, rows: Iterable[Tensor], count: int, *, logits: bool = False) -> Tensor:
        """``count`` rows for :meth:`rows`, by one process perhaps in a file: see ``stored.py``."""
        return collected(rows, count, logits=logits, may_store=self.processes.count == 1)

    def rows(self, kept: Tensor, positions: Tensor | slice) -> Tensor:
        """Rows of what :meth:`teacher` or :meth:`kept` returned, on the device."""
        return taken(kept, positions, self.device, self.wide)

    def classes(self, model: nn.Module, split: Split) -> int:
        """Number of outputs of ``model``, from its answer to one image of ``split``."""
        return self._predict(model, split.take(torch.arange(1))).shape[1]

    def each(self, model: nn.Module, split: Split, of: Of) -> Tensor:
        """``[N, K]`` of what ``of`` makes, ``[B, K]``, of logits ``[B, C]`` that are not kept."""
        self._inputs.warn_of_random_views(split)
        return self._predict(model, split, of)

    def _predict(
        self, model: nn.Module, split: Split, of: Of | None = None, keep: Keep = collected
    ) -> Tensor:
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        order = self.processes.dealt(len(split))
        chunks = torch.split(order, self._inputs.predicted_at_once(split))
        with torch.no_grad(), self.compiling.usual(map(len, chunks)):
            answers = (self.answers(model, x) for x in self._inputs.of(split, chunks))
            found = keep(answers if of is None else map(of, answers), len(order))
        for module, training in modes:
            module.training = training
        return self.processes.gather(found)[: len(split)]

    @torch.no_grad()
    def answers(self, model: nn.Module, x: Tensor) -> Tensor:
        """Logits ``[B, C]`` in the modes of now, by fewer images at once where memory is short."""
        most = min(self._predicted_at_once or len(x), len(x))
        try:
            return torch.cat([model(part) for part in torch.split(x, most)])
        except torch.OutOfMemoryError:
            if most == 1 or self.shard:  # the other processes gather weights as often as this one
                raise
        self._predicted_at_once = most // 2
        torch.cuda.empty_cache()
        return self.answers(model, x)

    def accuracy(self, model: nn.Module, split: Split) -> float:
        """Share of ``split`` that ``model`` classifies right, in evaluation mode."""
        guesses = self.each(model, split, lambda logits: logits.argmax(dim=1, keepdim=True))[:, 0]
        return (guesses == split.labels.to(self.device)).double().mean().item()

    def batches(
        self,
        split: Split,
        batch_size: int | None = None,
        *,
        shuffle: bool = True,
        shift: int = 0,
        flip: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """One pass over ``split``: inputs ``[B, ...]``, labels ``[B]``, positions ``[B]``.

        Positions count within ``split`` and are on the device, to index what
        :meth:`teacher` returned. A single image left over joins the batch before it. ``shift``
        moves each image at random by up to so many pixels, ``flip`` mirrors half of them.

        Raises:
            ValueError: If ``batch_size`` is below 1.
        """
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {size}")
        order = self.permutation(len(split)) if shuffle else torch.arange(len(split))
        chunks = cut.batches(order, size)
        shards = [self.processes.shard(chunk) for chunk in chunks]
        places = self._inputs.moved(shards)
        labels = split.labels.to(self.device)
        with self.compiling.usual(map(len, shards)):
            for chunk, i, x in zip(chunks, places, self._inputs.of(split, shards), strict=True):
                view = self.shifted(x, len(chunk), shift, flip) if shift or flip else x
                yield view, labels[i], i

    def epochs(self, count: int, *carried: Carried) -> Iterator[int]:
        """Count epochs; each leaves a row in ``history``, where those of earlier loops count, too.

        The epoch in which :meth:`stop` is called is the last one. With a checkpoint, epochs that
        were done before the run was killed are left out.

        Args:
            count: How many.
            carried: What one epoch hands to the next, beside the model: the optimizer, a
                learning-rate schedule, and a dictionary for whatever else there is (numbers,
                tensors). A run that goes on finds them as they were.

        Raises:
            FloatingPointError: If a loss of the epoch was not finite; says which.
            OSError: If the checkpoint cannot be written.
        """
        kept, shown = self.checkpoint, self.progress and self.processes.rank == 0
        loop = kept.loop(self, carried, count) if kept else nullcontext(range(count))
        with loop as left, progress.bar(count, left.start, shown=shown) as bar:
            if left.start > 0:  # taken up
                self._row = self.history[-1]
                self._losses.clear()
            for epoch in left:
                self._row, self._last = {"epoch": len(self.history)}, False
                self.history.append(self._row)
                yield epoch
                self._row["loss"] = progress.mean_loss(self._losses, epoch, self.processes)
                self._losses.clear()
                progress.advance(bar, self._row)
                if kept:
                    kept.save(self, carried, epoch + 1, self._last or epoch + 1 == count)
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

    def counted(self, mean: Tensor, images: int) -> Tensor:
        """A mean over so many ``images`` of this process as it counts in that over all, to log."""
        return mean.detach() * self.processes.weight_of(images, mean.device)

    def backward(self, parameters: Iterable[Tensor], loss: Tensor) -> None:
        """Gradients of ``loss``, a mean over the batch (this process's shard), from zero."""
        parameters = list(parameters)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        for graphs in self._graphs:
            graphs.gradients_taken()
        self.processes.average_gradients(parameters)

    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Backward pass and update; ``loss`` is a sum of means over batches (here: over shards).

        Raises:
            TypeError: With a checkpoint, if the optimizer steps in a second epoch and was not
                given to :meth:`epochs`.
        """
        if self.checkpoint:
            self.checkpoint.require_carried(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.backward(parameters, loss)
        self._held.out_of_gradients()
        if self.shard:
            unfused(optimizer)
        optimizer.step()
        self._held.put_back()  # weight decay and momentum move what has no gradient, too
        self._losses.append(loss.detach() * self.processes.weight)

    @contextmanager
    def only(self, masks: dict[nn.Parameter, Tensor]) -> Iterator[None]:
        """Within the block, steps change parameters, or shards, where their mask is true alone."""
        self._held = Held.outside(masks)
        try:
            yield
        finally:
            self._held.put_back()  # also what was changed without a step
            self._held = Held()
