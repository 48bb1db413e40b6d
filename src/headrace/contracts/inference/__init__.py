"""Inference: from rows to the contract that all of them meet, with the evidence for each thing that it says. Pure."""
