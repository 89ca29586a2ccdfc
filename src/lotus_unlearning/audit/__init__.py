"""Is a model distinguishable from one that never saw what it forgot? Banks, attacks, a verdict."""

from lotus_unlearning.audit.audits import Level, Probes, audit
from lotus_unlearning.audit.banks import Bank, read_bank
from lotus_unlearning.audit.curves import Relearning
from lotus_unlearning.audit.fill import Where, bank
from lotus_unlearning.audit.material import Material, of_model, of_run, of_setup
from lotus_unlearning.audit.members import Member, Wanted
from lotus_unlearning.audit.record import Audit
from lotus_unlearning.audit.triggers import Trigger

__all__ = [
    "Audit",
    "Bank",
    "Level",
    "Material",
    "Member",
    "Probes",
    "Relearning",
    "Trigger",
    "Wanted",
    "Where",
    "audit",
    "bank",
    "of_model",
    "of_run",
    "of_setup",
    "read_bank",
]
