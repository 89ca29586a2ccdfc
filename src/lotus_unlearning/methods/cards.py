"""A card per method: what it does, what it costs, where it differs, whom to cite.

``lotus list methods``, ``lotus cite`` and docs/methods.md print from here and from the first lines
of each method's file.
"""

import dataclasses
import inspect
import re
from dataclasses import dataclass

from lotus_unlearning.methods import METHODS, bibtex


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a person should know before choosing a method.

    Attributes:
        does: In two sentences.
        works: When it can be expected to work, and when not.
        cost: Forward (F) and backward (B) passes over images, where ``n_f`` and ``n_r`` are the
            numbers of forget and retain images, and memory beyond weights, gradient and the
            activations of a batch.
        tables: What the code behind the published LoTUS tables did instead.
        bibtex: Its citations, with an empty line between them.
    """

    does: str
    works: str
    cost: str
    tables: str
    bibtex: str


def about(name: str) -> str:
    """The first line of the method's file, without the name of its class."""
    text = inspect.getdoc(inspect.getmodule(METHODS[name])) or ""
    return text.split("\n", 1)[0].split(": ", 1)[-1]


def formula(name: str) -> str:
    """The indented lines of the method's file: its formula."""
    text = inspect.getdoc(inspect.getmodule(METHODS[name])) or ""
    lines = re.findall(r"(?m)^    .*$", text)
    return "\n".join(line[4:] for line in lines)


def differs(name: str) -> str:
    """Where the method differs from its paper or published code, as its file says."""
    text = inspect.getdoc(inspect.getmodule(METHODS[name])) or ""
    found = re.search(r"(?s)Differs: (.*?)(\n\n|$)", text)
    said = " ".join(found[1].split()) if found else "in nothing that we know of."
    return said[0].upper() + said[1:]


def mind(name: str) -> str:
    """What else to know before using the method, as its file says; empty where nothing."""
    text = inspect.getdoc(inspect.getmodule(METHODS[name])) or ""
    found = re.search(r"(?s)\n\nMind: (.*?)(\n\n|$)", text)
    said = " ".join(found[1].split()) if found else ""
    return said[:1].upper() + said[1:]


def settings_of(name: str) -> dict[str, str]:
    """What each setting is and where its default comes from, as the method's docstring says.

    Settings of a record within the method go by ``record.setting``.

    >>> settings_of("finetune")["learning_rate"]
    'Of SGD (Kurmanji et al.: 0.01; LoTUS tables: 1e-3).'
    """
    found = _attributes(METHODS[name])
    for field in dataclasses.fields(METHODS[name]):
        record = field.default_factory
        if isinstance(record, type) and record.__module__ == METHODS[name].__module__:
            inner = _attributes(record)
            found |= {f"{field.name}.{key}": said for key, said in inner.items()}
    return found


def _attributes(kind: type) -> dict[str, str]:
    listed = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    found = re.findall(r"(?m)^    (\w+): (.*(?:\n        .*)*)", listed)
    return {key: " ".join(said.split()) for key, said in found}


