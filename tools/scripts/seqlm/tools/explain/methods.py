"""How values of positions are found, and what they are called. Needs no torch."""

GRADIENTS, OCCLUSION, MUTAGENESIS, ATTENTION = "integrated-gradients", "occlusion", "mutagenesis", "attention"
CONTACTS = "contacts"  # of pairs of positions, by a head of its own
METHODS = (GRADIENTS, OCCLUSION, MUTAGENESIS, ATTENTION, CONTACTS)
