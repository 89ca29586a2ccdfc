"""The methods, by the names the command line knows them by."""

from lotus_unlearning.methods.lotus import LoTUS

METHODS = {
    "lotus": LoTUS,
}

__all__ = ["METHODS", "LoTUS"]
