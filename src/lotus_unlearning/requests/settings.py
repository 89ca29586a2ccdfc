"""``lotus.yaml``: what a workspace is set to, checked as a whole when it is read."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lotus_unlearning.files.kinds import misfits
from lotus_unlearning.files.plain import from_yaml

FILE = "lotus.yaml"
FORMAT = 1
LONGEST_DUE = 36_500
"""Days, a hundred years."""
ATTACKS = ("auc_loss", "auc_entropy", "auc_confidence")
_HEAD = """\
# A workspace of deletion requests. The method, the limits and the recipe may be changed here; they
# count from the next `lotus request run` on. `data` and `architecture` belong to the served model:
# whoever changes them makes a new workspace.
#
# audit_level: 0 makes no audit. 1 compares each run with retraining: distances to golds, which are
# models retrained without the images. 2 adds likelihood ratios, with less than `lotus audit` has:
# there are no shadow models here, so that LiRA is offline, by the golds alone; and no other runs of
# the method, so that KLOM, U-LiRA and forgetting quality are left out. 3 adds relearning and linear
# probes, without triggers of poisons, and keeps the weights of golds until a run is served.
"""


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """Arguments of :func:`lotus_unlearning.datasets.load`."""

    name: str
    root: str | None = None
    limit: int | None = None
    size: int | None = None
    seed: int = 0
    unseen_from: str = "train"


@dataclass(frozen=True, kw_only=True)
class MethodChoice:
    """A method and its settings; those that are left out are the defaults."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Guards:
    """What a new model must keep to be served instead of the one before.

    Attributes:
        retained_accuracy_loss: The largest loss of accuracy on retained images, as a share.
        test_accuracy_loss: The largest loss of accuracy on test images, as a share.
        attack: The measure whose AUC on the forgotten images must not get worse. ``None``: no
            such rail, for images that a model which never saw them would know worse than others
            (wrong labels, outliers); after ``--retrain`` there is none either.
    """

    retained_accuracy_loss: float = 0.02
    test_accuracy_loss: float = 0.02
    attack: str | None = "auc_loss"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """When to recommend retraining: accuracy lost since the first model, over all runs."""

    retained_accuracy_loss: float = 0.03
    test_accuracy_loss: float = 0.03


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All of ``lotus.yaml``.

    Attributes:
        data: The data that the model was trained on.
        architecture: The fields of :class:`lotus_unlearning.runs.Architecture`, to build the model.
        pretrained: Whether its training began from published weights; ``--retrain`` does so too.
        method: The method that images are forgotten by.
        recipe: The fields of :class:`lotus_unlearning.Recipe` that ``--retrain`` trains by.
        guards: The limits that a new model must keep.
        drift: The loss of accuracy from which on retraining is recommended.
        audit_level: The level of the audit. 0: the attacks of ``lotus evaluate``; from 1 on as for
            ``lotus audit``, against models that are retrained without the images. 2 and 3 have no
            shadow models and no other runs of the method: LiRA is offline, by the golds alone.
        audit_golds: The number of such models. With fewer than 8 the verdict can find a difference,
            but cannot say that there is none.
        audit_put_back: Numbers of images: so many are put back into two golds each, to see from how
            many on the audit notices; each number costs two trainings.
        near_distance: The largest number of bits, of 64, in which perceptual hashes of similar
            images differ.
        due_days: The days from received to due, where no date is given; 28 are no longer than any
            month.
        seed: The seed of run 0; that of run N is N higher.
        batch_size: Images per step, where the method has no size of its own.
        device: The device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: The type of number to compute in: ``"auto"``, ``"float32"``, ``"bfloat16"`` or
            ``"float64"``.
    """

    format: int = FORMAT
    data: DataChoice
    architecture: dict[str, Any]
    pretrained: bool = False
    method: MethodChoice
    recipe: dict[str, Any] = field(default_factory=dict)
    guards: Guards = field(default_factory=Guards)
    drift: Drift = field(default_factory=Drift)
    audit_level: int = 0
    audit_golds: int = 16
    audit_put_back: list[int] = field(default_factory=list)
    near_distance: int = 2
    due_days: int = 28
    seed: int = 0
    batch_size: int = 128
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        limits = {
            f"audit_level 0 to 3, got {self.audit_level}": self.audit_level in range(4),
            f"audit_golds >= 3, got {self.audit_golds}": self.audit_golds >= 3,
            f"audit_put_back >= 1, got {self.audit_put_back}": min(self.audit_put_back, default=1)
            >= 1,
            f"near_distance 0 to 31, got {self.near_distance}": self.near_distance in range(32),
            f"due_days 0 to {LONGEST_DUE}, got {self.due_days}": 0 <= self.due_days <= LONGEST_DUE,
            f"seed >= 0, got {self.seed}": self.seed >= 0,
            f"batch_size >= 1, got {self.batch_size}": self.batch_size >= 1,
            f"guards.attack one of {', '.join(ATTACKS)}, null, got {self.guards.attack}": (
                self.guards.attack in (*ATTACKS, None)
            ),
            "limits of guards and drift in [0, 1]": all(
                0 <= value <= 1
                for record in (self.guards, self.drift)
                for value in (record.retained_accuracy_loss, record.test_accuracy_loss)
            ),
        }
        broken = [limit for limit, holds in limits.items() if not holds]
        if broken:
            raise ValueError(f"expected {', '.join(broken)}")


_RECORDS: Mapping[str, type] = {
    "data": DataChoice,
    "method": MethodChoice,
    "guards": Guards,
    "drift": Drift,
}


def write(settings: Settings, path: Path) -> None:
    """Write ``lotus.yaml``."""
    import yaml

    text = yaml.safe_dump(dataclasses.asdict(settings), sort_keys=False, allow_unicode=True)
    path.write_text(_HEAD + text, encoding="utf-8")


def read(path: Path) -> Settings:
    """Read ``lotus.yaml``.

    Raises:
        ValueError: If it is no YAML, of a newer version, or something in it is unknown, missing or
            out of range; one message lists all of it.
    """
    try:
        values = from_yaml(path)
    except ValueError as error:
        raise ValueError(f"{path}: expected YAML: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected the settings of a workspace, got {type(values)}")
    if values.get("format") != FORMAT:
        raise ValueError(
            f"{path}: expected format {FORMAT}, got {values.get('format')!r}; a newer "
            "lotus-unlearning may have written it: install that version"
        )
    problems = list(misfits(values, Settings))
    if not problems:
        try:
            return Settings(**{k: _record(k, value) for k, value in values.items()})
        except (TypeError, ValueError) as error:
            problems = [str(error)]
    raise ValueError(f"{path}: " + "; ".join(problems))


def _record(key: str, value: Any) -> Any:
    return _RECORDS[key](**value) if key in _RECORDS else value
