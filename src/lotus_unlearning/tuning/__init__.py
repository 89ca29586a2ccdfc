"""Tuning on equal terms: the same number of trials for every method, by a retrain-free objective.

    objective = mean over draws of
                RF-JSD(unlearned on forget, original on unseen)
                + max(0, accuracy of the original on retain - accuracy of the unlearned on retain)

A draw is a set of images to forget and a seed of the unlearning. Test images and gold models play
no part: whoever has a deletion request has no gold model, and whoever looks at the test images
while choosing can no longer measure with them.

Where a whole class is to be forgotten, the original knows the unseen images of that class, which a
retrained model would not. So the classes of which no image is retained are struck from its answers,
and the rest is scaled to sum to 1: the softmax of the other logits, which is the simplest guess at
what a model without the class would say (compare Baumhauer, Schöttle and Zeppelzauer, "Machine
unlearning: linear filtration for logit-based classifiers", Machine Learning 2022).

What it can reward wrongly: a model that was not changed at all may score well, where the original
is about as sure of forget as of unseen images. And the best possible model does not have the
lowest value: on digits the RF-JSD of the retrained model was higher than the original's in 5 of 5
seeds.

So a search also tells the value of the unchanged original, and the noise floor: the standard
deviation between the draws of the defaults. What is better than the defaults by less than that may
be better by luck. Whether the settings forget is to be measured, against gold models.
"""

from lotus_unlearning.tuning.alone import alone, require_one_process
from lotus_unlearning.tuning.journal import require_optuna
from lotus_unlearning.tuning.record import entry, trials_csv
from lotus_unlearning.tuning.search import Tuned, tune
from lotus_unlearning.tuning.trial import FAILED, Trial

__all__ = [
    "FAILED",
    "Trial",
    "Tuned",
    "alone",
    "entry",
    "require_one_process",
    "require_optuna",
    "trials_csv",
    "tune",
]
