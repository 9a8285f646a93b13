"""How values of positions are found, and what they are called. Needs no torch."""

GRADIENTS, OCCLUSION, MUTAGENESIS = "integrated-gradients", "occlusion", "mutagenesis"
METHODS = (GRADIENTS, OCCLUSION, MUTAGENESIS)
