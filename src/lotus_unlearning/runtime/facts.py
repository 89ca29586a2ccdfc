"""What determines a run, in words: a checkpoint with other facts is that of another run."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Set
from functools import partial
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import lotus_unlearning
from lotus_unlearning.images import ImageTensors
from lotus_unlearning.runtime.models import fingerprint
from lotus_unlearning.splits import Split

if TYPE_CHECKING:
    from lotus_unlearning.runtime.run import Runtime

Facts = dict[str, str]

FORMAT = 2
"""Of the file of a checkpoint."""

HASHED_BYTES = 1 << 30
"""Of the pixels in memory of a split: where it has more, so many are looked at, spread evenly."""

IMAGES_READ = 32
"""Of a split that is read from a disk: so many are looked at, spread evenly."""

_IN_OTHER_WAYS = (nn.Module, Tensor, np.ndarray, Mapping, list, tuple, Set, type, ModuleType)
_WHOLE = (("format",), ("method", "recipe"))
"""Facts of which one that differs says it all: nothing else can be compared then."""
_LONGEST = 200
_CHUNK = 256
_ADDRESS = re.compile(r" at 0x[0-9a-f]+", re.IGNORECASE)
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def facts(
    name: str, work: object, model: nn.Module, parts: Mapping[str, Split | None], run: "Runtime"
) -> Facts:
    """All that a run depends on, but for the code of methods and models that are not ours.

    Args:
        name: What ``work`` is: ``"method"`` or ``"recipe"``.
        work: With its settings.
        model: That the run begins with.
        parts: The images that are read, by name.
        run: For the work.
    """
    return {
        "format": str(FORMAT),
        "lotus-unlearning": lotus_unlearning.__version__,
        "torch": str(torch.__version__),
        "device": run.device.type,
        "processes": str(run.processes.count),
        **({"shard": "True"} if run.shard else {}),
        **({"compile": "True"} if run.compiles else {}),
        "precision": str(run.precision),
        "batch_size": str(run.batch_size),
        "seed": str(run.seed),
        **told(name, work),
        **{part: identity(split) for part, split in parts.items()},
        "weights": fingerprint(model),
    }


def differences(here: Mapping[str, object], there: Mapping[str, object]) -> list[str]:
    """One phrase for each fact that differs; of another format or other work, that alone.

    >>> differences({"seed": "1"}, {"seed": "2", "device": "cpu"})
    ['seed: here 1, there 2', 'device: here none, there cpu']
    >>> differences({"method": "LoTUS", "method.alpha": "2"}, {"recipe": "Recipe", "seed": "2"})
    ['method: here LoTUS, there none', 'recipe: here none, there Recipe']
    """
    differ = [n for n in dict.fromkeys([*here, *there]) if here.get(n) != there.get(n)]
    for whole in _WHOLE:
        differ = [n for n in differ if n in whole] or differ
    return [f"{n}: here {_shown(here.get(n))}, there {_shown(there.get(n))}" for n in differ]


def told(name: str, value: object) -> Facts:
    """Settings as facts, those within settings too: of models their weights, of arrays a digest.

    >>> told("split", partial(max, 3))
    {'split': 'functools.partial', 'split.func': 'builtins.max', 'split.args': '[3]',
    'split.keywords': '{}'}
    """
    return _told(name, value, frozenset())


def identity(split: Split | None) -> str:
    """SHA-256 of the ids, labels, preprocessing and pixels of a split, in their order.

    Of very many pixels it is a sample, see :data:`HASHED_BYTES` and :data:`IMAGES_READ`; names are
    taken in beside them where images are read from a disk, pixels that differ at every read are
    left out.
    """
    if split is None:
        return "None"
    digest = sha256(split.ids.numpy().tobytes())
    digest.update(split.labels.numpy().tobytes())
    for part in _contents(split):
        digest.update(part)
    return digest.hexdigest()


def _contents(split: Split) -> Iterator[bytes]:
    source, ids = split.source, split.ids
    if isinstance(source, ImageTensors):
        yield _text(source.preprocess, frozenset()).encode()
        size = max(1, source.images[:1].nbytes)
        for chunk in torch.split(_spread(ids, HASHED_BYTES // size + 1), _CHUNK):
            yield _of_tensor(source.images[chunk])
        return
    if source.names is not None:
        for i in ids.tolist():
            yield f"{source.names[i]}\n".encode("utf-8", "surrogateescape")
    if not source.random and len(ids):
        for images in source.batches([_spread(ids, IMAGES_READ)]):
            yield _of_tensor(images)


def _spread(ids: Tensor, count: int) -> Tensor:
    return ids if len(ids) <= count else ids[torch.arange(count) * len(ids) // count]


def _of_tensor(value: Tensor) -> bytes:
    value = value.detach().cpu().contiguous()
    head = f"{value.dtype}{tuple(value.shape)}".encode()
    return head + value.reshape(-1).view(torch.uint8).numpy().tobytes()


def _told(name: str, value: object, above: frozenset[int]) -> Facts:
    inner = None if id(value) in above else _parts(value)
    if inner is None:
        text = _text(value, above)
        return {name: text if len(text) <= _LONGEST else _hashed(text.encode())}
    found = {name: _name(value)}
    for key, part in inner.items():
        found |= _told(f"{name}.{key}", part, above | {id(value)})
    return found


def _text(value: object, above: frozenset[int]) -> str:
    """The same for equal values in every process; ``above``: what ``value`` is within."""
    if id(value) in above:
        return "itself"
    text = partial(_text, above=above | {id(value)})
    inner = _parts(value)
    if inner is not None:
        return f"{_name(value)}({', '.join(f'{k}={text(v)}' for k, v in inner.items())})"
    if isinstance(value, nn.Module):
        return f"{_name(value)} {fingerprint(value)}"
    if isinstance(value, Tensor):
        return f"Tensor {_hashed(_of_tensor(value))}"
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"array {value.dtype}{value.shape} {_hashed(value.tobytes())}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{text(k)}: {text(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text, value))}]"
    if isinstance(value, Set):
        return f"{{{', '.join(sorted(map(text, value)))}}}"
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return _name(value)
    return _ADDRESS.sub("", repr(value))


def _parts(value: object) -> dict[str, Any] | None:
    """What an object holds, by name; ``None`` where it is told in other ways."""
    if isinstance(value, partial):
        return {"func": value.func, "args": value.args, "keywords": value.keywords}
    if isinstance(value, MethodType):
        return {"of": value.__self__}
    if isinstance(value, FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        return {name: cell.cell_contents for name, cell in cells} or None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return None if isinstance(value, _IN_OTHER_WAYS) else getattr(value, "__dict__", None)


def _name(value: object) -> str:
    named = isinstance(value, type | FunctionType | BuiltinFunctionType | MethodType)
    kind: Any = value if named else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _hashed(value: bytes) -> str:
    return sha256(value).hexdigest()


def _shown(value: object) -> str:
    text = _DIGEST.sub(r"\1...", "none" if value is None else str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
