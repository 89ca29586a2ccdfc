"""Deletion requests: a workspace with a ledger, the model that is served, and signed records.

``start`` makes a workspace, ``intake`` adds a request to its ledger, ``serve`` forgets what all
pending requests ask for and swaps the served model, ``export`` writes the record of a request and
``verify`` checks one. Nothing is imported here: verifying a record needs no torch.
"""