CARDS = {
    "lotus": Card(
        does="The original's own predictions become the targets: smoothed for forget images, by "
        "as much as the model still knows them better than unseen ones, and sampled for a part "
        "of the retain images. When forget images are known no better than unseen ones, it stops.",
        works="Keeps what the model can do. How much it forgets depends on the learning rate: at "
        "the published one a small ResNet goes part of the way, or hardly moves.",
        cost="once F(n_f + 0.3 n_r) and F of the unseen images; per epoch FB(n_f + 0.3 n_r) and "
        "F(n_f). Memory of AdamW: two copies of the weights; a third, of the best epoch, with a "
        "target of one's own.",
        tables="Rounds accuracies to two decimals, which changes the temperature and the stop "
        "rule; in class mode it cannot stop.",
        bibtex=bibtex.LOTUS,
    ),
    "finetune": Card(
        does="Goes on training on the retain images. What it forgets, it forgets by overwriting.",
        works="Keeps what the model can do. Of single images it forgets little, least of all of "
        "those that resemble retained ones. For a class of Fashion-MNIST it went most of the way "
        "at its authors' settings; for one of digits, of which the original is sure, none at any.",
        cost="per epoch FB(n_r). Memory of SGD with momentum: one copy of the weights.",
        tables="Nothing but the settings (preset lotus-tables-resnet18).",
        bibtex=bibtex.KURMANJI,
    ),
    "neg-grad-plus": Card(
        does="Every step descends on a retain batch and ascends on a forget batch. The weight "
        "alpha says how much of the step belongs to the retain batch.",
        works="The ascent has no end of its own, so that alpha and the epochs decide between too "
        "little and ruin: at its authors' settings it leaves single images of digits as they were, "
        "and of the other classes of Fashion-MNIST, when one is forgotten, a quarter right.",
        cost="per epoch FB(n_r) and FB of a forget batch for each retain batch; in separate phases "
        "FB(n_f + n_r). Memory of SGD with momentum: one copy of the weights; joint steps hold the "
        "activations of two batches and, layer by layer, the gradients of both.",
        tables="The sign was flipped before the backward pass filled the gradients: it descended "
        "on forget images, too.",
        bibtex=bibtex.KURMANJI,
    ),
    "random-labels": Card(
        does="Forget images get wrong labels, drawn at random. The model is trained on them among "
        "the retained ones, which keep theirs.",
        works="Teaches wrong answers, which retraining would not. For single images it leads away "
        "from gold on Fashion-MNIST (on digits its authors' three epochs hardly move them), and "
        "can give them away to an attacker who looks for answers worse than on unseen ones; for a "
        "whole class, which gold answers wrong, too, it goes part of the way.",
        cost="per epoch FB(n_f + n_r). Memory of Adam: two copies of the weights.",
        tables="New labels every epoch, forget pass then retain pass (options redraw, phases).",
        bibtex=f"{bibtex.GRAVES}\n\n{bibtex.FOSTER}",
    ),
    "bad-teacher": Card(
        does="On forget images the model imitates a randomly initialised network, which knows "
        "nothing. On some retain images it imitates the original, so as to keep what that knows.",
        works="Fast. For single images away from gold on Fashion-MNIST, and hardly anywhere on "
        "digits at its authors' settings; for a class of Fashion-MNIST about half of the way, for "
        "one of digits none in its authors' one epoch and half in the LoTUS paper's ten. "
        "The longer it runs, the more uniform its predictions on forget images become, more than "
        "those of any trained network: a Streisand effect that entropy shows.",
        cost="once F(n_f) of the bad teacher and F(0.3 n_r) of the original; per epoch "
        "FB(n_f + 0.3 n_r). Memory of Adam: two copies of the weights; one of the bad teacher's, "
        "which is gone before training.",
        tables="Never shuffled: forget images in the order of their classes, then the retain "
        "images. Its loss is averaged over classes, too, as in its authors' code.",
        bibtex=bibtex.CHUNDAWAT,
    ),
    "scrub": Card(
        does="In turns, the model moves away from the original on forget images and back to it "
        "on retain images. The first epochs do both, the last ones only repair.",
        works="Forgets and repairs well when the number of maximising epochs fits, as its authors' "
        "three do on Fashion-MNIST; for a class of digits tuned settings went all of the way, and "
        "its authors' hardly any. Too many cost accuracy that the repair does not bring back.",
        cost="once F(n_r), and F(n_f) if any epoch maximises; per epoch FB(n_r), and FB(n_f) in "
        "the maximising ones; with rewinding, F(n_f) per epoch and once F of the unseen images of "
        "the forgotten classes. Memory of Adam: two copies of the weights (SGD: one); the "
        "original's logits; with rewinding, the weights of every epoch.",
        tables="Nothing is changed: its optimizer held the weights of another model. The preset "
        "is what it meant to run, with the maximising pass first.",
        bibtex=bibtex.KURMANJI,
    ),
    "ssd": Card(
        does="Shrinks the weights whose importance for forget images is many times their "
        "importance for all images. No training.",
        works="Very fast; made for small forget sets and whole classes. Where a tenth or more "
        "of the data is to be forgotten, the published alpha changes nothing, and this says so; "
        "tuned settings went most of the way for a class of digits.",
        cost="per repeat FB(n_f + n_r). Memory of the importances: two copies of the weights.",
        tables="Repeated once per epoch (option repeats).",
        bibtex=bibtex.FOSTER,
    ),
    "unsir": Card(
        does="Learned noise stands in for forget images and damages what the model knows of "
        "them. Training on retain images repairs the rest.",
        works="Made for whole classes, which it forgets at the price of accuracy on the others. "
        "For single images whose classes stay, its authors' noise damages what is to be kept; the "
        "LoTUS paper's, of one step, goes a little of the way.",
        cost="by class: 40 FB of 256 noise images per class, then FB(n_r and 5,120 noise images "
        "per class) and FB(n_r), n_r at most 1,000 per class; by instance, for each pair of "
        "batches one F, 5 FB for the noise and 2 FB. Memory of Adam, by class: two copies of the "
        "weights and the noise; by instance the activations of two batches and, layer by layer, "
        "the gradients of both.",
        tables="One noise step, clamped to [0, 1], momentum and a repair pass; by instance for "
        "whole classes, too.",
        bibtex=f"{bibtex.TARUN}\n\n{bibtex.CHOI}",
    ),
    "salun": Card(
        does="Finds the weights that the loss on forget images depends on most. It trains only "
        "those, with random labels or by another method (``inner``).",
        works="The mask is to keep from damage what forgetting does not need. At its authors' "
        "learning rate it moves small networks away from gold for single images; for a class of "
        "Fashion-MNIST it went most of the way, for one of digits a sixth of it, and with tuned "
        "settings most of it.",
        cost="once FB(n_f); per epoch FB(n_f + n_r) with random labels, else as the inner method. "
        "Memory: a mask (one byte per weight), a copy of the weights, and that of SGD with "
        "momentum, another one (or of the inner method).",
        tables="Top tenth of the weights, labels that are never the right one, and a mask in the "
        "forget pass alone, which momentum and weight decay ignore.",
        bibtex=bibtex.FAN,
    ),
    "l1-sparse": Card(
        does="Fine-tuning on retain images with a penalty on the size of the weights. The penalty "
        "fades over the epochs.",
        works="A form of fine-tuning: a larger penalty forgets more, at some cost of accuracy. The "
        "default did not forget more than fine-tuning here.",
        cost="per epoch FB(n_r). Memory of SGD with momentum: one copy of the weights and, layer "
        "by layer, the gradient of the penalty.",
        tables="Not among the published tables.",
        bibtex=bibtex.JIA,
    ),
    "gradient-ascent": Card(
        does="Climbs the loss on forget images. It looks at nothing else.",
        works="A control that is known to be bad: nothing holds it back, so that what it leaves "
        "of the model depends on when it is stopped.",
        cost="per epoch FB(n_f). Memory of SGD with momentum: one copy of the weights.",
        tables="Not among the published tables.",
        bibtex=f"{bibtex.THUDI}\n\n{bibtex.JIA}",
    ),
    "understudy": Card(
        does="Trains a new network on retain images for a few epochs and teaches the original its "
        "beliefs about forget images. Of retain images the original keeps its own beliefs. This "
        "package's own method.",
        works="Where the original remembers single images and a training takes much longer than "
        "the few epochs of the understudy: there it came nearer to gold than any other method here "
        "and kept the accuracy on retain images. It needs all retain images.",
        cost="F(n_r) once; FB(n_r) for each epoch of the understudy (3, or more where n_r is "
        "small), F(n_f) once; then per epoch FB(n_f + half of n_r), with more epochs where images "
        "are few. Memory of AdamW, two copies of the weights, and one more: the original's while "
        "the understudy is trained.",
        tables="Not among the published tables.",
        bibtex=f"{bibtex.GEORGIEV}\n\n{bibtex.HINTON}",
    ),
    "regrow": Card(
        does="Resets the deeper layers, and teaches the whole network the original's beliefs "
        "about retain images. This package's own method.",
        works="Where the original remembers single images: it went all of the way to gold for "
        "10% of Fashion-MNIST and half of digits, and nearly all for half of Fashion-MNIST and for "
        "classes. It never looks at a forget image and needs all retain images.",
        cost="F(n_r) once; per epoch FB(n_r), with more epochs where n_r is small. Memory of "
        "AdamW: two copies of the weights.",
        tables="Not among the published tables.",
        bibtex="\n\n".join(
            [
                bibtex.GOEL,
                bibtex.HINTON,
            ]
        ),
    ),
    "retrain": Card(
        does="Trains anew without the forget images. What every other method is measured by.",
        works="Always, at the price of training.",
        cost="per epoch FB(n_r), for as many epochs as training takes; with patience, F of the "
        "unseen images, too. Memory of SGD with momentum: one copy of the weights (AdamW: two); "
        "with patience, another one of the best epoch.",
        tables="Kept the last epoch where it meant the best one.",
        bibtex=bibtex.LOTUS,
    ),
}
"""Method -> card; the same names as ``METHODS``."""
