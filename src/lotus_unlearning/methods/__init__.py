"""The methods, by the names the command line knows them by."""

from lotus_unlearning.methods.bad_teacher import BadTeacher
from lotus_unlearning.methods.finetune import Finetune
from lotus_unlearning.methods.gradient_ascent import GradientAscent
from lotus_unlearning.methods.l1_sparse import L1Sparse
from lotus_unlearning.methods.lotus import LoTUS
from lotus_unlearning.methods.neg_grad_plus import NegGradPlus
from lotus_unlearning.methods.random_labels import RandomLabels
from lotus_unlearning.methods.regrow import Regrow
from lotus_unlearning.methods.retrain import Retrain
from lotus_unlearning.methods.salun import SalUn
from lotus_unlearning.methods.scrub import SCRUB
from lotus_unlearning.methods.ssd import SSD
from lotus_unlearning.methods.understudy import Understudy
from lotus_unlearning.methods.unsir import UNSIR

METHODS = {
    "lotus": LoTUS,
    "understudy": Understudy,
    "regrow": Regrow,
    "finetune": Finetune,
    "neg-grad-plus": NegGradPlus,
    "random-labels": RandomLabels,
    "bad-teacher": BadTeacher,
    "scrub": SCRUB,
    "ssd": SSD,
    "unsir": UNSIR,
    "salun": SalUn,
    "l1-sparse": L1Sparse,
    "gradient-ascent": GradientAscent,
    "retrain": Retrain,
}

__all__ = [
    "METHODS",
    "SCRUB",
    "SSD",
    "UNSIR",
    "BadTeacher",
    "Finetune",
    "GradientAscent",
    "L1Sparse",
    "LoTUS",
    "NegGradPlus",
    "RandomLabels",
    "Regrow",
    "Retrain",
    "SalUn",
    "Understudy",
]
