"""How values of positions are found, and what they are called. Needs no torch."""

GRADIENTS, OCCLUSION, MUTAGENESIS, ATTENTION = "integrated-gradients", "occlusion", "mutagenesis", "attention"
METHODS = (GRADIENTS, OCCLUSION, MUTAGENESIS, ATTENTION)
